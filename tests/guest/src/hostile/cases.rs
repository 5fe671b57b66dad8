//! Single instructions on all kinds of registers, one after the other on one vCPU.

use aarch64_cpu::registers::{MDSCR_EL1, Readable, SCTLR_EL1, SP_EL0, Writeable};

use super::{
    arena::{
        self, ALIAS, ARENA, CONSTANT, DATA, MISSING, MIXED, OTHER_TEXT, SHARED_TEXT, TEXT,
        UNTOUCHED, USER, through,
    },
    frame::{End, Frame, KERNEL, KERNEL_ON_USER_STACK, PROGRAM},
    text::{self, piece},
};
use crate::console::println;

/// What loads and stores are tried on: memory, its edges, devices, what is not the guest's, and nothing.
const ADDRESSES: [u64; 26] = [
    DATA + 0x100,
    DATA + 0x105,
    0x5a00_0000_0000_0000 | (DATA + 0x110),
    CONSTANT - 4,
    CONSTANT + 0x40,
    UNTOUCHED - 4,
    UNTOUCHED + 0x18,
    MISSING - 3,
    MISSING + 0x28,
    USER + 0x30,
    TEXT + 0xc00,
    ALIAS + 0xc08,
    0x0b00_0000,
    0x5000_0000,
    0x4200_0000,
    0x1234_5678_9abc_def0,
    0x00ff_ffff_ffff_fff8,
    u64::MAX - 6,
    through(0, 0),
    through(1, 0x10),
    through(2, 0x20),
    through(3, 0x0060_2120),
    through(4, 0x0b00_0008),
    through(5, 0x30),
    through(6, 0x2040),
    through(7, 0x50),
];

/// The pieces that load or store at x1.
const ACCESSES: [u64; 11] = [
    piece::LOAD,
    piece::STORE,
    piece::LOAD_PAIR,
    piece::STORE_BEFORE,
    piece::LOAD_BYTE,
    piece::LOAD_WORD,
    piece::STORE_WORD,
    piece::STORE_ODD,
    piece::PREFETCH,
    piece::CLEAN,
    piece::UNTRANSLATED_LOAD,
];

/// What stacks are pushed to.
const STACKS: [u64; 16] = [
    DATA + 0x200,
    DATA + 0x208,
    DATA + 0x201,
    CONSTANT,
    CONSTANT + 0x40,
    MISSING + 0x40,
    MISSING + 8,
    USER + 0x100,
    TEXT + 0xd00,
    0x0b00_0040,
    0x5000_0040,
    0x1234_5678_9abc_def0,
    0,
    u64::MAX - 15,
    through(0, 0x100),
    through(2, 0x100),
];

/// The pieces that neither load nor store.
const OTHERS: [u64; 21] = [
    piece::ADD,
    piece::ADDRESS,
    piece::BRANCH,
    piece::CALL,
    piece::IF_ZERO,
    piece::IF_BIT,
    piece::JUMP,
    piece::CALL_REGISTER,
    piece::RETURN,
    piece::NOTHING,
    piece::READ_MASKS,
    piece::SET_MASKS,
    piece::OTHER_STACK,
    piece::READ_LEVEL,
    piece::UNDEFINED,
    piece::MOVE_STACK,
    piece::READ_FEATURES,
    piece::COMPARE,
    piece::LOAD_LITERAL,
    piece::FOREIGN_BRK,
    piece::FOREIGN_HVC,
];

/// Where jumps go to.
const TARGETS: [u64; 5] = [
    TEXT + 32 * piece::NOTHING + 4,
    TEXT + 2,
    MISSING,
    0x0b00_0000,
    0x1234_5678_9abc_def0,
];

const STEP_STATE: u64 = 1 << 21;
const ILLEGAL_STATE: u64 = 1 << 20;
const PRIVILEGED_ACCESS_NEVER: u64 = 1 << 22;
const BRANCH_TYPE: u64 = 1 << 10;
const HYPERVISOR: u64 = 0x3c9;

/// Whether probed instructions store into the page in which they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnPage {
    Written,
    Spared,
}

impl OwnPage {
    /// Tells whether there is a case about `address`.
    fn allows(self, address: u64) -> bool {
        self == Self::Written || !(TEXT..DATA).contains(&address)
    }
}

