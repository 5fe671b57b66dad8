//! Branches into text whose page is guarded: they have to find landing pads (`FEAT_BTI`, ARM ARM D8.4.6).

use aarch64_cpu::{
    asm::barrier,
    registers::{Readable, SCTLR_EL1, Writeable},
};

use super::{Teller, frame};
use crate::hostile::{
    arena::{GUARDED, TEXT},
    frame::KERNEL,
    text::{self, piece},
};

/// What is branched to: all kinds of landing pads, and what is none.
const LANDINGS: [u64; 14] = [
    piece::NO_PAD,
    piece::CALL_PAD,
    piece::JUMP_PAD,
    piece::ANY_PAD,
    piece::SIGN,
    piece::SIGN_WITH_B,
    piece::NOTHING,
    piece::ADD,
    piece::PUSH,
    piece::BRANCH,
    piece::READ_LEVEL,
    piece::UNDEFINED,
    piece::FOREIGN_BRK,
    piece::FOREIGN_HVC,
];

/// What branches there: the page and the piece. Jumps out of guarded pages are told from others.
const BRANCHES: [(u64, u64); 6] = [
    (GUARDED, piece::CALL_REGISTER),
    (GUARDED, piece::JUMP),
    (GUARDED, piece::JUMP_OF_VENEER),
    (GUARDED, piece::RETURN),
    (TEXT, piece::CALL_REGISTER),
    (TEXT, piece::JUMP),
];

/// How many kinds of branches `PSTATE.BTYPE` tells apart, that of none among them.
const BRANCH_TYPES: u64 = 4;
const BRANCH_TYPE: u32 = 10;

// `SCTLR_EL1.EnIA` and `EnIB`, with which `PACIASP` and `PACIBSP` sign, and `BT1`, with which jumps do not land on
// them.
const SIGNED: u64 = 1 << 31 | 1 << 30;
const PADS_OF_CALLS: u64 = 1 << 36;

/// Branches to all of [`LANDINGS`] in all ways.
pub(super) fn landings(teller: &mut Teller) {
    let usual = SCTLR_EL1.get();
    for control in [usual, usual | SIGNED | PADS_OF_CALLS] {
        SCTLR_EL1.set(control);
        barrier::isb(barrier::SY);
        for landing in LANDINGS {
            branches_to(text::at(GUARDED, landing), teller);
            for kind in 0..BRANCH_TYPES {
                let mut frame = frame(GUARDED, landing);
                frame.pstate = KERNEL | kind << BRANCH_TYPE;
                teller.run(frame);
            }
        }
    }
    SCTLR_EL1.set(usual);
}

fn branches_to(landing: u64, teller: &mut Teller) {
    for (page, branch) in BRANCHES {
        let mut frame = frame(page, branch);
        frame.x[1] = landing;
        frame.x[16] = landing;
        teller.run(frame);
    }
}
