//! Single instructions on all kinds of registers, one after the other on one vCPU.

mod accesses;
mod guarded;
mod plain;
mod states;
mod teller;
mod words;

use aarch64_cpu::registers::{Readable, SCTLR_EL1, SP_EL0, Writeable};

use super::{
    arena::{self, DATA, TEXT},
    frame::Frame,
    text::{self, piece},
};
use crate::console::println;
use teller::Teller;
pub(super) use words::foreign;

/// Runs all cases and says how each ended.
pub(super) fn run() {
    arena::clear();
    SP_EL0.set(0);
    let mut teller = Teller::default();
    let usual = SCTLR_EL1.get();
    const ALIGNMENT_CHECK: u64 = 1 << 1;
    for control in [usual, usual | ALIGNMENT_CHECK] {
        SCTLR_EL1.set(control);
        accesses::accesses(&mut teller);
        accesses::pushes(&mut teller);
    }
    SCTLR_EL1.set(usual);
    plain::others(&mut teller);
    states::states(&mut teller);
    states::stepped(&mut teller);
    words::words(&mut teller);
    guarded::landings(&mut teller);
    teller.sum_up("cases");
}

/// Pushes to a device in a way that no hypervisor can emulate from the syndrome alone.
pub(super) fn push_to_device() {
    const UART: u64 = 0x0900_0000;
    let mut frame = frame(TEXT, piece::PUSH);
    frame.sp = UART + 0x100;
    let end = frame.run();
    println!("device: esr {:x}", end.esr);
}

/// Executes some pieces `times` times each, and says which ones, and how many exceptions that made.
pub(super) fn count(times: u64) {
    let mut wrong = 0;
    for number in [
        piece::PUSH,
        piece::ADD,
        piece::NOTHING,
        piece::LOAD,
        piece::READ_LEVEL,
    ] {
        for _ in 0..times {
            let mut frame = frame(TEXT, number);
            frame.x[1] = DATA + 0x400;
            wrong += u64::from(!frame.run().is_brk(1));
        }
    }
    println!("count: {times} times each, {wrong} wrong");
}

/// Returns a frame that executes piece `number` of the text at `page`.
pub(super) fn frame(page: u64, number: u64) -> Frame {
    const ENABLED: u64 = 1;
    let mut frame = Frame::new(text::at(page, number), DATA + 0x800);
    let control = SCTLR_EL1.get();
    frame.x[2] = control & !ENABLED;
    frame.x[3] = control;
    // A frame record that leads to itself.
    frame.x[29] = DATA + 0x900;
    arena::write(DATA + 0x900, DATA + 0x900);
    arena::write(DATA + 0x908, TEXT);
    frame
}
