//! Histograms drawn in text.

use core::fmt::{self, Write};

use super::table::LINE_WIDTH;

/// The columns of the longest bar, where counts leave that much.
const BAR: usize = 40;

/// The columns that bounds, blanks and the ends of a bar take.
const AROUND: usize = 22;

/// Which values a slot counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slots {
    /// Slot `i` counts those from `2^i` up to but not including `2^(i + 1)`, and slot 0 also the
    /// value 0.
    #[cfg_attr(not(any(test, feature = "runtime")), expect(dead_code))]
    FloorOfLog,
    /// Slot 0 counts the value 0, slot `i` those from `2^(i - 1)` up to but not including `2^i`.
    #[cfg_attr(not(feature = "tracepoint-support"), expect(dead_code))]
    BitLength,
}

impl Slots {
    /// The exponent of the lower bound of a slot; `None` if that is 0.
    fn low(self, slot: usize) -> Option<usize> {
        match self {
            Self::FloorOfLog if slot == 0 => None,
            Self::FloorOfLog => Some(slot),
            Self::BitLength => slot.checked_sub(1),
        }
    }

    /// The exponent of the upper bound of a slot.
    fn high(self, slot: usize) -> usize {
        match self {
            Self::FloorOfLog => slot + 1,
            Self::BitLength => slot,
        }
    }
}

/// Draws a histogram, one slot a line.
///
/// Leaves out the empty slots before the first and after the last that counted anything. An empty
/// histogram draws as one line that says so.
pub(crate) fn draw_log2(
    out: &mut dyn Write,
    slots: &[u64],
    scheme: Slots,
    unit: &str,
) -> fmt::Result {
    let Some(first) = slots.iter().position(|&count| count != 0) else {
        return writeln!(out, "  (nothing counted yet)");
    };
    let last = slots.iter().rposition(|&count| count != 0).unwrap_or(first);
    let most = slots.iter().copied().max().unwrap_or(1).max(1);
    let digits = most.ilog10() as usize + 1;
    let width = digits.max("count".len());
    let bar = BAR.min(LINE_WIDTH - AROUND - width);
    writeln!(out, "  {unit:<14}  {:>width$}  distribution", "count")?;
    for (slot, &count) in slots.iter().enumerate().take(last + 1).skip(first) {
        let (low, high) = (Bound(scheme.low(slot)), Bound(Some(scheme.high(slot))));
        write!(out, "  [{low:>5}, {high:>5})  {count:>width$}  ")?;
        draw_bar(out, count, most, bar)?;
    }
    Ok(())
}

fn draw_bar(out: &mut dyn Write, count: u64, most: u64, bar: usize) -> fmt::Result {
    let full = (u128::from(count) * bar as u128).div_ceil(u128::from(most)) as usize;
    out.write_char('|')?;
    for column in 0..bar {
        out.write_char(if column < full { '#' } else { ' ' })?;
    }
    out.write_str("|\n")
}

/// A bound of a slot: 0, or a power of two by its exponent, short with the binary suffixes K, M, G,
/// T, P, E.
struct Bound(Option<usize>);

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SUFFIX: [&str; 7] = ["", "K", "M", "G", "T", "P", "E"];
        let Some(power) = self.0 else {
            return f.pad("0");
        };
        let Some(suffix) = SUFFIX.get(power / 10) else {
            return f.pad("inf");
        };
        let mut text = Short::default();
        write!(text, "{}{suffix}", 1u64 << (power % 10))?;
        f.pad(text.as_str())
    }
}

/// Text of a few characters, so that a bound can be padded as a whole.
#[derive(Default)]
struct Short {
    bytes: [u8; 8],
    len: usize,
}

impl Short {
    fn as_str(&self) -> &str {
        core::str::from_utf8(&self.bytes[..self.len]).unwrap_or("")
    }
}

impl Write for Short {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let end = self.len + text.len();
        self.bytes
            .get_mut(self.len..end)
            .ok_or(fmt::Error)?
            .copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use alloc::{string::String, vec};

    use super::*;

    fn drawn(slots: &[u64]) -> String {
        let mut out = String::new();
        draw_log2(&mut out, slots, Slots::FloorOfLog, "ns").unwrap();
        out
    }

    #[test]
    fn an_empty_histogram_says_so() {
        assert_eq!(drawn(&[0; 64]), "  (nothing counted yet)\n");
        assert_eq!(drawn(&[]), "  (nothing counted yet)\n");
    }

    #[test]
    fn bars_are_in_proportion_and_lines_fit() {
        let mut slots = vec![0; 64];
        slots[0] = 1;
        slots[2] = 200;
        slots[63] = u64::MAX;
        let drawn = drawn(&slots);
        assert!(drawn.lines().all(|line| line.len() <= 80), "{drawn}");
        assert!(drawn.contains("[    0,     2)"), "{drawn}");
        assert!(drawn.contains("[   8E,   16E)"), "{drawn}");
        assert!(
            drawn
                .lines()
                .last()
                .is_some_and(|line| line.contains(&"#".repeat(38))),
            "{drawn}"
        );
        // What counted at all shows, however little it is.
        assert!(
            drawn.lines().nth(1).is_some_and(|line| line.contains('#')),
            "{drawn}"
        );
    }

    #[test]
    fn bounds_are_short() {
        let mut slots = vec![0; 64];
        slots[9] = 3;
        slots[10] = 6;
        assert_eq!(
            drawn(&slots),
            "  ns              count  distribution\n\
             \x20 [  512,    1K)      3  |####################                    |\n\
             \x20 [   1K,    2K)      6  |########################################|\n"
        );
    }
}
