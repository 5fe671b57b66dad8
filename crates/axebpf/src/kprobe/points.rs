//! From the name of a target to the places in a guest's kernel that it means.

use alloc::{string::String, vec::Vec};

use axebpf_guestprobe::ProbeKind;
use axebpf_platform::GuestVirt;
use axebpf_symbols::{Glob, KernelSymbol, nearest};

use super::{Guest, GuestError};
use crate::Error;

/// What a target names.
pub(crate) struct Wanted<'t> {
    pub(crate) symbol: &'t str,
    pub(crate) offset: u64,
    pub(crate) kind: ProbeKind,
    /// The most functions that a glob may match.
    pub(crate) limit: usize,
}

/// One place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The instruction.
    pub(crate) at: GuestVirt,
    /// Where its function starts.
    pub(crate) function: GuestVirt,
}

impl Place {
    fn new(function: u64, offset: u64) -> Self {
        Self {
            at: GuestVirt::new(function.wrapping_add(offset)),
            function: GuestVirt::new(function),
        }
    }
}

/// What a target means.
pub(crate) enum Places {
    /// This very place, which is an error if it cannot be probed.
    One(Place),
    /// What a glob matches, of which those are left out that cannot be probed.
    Many(Vec<Place>),
}

/// Finds what `wanted` means in `guest`.
pub(crate) fn places(guest: &Guest, wanted: &Wanted<'_>) -> Result<Places, Error> {
    if let Some(digits) = wanted.symbol.strip_prefix("0x")
        && let Ok(address) = u64::from_str_radix(digits, 16)
    {
        return Ok(Places::One(Place::new(address, wanted.offset)));
    }
    let symbols = guest.symbols()?;
    let named = distinct(symbols.lookup_names(wanted.symbol));
    match named.as_slice() {
        [symbol] => one(symbol, wanted),
        [] if wanted.symbol.contains(['*', '?', '[']) => by_glob(guest, wanted),
        [] => {
            let names: Vec<String> = symbols
                .iter()
                .filter(KernelSymbol::is_code)
                .map(|symbol| symbol.name().into())
                .collect();
            let near = nearest(wanted.symbol, names.iter().map(String::as_str), 3);
            Err(missing(guest, wanted, near))
        }
        several => Err(GuestError::Ambiguous {
            vm: guest.vm,
            name: wanted.symbol.into(),
            addresses: several
                .iter()
                .map(|symbol| GuestVirt::new(symbol.address()))
                .collect(),
        }
        .into()),
    }
}

fn one(symbol: &KernelSymbol<'_>, wanted: &Wanted<'_>) -> Result<Places, Error> {
    let (offset, size) = (wanted.offset, symbol.size());
    // Of the last symbol there is no size.
    if offset != 0 && size != 0 && offset >= size {
        return Err(GuestError::OutsideFunction {
            name: wanted.symbol.into(),
            offset,
            size,
        }
        .into());
    }
    let offset = match wanted.kind {
        ProbeKind::Entry => offset,
        ProbeKind::Return => 0,
    };
    Ok(Places::One(Place::new(symbol.address(), offset)))
}

fn by_glob(guest: &Guest, wanted: &Wanted<'_>) -> Result<Places, Error> {
    let glob = Glob::new(wanted.symbol).map_err(|cause| Error::BadGlob {
        text: wanted.symbol.into(),
        cause,
    })?;
    if wanted.offset != 0 {
        return Err(Error::OffsetOfMany {
            glob: wanted.symbol.into(),
        });
    }
    let symbols = guest.symbols()?;
    let found = distinct(symbols.matching(&glob));
    if found.is_empty() {
        return Err(missing(guest, wanted, Vec::new()));
    }
    if found.len() > wanted.limit {
        return Err(GuestError::TooMany {
            glob: wanted.symbol.into(),
            found: found.len(),
            limit: wanted.limit,
        }
        .into());
    }
    let places = found.iter().map(|symbol| Place::new(symbol.address(), 0));
    Ok(Places::Many(places.collect()))
}

fn missing(guest: &Guest, wanted: &Wanted<'_>, near: Vec<String>) -> Error {
    GuestError::NoFunction {
        vm: guest.vm,
        name: wanted.symbol.into(),
        near,
    }
    .into()
}

/// Returns the functions among `symbols`, one for each address, sorted by it.
fn distinct<'a>(symbols: impl Iterator<Item = KernelSymbol<'a>>) -> Vec<KernelSymbol<'a>> {
    let mut found: Vec<_> = symbols.filter(KernelSymbol::is_code).collect();
    found.sort_unstable_by_key(KernelSymbol::address);
    found.dedup_by_key(|symbol| symbol.address());
    found
}
