//! Finding type information (`Documentation/bpf/btf.rst` of Linux).

use core::ops::Range;

use super::window::Window;
use crate::GuestMemory;

/// Magic number, version 1, no flags.
const START: u32 = 0x0001_eb9f;
/// The length of a header.
const HEADER: u32 = 24;
/// Distributions' kernels have 3 to 8 MiB.
const MAX_LEN: u64 = 16 << 20;
/// How many headers are looked at before the search ends: a guest could make each place look like one.
const ATTEMPTS: usize = 1024;
/// Modules have some too, and test data looks like it; a kernel has more than that.
const MIN_TYPES: u32 = 64 << 10;

/// Finds the type information of a kernel in `range`.
pub(super) fn find<M: GuestMemory + ?Sized>(
    window: &mut Window<'_, M>,
    range: &Range<u64>,
) -> Option<Range<u64>> {
    let mut attempts = ATTEMPTS;
    let mut page = range.start;
    while page < range.end {
        let starts = window.page(page).map(starts_in);
        for offset in starts.into_iter().flatten().flatten() {
            attempts = attempts.checked_sub(1)?;
            let at = page + u64::from(offset);
            if let Some(len) = length_at(window, at)
                && at + len <= range.end
            {
                return Some(at..at + len);
            }
        }
        page += 4096;
    }
    None
}

/// How many candidates a page may have before the rest of it is not looked at.
const CANDIDATES: usize = 8;

/// Returns where in a page a header may start.
fn starts_in(page: &[u8; 4096]) -> [Option<u16>; CANDIDATES] {
    let mut starts = [None; CANDIDATES];
    let found = page
        .chunks_exact(4)
        .enumerate()
        .filter(|(_, word)| *word == START.to_le_bytes())
        .map(|(index, _)| (index * 4) as u16);
    for (slot, offset) in starts.iter_mut().zip(found) {
        *slot = Some(offset);
    }
    starts
}

/// Returns the length of the type information at `at`, if its header is what Linux's builds write: first types, then
/// strings, right behind the header.
fn length_at<M: GuestMemory + ?Sized>(window: &mut Window<'_, M>, at: u64) -> Option<u64> {
    let mut fields = [0; 5];
    for (index, field) in (1..).zip(&mut fields) {
        *field = window.u32(at + 4 * index)?;
    }
    let [header, type_off, type_len, str_off, str_len] = fields;
    let len = u64::from(HEADER) + u64::from(type_len) + u64::from(str_len);
    let is_sound = header == HEADER
        && type_off == 0
        && type_len >= MIN_TYPES
        && str_off == type_len
        && str_len > 1
        && len <= MAX_LEN;
    // The first string is the empty one.
    let strings = at + u64::from(HEADER) + u64::from(type_len);
    (is_sound && window.byte(strings)? == 0).then_some(len)
}