/// Runs all cases and says how each ended.
pub(super) fn run(own: OwnPage) {
    arena::clear();
    SP_EL0.set(0);
    let mut teller = Teller::default();
    let usual = SCTLR_EL1.get();
    const ALIGNMENT_CHECK: u64 = 1 << 1;
    for control in [usual, usual | ALIGNMENT_CHECK] {
        SCTLR_EL1.set(control);
        accesses(&mut teller, own);
        pushes(&mut teller, own);
    }
    SCTLR_EL1.set(usual);
    others(&mut teller);
    states(&mut teller);
    stepped(&mut teller);
    words(&mut teller);
    println!("cases: {} in all, {:016x}", teller.number, teller.all);
}

fn accesses(teller: &mut Teller, own: OwnPage) {
    for number in ACCESSES {
        for address in ADDRESSES.into_iter().filter(|&at| own.allows(at)) {
            let mut frame = frame(TEXT, number);
            frame.x[1] = address;
            teller.run(frame);
        }
    }
}

fn pushes(teller: &mut Teller, own: OwnPage) {
    for number in [piece::PUSH, piece::UNTRANSLATED_PUSH] {
        for stack in STACKS.into_iter().filter(|&at| own.allows(at)) {
            let mut frame = frame(TEXT, number);
            frame.sp = stack;
            teller.run(frame);
        }
    }
}

fn others(teller: &mut Teller) {
    for number in OTHERS {
        for value in [0, 8] {
            let mut frame = frame(TEXT, number);
            frame.x[0] = value;
            frame.x[1] = TARGETS[0];
            teller.run(frame);
        }
    }
    for number in [piece::JUMP, piece::CALL_REGISTER, piece::RETURN] {
        for target in TARGETS {
            let mut frame = frame(TEXT, number);
            frame.x[1] = target;
            teller.run(frame);
        }
    }
}

/// Other processor states, good ones and bad ones.
fn states(teller: &mut Teller) {
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
fn stepped(teller: &mut Teller) {
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

/// Text that is written over by the one vCPU that executes it, with traps of its own among other things.
fn words(teller: &mut Teller) {
    const BRK: u32 = 0xd43d_77e0;
    const HVC: u32 = 0xd41d_77e2;
    const SVC: u32 = 0xd400_0aa1;
    const LDXR: u32 = 0xc85f_7c20;
    const ADD_7: u32 = 0x9100_1c00;
    for word in [ADD_7, BRK, HVC, SVC, LDXR, 0, ADD_7] {
        for base in [ALIAS, TEXT] {
            let place = text::at(base, piece::REWRITTEN);
            arena::write_instruction(place, text::at(TEXT, piece::REWRITTEN), word);
            let mut frame = frame(TEXT, piece::REWRITTEN);
            frame.x[1] = DATA + 0x300;
            teller.run(frame);
        }
    }
    text::restore(piece::REWRITTEN);
}

/// `BRK` and `HVC` with the immediate of probes in pages with probes and without.
pub(super) fn foreign() {
    let mut teller = Teller::default();
    for page in [TEXT, OTHER_TEXT, SHARED_TEXT, MIXED + 0x800] {
        for number in [piece::FOREIGN_BRK, piece::FOREIGN_HVC] {
            teller.run(frame(page, number));
        }
    }
    println!("foreign: {} in all, {:016x}", teller.number, teller.all);
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

/// Says how cases ended, each in a line.
#[derive(Default)]
struct Teller {
    number: u64,
    all: u64,
}

impl Teller {
    fn run(&mut self, mut frame: Frame) {
        let end = *frame.run();
        self.tell(&end);
    }

    fn tell(&mut self, end: &End) {
        let mut digest = 0xcbf2_9ce4_8422_2325;
        let rest = [
            end.sp_el1, end.sp_el0, end.esr, end.far, end.elr, end.spsr, end.vector,
        ];
        for value in end.x.iter().chain(&rest) {
            digest = mixed(digest, *value);
        }
        for at in (DATA..DATA + 0x1000).chain(USER..USER + 0x200).step_by(8) {
            digest = mixed(digest, arena::read(at));
        }
        for at in (ARENA + 0xb00..ARENA + 0xe00).step_by(64) {
            digest = mixed(digest, arena::read(at));
        }
        println!(
            "{} esr {:x} far {:x} elr {:x} spsr {:x} {digest:016x}",
            self.number, end.esr, end.far, end.elr, end.spsr
        );
        self.number += 1;
        self.all = mixed(self.all, digest);
    }
}

fn mixed(digest: u64, value: u64) -> u64 {
    (digest ^ value ^ value >> 32)
        .wrapping_mul(0x100_0000_01b3)
        .rotate_left(29)
}
