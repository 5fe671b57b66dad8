//! Processor states, good ones and bad ones.

use aarch64_cpu::registers::{MDSCR_EL1, Readable, Writeable};

use super::{Teller, frame};
use crate::hostile::{
    arena::{CONSTANT, DATA, MISSING, SHARED_TEXT, TEXT, USER},
    frame::{KERNEL, KERNEL_ON_USER_STACK, PROGRAM},
    text::piece,
};

const STEP_STATE: u64 = 1 << 21;
const ILLEGAL_STATE: u64 = 1 << 20;
const PRIVILEGED_ACCESS_NEVER: u64 = 1 << 22;
const BRANCH_TYPE: u64 = 1 << 10;
const HYPERVISOR: u64 = 0x3c9;

/// Other processor states, good ones and bad ones.
pub(super) fn states(teller: &mut Teller) {
    for number in [piece::PUSH, piece::LOAD, piece::ADD, piece::NOTHING] {
        for state in [
            KERNEL_ON_USER_STACK,
            KERNEL | STEP_STATE,
            KERNEL | ILLEGAL_STATE,
            KERNEL | PRIVILEGED_ACCESS_NEVER,
            KERNEL | BRANCH_TYPE,
            KERNEL & !0x3c0 | 0x1c0,
            HYPERVISOR,
        ] {
            for address in [USER + 0x80, MISSING] {
                let mut frame = frame(TEXT, number);
                frame.x[1] = address;
                frame.pstate = state;
                teller.run(frame);
            }
        }
        let mut odd = frame(TEXT, number);
        odd.pc += 2;
        teller.run(odd);
    }
    programs(teller);
}

/// Text that programs share with the kernel.
fn programs(teller: &mut Teller) {
    for number in [
        piece::ADD,
        piece::NOTHING,
        piece::LOAD,
        piece::STORE,
        piece::UNDEFINED,
        piece::FOREIGN_BRK,
        piece::FOREIGN_HVC,
    ] {
        for address in [USER + 0x80, DATA, CONSTANT] {
            for state in [PROGRAM, KERNEL] {
                let mut frame = frame(SHARED_TEXT, number);
                frame.x[1] = address;
                frame.sp = USER + 0x800;
                frame.pstate = state;
                teller.run(frame);
            }
        }
    }
}

/// The guest steps itself.
pub(super) fn stepped(teller: &mut Teller) {
    const STEP: u64 = 1;
    const KERNEL_DEBUG: u64 = 1 << 13;
    const DEBUG_UNMASKED: u64 = KERNEL & !0x200;
    let usual = MDSCR_EL1.get();
    for number in [piece::ADD, piece::NOTHING, piece::LOAD, piece::BRANCH] {
        MDSCR_EL1.set(usual | STEP | KERNEL_DEBUG);
        let mut frame = frame(TEXT, number);
        frame.x[1] = DATA;
        frame.pstate = DEBUG_UNMASKED | STEP_STATE;
        let end = *frame.run();
        MDSCR_EL1.set(usual);
        teller.tell(&end);
    }
}
