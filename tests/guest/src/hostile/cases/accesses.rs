//! Loads, stores and pushes, on all kinds of addresses.

use super::{Teller, frame};
use crate::hostile::{
    arena::{ALIAS, CONSTANT, DATA, MISSING, TEXT, UNTOUCHED, USER, through},
    text::piece,
};

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

pub(super) fn accesses(teller: &mut Teller) {
    for number in ACCESSES {
        for address in ADDRESSES {
            let mut frame = frame(TEXT, number);
            frame.x[1] = address;
            teller.run(frame);
        }
    }
}

pub(super) fn pushes(teller: &mut Teller) {
    for number in [piece::PUSH, piece::UNTRANSLATED_PUSH] {
        for stack in STACKS {
            let mut frame = frame(TEXT, number);
            frame.sp = stack;
            teller.run(frame);
        }
    }
}
