//! What neither loads nor stores.

use super::{Teller, frame};
use crate::hostile::{
    arena::{MISSING, TEXT},
    text::piece,
};

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

pub(super) fn others(teller: &mut Teller) {
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
