//! The text that is probed: where it is, and what can be probed of it.

use std::ops::Range;

/// All modes.
pub(crate) const MODES: [&str; 4] = ["hidden-brk", "stage2-fault", "brk", "hvc"];

/// Tells whether the guest sees the traps of `mode` when it reads its text.
pub(crate) fn is_in_sight(mode: &str) -> bool {
    ["brk", "hvc"].contains(&mode)
}

/// Where the guest's text is: one piece every 32 bytes.
pub(crate) const TEXT: u64 = 0x4060_0000;
/// Text that programs execute, too.
pub(crate) const SHARED_TEXT: u64 = 0x4060_7000;
/// Text that is mapped now here, now there.
pub(crate) const MOVING: u64 = 0x4060_9000;
/// Text with data in the same page.
pub(crate) const MIXED: u64 = 0x4060_c800;
/// Text into which branches have to find landing pads.
pub(crate) const GUARDED: u64 = 0x4060_e000;

/// The number of the piece that loads.
pub(crate) const LOAD: u64 = 1;
/// The number of the piece that adds.
pub(crate) const ADD: u64 = 6;
/// The numbers of the pieces whose third instruction is the one that matters.
const UNTRANSLATED: Range<u64> = 30..32;
/// The number of the piece that is undefined.
const UNDEFINED: u64 = 20;
/// The numbers of the pieces that have a trap of their own.
const FOREIGN: Range<u64> = 32..34;
/// The number of the piece that the guest writes over.
pub(crate) const REWRITTEN: u64 = 34;
/// The numbers of the pieces that are landing pads.
const PADS: Range<u64> = 36..41;
/// How many pieces there are.
const PIECES: u64 = 42;

/// Returns where piece `number` of the text at `page` is to be probed.
pub(crate) fn piece(page: u64, number: u64) -> u64 {
    let third = if UNTRANSLATED.contains(&number) { 8 } else { 0 };
    page + 32 * number + third
}

/// What an attempt to attach a probe should come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// There is a link.
    Attached,
    /// There is none, with these words in the reason.
    Refused(&'static str),
}

impl Outcome {
    /// Returns what comes of a probe at piece `number` in `mode`, on a processor of which `branches` says whether they
    /// have to land.
    fn of(number: u64, mode: &str, branches: Branches) -> Self {
        if number == UNDEFINED || FOREIGN.contains(&number) {
            Self::Refused("cannot be probed")
        } else if mode == "hvc" && branches == Branches::Land && PADS.contains(&number) {
            Self::Refused("is a landing pad of indirect branches")
        } else {
            Self::Attached
        }
    }
}

/// Whether the processor makes indirect branches find landing pads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Branches {
    Land,
    Free,
}

/// Returns all places that there can be a probe at in `mode`, and some where there cannot, with what comes of it.
pub(crate) fn places(mode: &str, branches: Branches) -> Vec<(u64, Outcome)> {
    let mut places = Vec::new();
    for page in [TEXT, SHARED_TEXT, GUARDED] {
        // `HVC` is no instruction to programs.
        if page == SHARED_TEXT && mode == "hvc" {
            continue;
        }
        for number in 0..PIECES {
            // In plain sight, what the guest writes over a trap is the guest's.
            if number == REWRITTEN && page == TEXT && is_in_sight(mode) {
                continue;
            }
            places.push((piece(page, number), Outcome::of(number, mode, branches)));
        }
    }
    places
}
