//! Text with traps of its own, and text that changes.

use super::{Teller, frame};
use crate::hostile::{
    arena::{self, ALIAS, DATA, MIXED, OTHER_TEXT, SHARED_TEXT, TEXT},
    text::{self, piece},
};

/// Text that is written over by the one vCPU that executes it, with traps of its own among other things.
pub(super) fn words(teller: &mut Teller) {
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
pub(in super::super) fn foreign() {
    let mut teller = Teller::default();
    for page in [TEXT, OTHER_TEXT, SHARED_TEXT, MIXED + 0x800] {
        for number in [piece::FOREIGN_BRK, piece::FOREIGN_HVC] {
            teller.run(frame(page, number));
        }
    }
    teller.sum_up("foreign");
}
