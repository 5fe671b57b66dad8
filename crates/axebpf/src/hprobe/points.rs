//! From the name of a target to the places that it means.

use alloc::{format, string::String, vec::Vec};

use axebpf_hprobe::{HprobeError, ProbeKind, ProbePoint};
use axebpf_platform::HostVirt;
use axebpf_symbols::{Glob, Symbol, SymbolTable, nearest};

use super::Functions;
use crate::Error;

/// What a target means.
pub(crate) struct Points {
    /// What can be probed, sorted by address.
    pub(crate) points: Vec<ProbePoint>,
    /// What a glob matches besides.
    pub(crate) left_out: Vec<LeftOut>,
}

/// One function that a glob matches and that cannot be probed.
pub(crate) struct LeftOut {
    pub(crate) function: HostVirt,
    pub(crate) why: HprobeError,
}

/// What a target names.
pub(crate) struct Wanted<'t> {
    pub(crate) symbol: &'t str,
    pub(crate) offset: u64,
    pub(crate) kind: ProbeKind,
    /// The most functions that a glob may match.
    pub(crate) limit: usize,
}

/// Finds what `wanted` means.
///
/// An exact name goes before a glob: names of Rust functions may have brackets in them.
pub(crate) fn points(functions: &Functions, wanted: &Wanted<'_>) -> Result<Points, Error> {
    let symbols = functions.symbols();
    if let Some(digits) = wanted.symbol.strip_prefix("0x") {
        return by_address(functions, wanted, digits);
    }
    let named = distinct(symbols.lookup_names(wanted.symbol));
    match named.as_slice() {
        [symbol] => {
            check_offset(symbol, wanted)?;
            one(functions, place(wanted, symbol.address(), wanted.offset)?)
        }
        [] if wanted.symbol.contains(['*', '?', '[']) => by_glob(functions, wanted),
        [] => Err(missing(symbols, wanted.symbol)),
        several => Err(Error::Ambiguous {
            name: wanted.symbol.into(),
            addresses: several
                .iter()
                .map(|symbol| HostVirt::new(symbol.address()))
                .collect(),
        }),
    }
}

fn by_address(functions: &Functions, wanted: &Wanted<'_>, digits: &str) -> Result<Points, Error> {
    let missing = || missing(functions.symbols(), wanted.symbol);
    let base = u64::from_str_radix(digits, 16).map_err(|_| missing())?;
    let address = base.checked_add(wanted.offset).ok_or_else(missing)?;
    let at = HostVirt::new(address);
    let location = functions.symbols().lookup_address(address);
    let (function, offset) = match location {
        Some(location) => (location.symbol.address(), location.offset),
        // A function without a symbol starts where it is said to.
        None => (address, 0),
    };
    if wanted.kind == ProbeKind::Return && offset != 0 {
        return Err(Error::NotAnEntry {
            at,
            function: HostVirt::new(function),
        });
    }
    one(functions, place(wanted, function, offset)?)
}

fn by_glob(functions: &Functions, wanted: &Wanted<'_>) -> Result<Points, Error> {
    let glob = Glob::new(wanted.symbol).map_err(|cause| Error::BadGlob {
        text: wanted.symbol.into(),
        cause,
    })?;
    if wanted.offset != 0 {
        return Err(Error::OffsetOfMany {
            glob: wanted.symbol.into(),
        });
    }
    let found = distinct(functions.symbols().matching(&glob));
    if found.is_empty() {
        return Err(missing(functions.symbols(), wanted.symbol));
    }
    if found.len() > wanted.limit {
        return Err(Error::TooManyFunctions {
            glob: wanted.symbol.into(),
            found: found.len(),
            limit: wanted.limit,
        });
    }
    let inspection = functions.inspection()?;
    let mut points = Points {
        points: Vec::new(),
        left_out: Vec::new(),
    };
    for symbol in found {
        let point = place(wanted, symbol.address(), 0)?;
        match inspection.inspect(&point) {
            Ok(_) => points.points.push(point),
            Err(why) => points.left_out.push(LeftOut {
                function: HostVirt::new(symbol.address()),
                why,
            }),
        }
    }
    Ok(points)
}

/// Checks a single place, so that the error is that of the place rather than of attaching.
fn one(functions: &Functions, point: ProbePoint) -> Result<Points, Error> {
    functions.inspection()?.inspect(&point)?;
    Ok(Points {
        points: [point].into(),
        left_out: Vec::new(),
    })
}

fn place(wanted: &Wanted<'_>, function: u64, offset: u64) -> Result<ProbePoint, HprobeError> {
    let function = HostVirt::new(function);
    match wanted.kind {
        ProbeKind::Entry => ProbePoint::entry(function, offset),
        ProbeKind::Return => ProbePoint::returning(function),
    }
}

fn check_offset(symbol: &Symbol<'_>, wanted: &Wanted<'_>) -> Result<(), Error> {
    // Assembly may not say how long it is.
    let is_known = symbol.size() != 0;
    if is_known && wanted.offset != 0 && wanted.offset >= symbol.size() {
        return Err(Error::OutsideFunction {
            name: wanted.symbol.into(),
            offset: wanted.offset,
            size: symbol.size(),
        });
    }
    Ok(())
}

/// Returns the functions among `symbols`, one for each address, sorted by it.
fn distinct<'a>(symbols: impl Iterator<Item = Symbol<'a>>) -> Vec<Symbol<'a>> {
    let mut found: Vec<_> = symbols.filter(Symbol::is_code).collect();
    found.sort_unstable_by_key(Symbol::address);
    found.dedup_by_key(|symbol| symbol.address());
    found
}

/// Returns functions whose names end in a part that is similar to `last`, the likeliest first.
fn similar_last_parts(symbols: &SymbolTable<'_>, last: &str, limit: usize) -> Vec<String> {
    let functions = symbols.iter().filter(Symbol::is_code);
    let names: Vec<String> = functions.map(|symbol| symbol.demangled()).collect();
    let parts = names.iter().filter_map(|name| name.rsplit("::").next());
    let near = nearest(last, parts, limit);
    let ends_in = |part: &String| {
        let end = format!("::{part}");
        names.iter().find(|name| name.ends_with(&end)).cloned()
    };
    near.iter().filter_map(ends_in).collect()
}

/// Says that there is no such function, and which ones there are: first those that are called so in some module, then
/// those with similar names. A function that the compiler has inlined everywhere is not there, either.
fn missing(symbols: &SymbolTable<'_>, name: &str) -> Error {
    const NEAR: usize = 3;
    let last = name.rsplit("::").next().unwrap_or(name);
    let mut near: Vec<String> = Vec::new();
    if let Ok(glob) = Glob::new(&format!("*::{last}"))
        && !name.contains(['*', '?', '['])
    {
        let named = symbols.matching(&glob).filter(Symbol::is_code);
        near.extend(named.map(|symbol| symbol.demangled()).take(NEAR));
    }
    let similar = symbols.suggest(name, NEAR).into_iter();
    for name in similar.chain(similar_last_parts(symbols, last, NEAR)) {
        if near.len() < NEAR && !near.contains(&name) {
            near.push(name);
        }
    }
    Error::NoFunction {
        name: name.into(),
        near,
    }
}
