//! Finding the table of tokens: 256 strings, of which each digit is one.

use alloc::vec::Vec;
use core::ops::Range;

use super::window::Window;
use crate::GuestMemory;

/// How many tokens there are.
const TOKENS: usize = 256;
/// No table is larger: real ones have less than 1 KiB.
const MAX_LEN: u64 = 8 << 10;
/// How many places are taken for a table before the search ends: a guest could make each place look like one.
const ATTEMPTS: usize = 4096;
/// How many bytes the strings of the ten digits have.
const DIGITS: u64 = 20;

/// The table of tokens in a guest's memory.
pub(super) struct Found {
    /// Where it starts.
    pub(super) start: u64,
    /// Where its index ends.
    pub(super) end: u64,
    /// The 256 strings, each with a zero behind it.
    pub(super) table: Vec<u8>,
}

/// Rounds up to a multiple of 8, which all tables start at.
pub(super) fn aligned(at: u64) -> u64 {
    (at + 7) & !7
}

/// Finds the table in `range`.
pub(super) fn find<M: GuestMemory + ?Sized>(
    window: &mut Window<'_, M>,
    range: &Range<u64>,
) -> Option<Found> {
    let mut attempts = ATTEMPTS;
    let mut page = range.start;
    while page < range.end && attempts > 0 {
        let hints = window.page(page).map(hints_in).unwrap_or_default();
        for hint in hints {
            let found = digits_around(window, page + u64::from(hint))
                .filter(|digits| digits + DIGITS <= range.end)
                .and_then(|digits| table_around(window, range, digits, &mut attempts));
            if found.is_some() {
                return found;
            }
        }
        page += 4096;
    }
    None
}

/// Returns where in a page two neighbouring digits are, each with a zero behind it. Looks at one place in 16, because
/// the ten of them cover at least one wherever they are.
fn hints_in(page: &[u8; 4096]) -> Vec<u16> {
    let is_digit = |byte: u8| byte.is_ascii_digit();
    page.chunks_exact(16)
        .enumerate()
        .filter(|(_, chunk)| match chunk {
            [a, 0, b, 0, ..] | [0, a, 0, b, ..] => is_digit(*a) && *b == *a + 1,
            _ => false,
        })
        .map(|(index, _)| (index * 16) as u16)
        .collect()
}

/// Returns where the string of the digit 0 starts, if those of all ten are around `hint`.
fn digits_around<M: GuestMemory + ?Sized>(window: &mut Window<'_, M>, hint: u64) -> Option<u64> {
    let first = match window.byte(hint)? {
        0 => hint + 1,
        _ => hint,
    };
    let digit = window.byte(first)?.checked_sub(b'0')?;
    let zero = first.checked_sub(2 * u64::from(digit))?;
    for (index, expected) in (0..).zip(b'0'..=b'9') {
        let at = zero + 2 * index;
        if window.byte(at)? != expected || window.byte(at + 1)? != 0 {
            return None;
        }
    }
    Some(zero)
}

/// Finds the table whose digits start at `digits`: 48 strings before them, and an index behind that agrees.
fn table_around<M: GuestMemory + ?Sized>(
    window: &mut Window<'_, M>,
    range: &Range<u64>,
    digits: u64,
    attempts: &mut usize,
) -> Option<Found> {
    let mut strings = 0;
    let lowest = digits.saturating_sub(MAX_LEN).max(range.start);
    let mut start = digits;
    while start > lowest && strings <= u32::from(b'0') {
        start -= 1;
        if window.byte(start)? == 0 {
            strings += 1;
        }
        if strings == u32::from(b'0') && start.is_multiple_of(8) {
            *attempts = attempts.checked_sub(1)?;
            if let Some(found) = table_at(window, start) {
                return Some(found);
            }
        }
    }
    None
}

/// Reads the table at `start`, if its index agrees with it.
fn table_at<M: GuestMemory + ?Sized>(window: &mut Window<'_, M>, start: u64) -> Option<Found> {
    let mut table = Vec::new();
    let mut starts = Vec::with_capacity(TOKENS);
    for _ in 0..TOKENS {
        starts.push(table.len());
        loop {
            let byte = window.byte(start + table.len() as u64)?;
            table.push(byte);
            if table.len() as u64 > MAX_LEN {
                return None;
            }
            if byte == 0 {
                break;
            }
        }
    }
    let index = aligned(start + table.len() as u64);
    for (number, &expected) in (0..).zip(&starts) {
        if usize::from(window.u16(index + 2 * number)?) != expected {
            return None;
        }
    }
    Some(Found {
        start,
        end: index + 2 * TOKENS as u64,
        table,
    })
}
