//! Finding the compressed symbol tables of a kernel (`scripts/kallsyms.c` of Linux).
//!
//! Up to Linux 6.3 their order is: offsets, base, number, names, markers, (from 6.2 on: order by name,) tokens, index
//! of tokens. Later it is: number, names, markers, tokens, index of tokens, offsets, base, order by name. Each starts
//! at a multiple of 8.

use alloc::vec::Vec;
use core::ops::Range;

use axebpf_symbols::CompressedSymbols;

use super::scan::{KernelScanError, Sought, not_found, reserved};
use super::tokens::{self, Found, aligned};
use super::window::Window;
use crate::GuestMemory;

/// How many symbols a kernel has.
const SYMBOLS: Range<u32> = 256..1 << 20;
/// How far before the tokens the names may start.
const MAX_NAMES: u64 = 16 << 20;
/// One marker says where the name of each symbol is whose number is a multiple of this.
const PER_MARKER: u32 = 256;
/// How often names are walked through before the search ends: a guest could make each place look like a start.
const ATTEMPTS: usize = 16;

/// The names in a guest's memory.
struct Names {
    /// Where their number is.
    start: u64,
    count: u32,
    /// How many bytes they have.
    len: u64,
}

/// Finds and copies the tables in `range`.
pub(super) fn find<M: GuestMemory + ?Sized>(
    window: &mut Window<'_, M>,
    range: &Range<u64>,
) -> Result<CompressedSymbols, KernelScanError> {
    let missing = |sought| not_found(range, sought);
    let tokens = tokens::find(window, range).ok_or(missing(Sought::Tokens))?;
    let names = find_names(window, range, &tokens).ok_or(missing(Sought::Names))?;
    let mut offsets = reserved(names.count as usize)?;
    let base = find_offsets(window, &names, &tokens, &mut offsets);
    let base = base.ok_or(missing(Sought::Offsets))?;
    let mut copied = reserved(names.len as usize)?;
    copied.extend((0..names.len).map_while(|offset| window.byte(names.start + 8 + offset)));
    if copied.len() as u64 != names.len {
        return Err(missing(Sought::Names));
    }
    Ok(CompressedSymbols {
        names: copied,
        token_table: tokens.table,
        offsets,
        base,
    })
}

/// Finds the names before the tokens.
fn find_names<M: GuestMemory + ?Sized>(
    window: &mut Window<'_, M>,
    range: &Range<u64>,
    tokens: &Found,
) -> Option<Names> {
    let lowest = tokens.start.saturating_sub(MAX_NAMES).max(range.start);
    let mut attempts = 0;
    let mut start = tokens.start;
    while start >= lowest + 8 && attempts < ATTEMPTS {
        start -= 8;
        // A number of 32 bits, and zeroes up to the names.
        let Some(count) = window
            .u64(start)
            .and_then(|number| u32::try_from(number).ok())
            .filter(|count| SYMBOLS.contains(count))
        else {
            continue;
        };
        attempts += 1;
        if let Some(len) = names_at(window, start + 8, count, tokens.start) {
            return Some(Names { start, count, len });
        }
    }
    None
}

/// Returns the length of the names at `start`, if there are `count` of them, with markers that agree and with the
/// tokens behind them.
fn names_at<M: GuestMemory + ?Sized>(
    window: &mut Window<'_, M>,
    start: u64,
    count: u32,
    tokens: u64,
) -> Option<u64> {
    let mut marked = Vec::new();
    let mut at = start;
    for number in 0..count {
        if number % PER_MARKER == 0 {
            marked.push(u32::try_from(at - start).ok()?);
        }
        let low = u64::from(window.byte(at)?);
        let (len, header) = if low & 0x80 == 0 {
            (low, 1)
        } else {
            (low & 0x7f | u64::from(window.byte(at + 1)?) << 7, 2)
        };
        at += header + len;
        if len == 0 || at > tokens {
            return None;
        }
    }
    let markers = aligned(at);
    for (index, &expected) in (0..).zip(&marked) {
        if window.u32(markers + 4 * index)? != expected {
            return None;
        }
    }
    let behind = aligned(markers + 4 * marked.len() as u64);
    let order_by_name = aligned(behind + 3 * u64::from(count));
    [behind, order_by_name]
        .contains(&tokens)
        .then_some(at - start)
}

/// Finds the offsets, before the names or behind the tokens, reads them into `offsets`, and returns the base that
/// follows them.
fn find_offsets<M: GuestMemory + ?Sized>(
    window: &mut Window<'_, M>,
    names: &Names,
    tokens: &Found,
    offsets: &mut Vec<u32>,
) -> Option<u64> {
    let len = aligned(4 * u64::from(names.count));
    let behind = aligned(tokens.end);
    let before = names.start.checked_sub(8 + len);
    [Some(behind), before]
        .into_iter()
        .flatten()
        .find(|&start| read_offsets(window, start, names.count, offsets).is_some())
        .and_then(|start| window.u64(start + len))
}

/// Reads the offsets at `start` into `offsets`, which has room for them, if they ascend as those of symbols do.
fn read_offsets<M: GuestMemory + ?Sized>(
    window: &mut Window<'_, M>,
    start: u64,
    count: u32,
    offsets: &mut Vec<u32>,
) -> Option<()> {
    offsets.clear();
    let mut last = 0;
    for index in 0..u64::from(count) {
        let offset = window.u32(start + 4 * index)?;
        if offset < last {
            return None;
        }
        last = offset;
        offsets.push(offset);
    }
    // All alike is not a table but emptiness.
    (offsets.first() != offsets.last()).then_some(())
}
