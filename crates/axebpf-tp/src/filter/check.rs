//! One test of a filter, in the form in which it runs.

use alloc::boxed::Box;

use axebpf_symbols::Glob;

use crate::field::{Field, read_unsigned, until_nul};
use crate::filter::parser::{Comparison, Condition, Test};

/// A test of the bytes at an offset.
#[derive(Clone, Debug)]
pub(super) struct Check {
    offset: usize,
    size: usize,
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    /// Whether the number is in a range, or outside of it.
    Range { extend: Extend, range: Range },
    /// Whether the bits under the mask are these, or others.
    Mask {
        extend: Extend,
        mask: u64,
        bits: u64,
        sense: Sense,
    },
    /// Whether the string is this one, or another one.
    Text { text: Box<[u8]>, sense: Sense },
    /// Whether the string matches.
    Glob(Glob),
}

/// Tells what an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sense {
    /// Yes passes.
    Yes,
    /// No passes.
    No,
}

/// How a field's bytes become 64 bits.
#[derive(Clone, Copy, Debug)]
struct Extend {
    /// How far the sign bit is from bit 63; 0 for an unsigned field, too.
    shift: u32,
    /// What makes the order of unsigned numbers that of the field's: the sign bit of a signed one.
    flip: u64,
}

/// A range of numbers, in the order that [`Extend::flip`] makes.
#[derive(Clone, Copy, Debug)]
struct Range {
    low: u64,
    /// The distance from the lowest to the highest.
    span: u64,
    sense: Sense,
}

impl Check {
    /// Lowers a test.
    pub(super) fn new(Test { field, condition }: &Test) -> Self {
        let extend = Extend::of(field);
        let mask = |mask, bits, sense| Kind::Mask {
            extend,
            mask,
            bits,
            sense,
        };
        let text = |text: &[u8], sense| Kind::Text {
            text: text.into(),
            sense,
        };
        let kind = match condition {
            Condition::Compares(comparison, number) => Kind::Range {
                extend,
                range: Range::of(*comparison, extend.order(*number)),
            },
            Condition::MaskedIs { mask: m, bits } => mask(*m, *bits, Sense::Yes),
            Condition::MaskedIsNot { mask: m, bits } => mask(*m, *bits, Sense::No),
            Condition::Is(wanted) => text(wanted, Sense::Yes),
            Condition::IsNot(unwanted) => text(unwanted, Sense::No),
            Condition::Matches(glob) => Kind::Glob(glob.clone()),
        };
        Self {
            offset: field.offset(),
            size: field.size(),
            kind,
        }
    }

    /// Tells whether the record passes. One that lacks the bytes does not.
    #[inline]
    pub(super) fn passes(&self, record: &[u8]) -> bool {
        let Some(bytes) = record.get(self.offset..self.offset + self.size) else {
            return false;
        };
        match &self.kind {
            Kind::Range { extend, range } => range.contains(extend.read(bytes) ^ extend.flip),
            Kind::Mask {
                extend,
                mask,
                bits,
                sense,
            } => sense.of(extend.read(bytes) & mask == *bits),
            Kind::Text { text, sense } => sense.of(until_nul(bytes) == &**text),
            Kind::Glob(glob) => glob.matches_bytes(until_nul(bytes)),
        }
    }
}

impl Sense {
    fn of(self, answer: bool) -> bool {
        answer == (self == Self::Yes)
    }
}

impl Extend {
    fn of(field: &Field) -> Self {
        if field.is_signed() {
            Self {
                shift: u64::BITS - 8 * field.size() as u32,
                flip: 1 << 63,
            }
        } else {
            Self { shift: 0, flip: 0 }
        }
    }

    /// Returns a field's bytes as 64 bits, sign and all.
    fn read(self, bytes: &[u8]) -> u64 {
        ((read_unsigned(bytes) << self.shift) as i64 >> self.shift) as u64
    }

    /// Returns where a number of a filter stands in the order of the field; may be outside of 64
    /// bits.
    fn order(self, number: i128) -> i128 {
        number + i128::from(self.flip)
    }
}

impl Range {
    /// Returns the numbers that compare so with another. What is outside of 64 bits is cut off.
    fn of(comparison: Comparison, number: i128) -> Self {
        let highest = i128::from(u64::MAX);
        let (low, high, sense) = match comparison {
            Comparison::Equal => (number, number, Sense::Yes),
            Comparison::NotEqual => (number, number, Sense::No),
            Comparison::Less => (0, number - 1, Sense::Yes),
            Comparison::LessOrEqual => (0, number, Sense::Yes),
            Comparison::Greater => (number + 1, highest, Sense::Yes),
            Comparison::GreaterOrEqual => (number, highest, Sense::Yes),
        };
        let (low, high) = (low.max(0), high.min(highest));
        if low > high {
            // Nothing is in it: what passes outside of it is everything.
            let sense = if sense == Sense::Yes {
                Sense::No
            } else {
                Sense::Yes
            };
            return Self {
                low: 0,
                span: u64::MAX,
                sense,
            };
        }
        Self {
            low: low as u64,
            span: (high - low) as u64,
            sense,
        }
    }

    fn contains(self, number: u64) -> bool {
        self.sense.of(number.wrapping_sub(self.low) <= self.span)
    }
}
