//! From the name of a target to the places in a guest's kernel that it means.

use alloc::{format, string::String, vec::Vec};

use axebpf_guestprobe::{GuestProbeError, ProbeKind};
use axebpf_platform::{GuestVirt, VmId};
use axebpf_symbols::{Glob, KernelSymbol, KernelSymbols, nearest};

use super::{GuestError, Search};
use crate::Error;

/// What stands in the place of a module for the kernel's own functions.
const KERNEL: &str = "vmlinux";

/// How many bytes an instruction has, and what its address is a multiple of.
const INSTRUCTION: u64 = 4;

/// What a target names.
pub(crate) struct Wanted {
    pub(crate) kind: ProbeKind,
    place: Named,
    /// The bytes between the start of the function and the place.
    offset: u64,
    /// The most functions that a glob may match.
    limit: usize,
}

/// The ways to name a place.
enum Named {
    Address(u64),
    Function {
        /// The module, if the target says one.
        module: Option<Pattern>,
        name: Pattern,
    },
}

/// A name, or a glob over names.
enum Pattern {
    Name(String),
    Glob(String, Glob),
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, Error> {
        if !text.contains(['*', '?', '[']) {
            return Ok(Self::Name(text.into()));
        }
        let glob = Glob::new(text).map_err(|cause| Error::BadGlob {
            text: text.into(),
            cause,
        })?;
        Ok(Self::Glob(text.into(), glob))
    }

    fn matches(&self, text: &str) -> bool {
        match self {
            Self::Name(name) => name == text,
            Self::Glob(_, glob) => glob.matches(text),
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Name(text) | Self::Glob(text, _) => text,
        }
    }
}

impl Wanted {
    /// Reads what `symbol` names: `0xADDRESS`, `FUNCTION` or `MODULE:FUNCTION`, with globs in place of either name.
    ///
    /// What no kernel has is an error, so that nobody waits for it: it is not looked for in one.
    pub(crate) fn new(
        kind: ProbeKind,
        symbol: &str,
        offset: u64,
        limit: usize,
    ) -> Result<Self, Error> {
        check_entry(kind, symbol, offset)?;
        let address = symbol.strip_prefix("0x");
        let place = match address.and_then(|digits| u64::from_str_radix(digits, 16).ok()) {
            Some(address) => {
                check_aligned(address.wrapping_add(offset))?;
                Named::Address(address)
            }
            None => {
                check_named(symbol, offset)?;
                let (module, name) = match symbol.split_once(':') {
                    Some((module, name)) => (Some(Pattern::parse(module)?), name),
                    None => (None, symbol),
                };
                let name = Pattern::parse(name)?;
                if let (Pattern::Glob(glob, _), true) = (&name, offset != 0) {
                    return Err(Error::OffsetOfMany { glob: glob.clone() });
                }
                Named::Function { module, name }
            }
        };
        Ok(Self {
            kind,
            place,
            offset,
            limit,
        })
    }

    /// Tells whether it takes symbols to find the place.
    pub(crate) fn needs_symbols(&self) -> bool {
        matches!(self.place, Named::Function { .. })
    }

    /// Finds what is meant among the symbols of the kernel of `vm`.
    pub(crate) fn places(
        &self,
        vm: VmId,
        symbols: &KernelSymbols,
        search: Search,
    ) -> Result<Places, GuestError> {
        let (module, name) = match &self.place {
            Named::Address(address) => return Ok(Places::One(self.at_address(*address))),
            Named::Function { module, name } => (module, name),
        };
        let in_module = |symbol: &KernelSymbol<'_>| {
            let of = symbol.module().unwrap_or(KERNEL);
            module.as_ref().is_none_or(|module| module.matches(of))
        };
        match name {
            Pattern::Name(name) => {
                let found = distinct(symbols.lookup_names(name).filter(in_module));
                match found.as_slice() {
                    [symbol] => self.one(symbol),
                    // It takes long to find near ones, which are for whoever has just written the name.
                    [] if search != Search::Now => Err(missing(vm, self.text(), Vec::new())),
                    [] => Err(missing(vm, self.text(), near(symbols, name))),
                    several => Err(GuestError::Ambiguous {
                        vm,
                        name: self.text(),
                        addresses: several
                            .iter()
                            .map(|symbol| GuestVirt::new(symbol.address()))
                            .collect(),
                    }),
                }
            }
            Pattern::Glob(_, glob) => {
                let found = distinct(symbols.matching(glob).filter(in_module));
                self.many(vm, &found)
            }
        }
    }

    fn at_address(&self, address: u64) -> Place {
        Place {
            at: GuestVirt::new(address.wrapping_add(self.offset)),
            function: GuestVirt::new(address),
            name: String::new(),
        }
    }

    fn one(&self, symbol: &KernelSymbol<'_>) -> Result<Places, GuestError> {
        let (offset, size) = (self.offset, symbol.size());
        // Of the last symbol there is no size.
        if offset != 0 && size != 0 && offset >= size {
            return Err(GuestError::OutsideFunction {
                name: symbol.name().into(),
                offset,
                size,
            });
        }
        let offset = match self.kind {
            ProbeKind::Entry => offset,
            ProbeKind::Return => 0,
        };
        Ok(Places::One(Place::of(symbol, offset)))
    }

    fn many(&self, vm: VmId, found: &[KernelSymbol<'_>]) -> Result<Places, GuestError> {
        if found.is_empty() {
            return Err(missing(vm, self.text(), Vec::new()));
        }
        if found.len() > self.limit {
            return Err(GuestError::TooMany {
                glob: self.text(),
                found: found.len(),
                limit: self.limit,
            });
        }
        let places = found.iter().map(|symbol| Place::of(symbol, 0));
        Ok(Places::Many(places.collect()))
    }

    /// Returns what was asked for.
    fn text(&self) -> String {
        match &self.place {
            Named::Address(address) => format!("{address:#x}"),
            Named::Function { module: None, name } => name.text().into(),
            Named::Function {
                module: Some(module),
                name,
            } => format!("{}:{}", module.text(), name.text()),
        }
    }
}

/// Checks that a return is asked for where functions are entered. The name of a function does not end in an offset.
fn check_entry(kind: ProbeKind, symbol: &str, offset: u64) -> Result<(), GuestError> {
    if kind == ProbeKind::Entry {
        return Ok(());
    }
    let tail = symbol.rsplit_once('+').map(|(_, tail)| tail);
    let is_offset = |tail: &str| {
        let hex = tail.strip_prefix("0x");
        hex.map_or_else(|| tail.parse(), |hex| u64::from_str_radix(hex, 16))
            .is_ok()
    };
    let name = match offset {
        0 if tail.is_some_and(is_offset) => symbol.into(),
        0 => return Ok(()),
        offset => format!("{symbol}+{offset:#x}"),
    };
    Err(GuestError::NotAnEntry { name })
}

/// Checks that an instruction can be at an address.
fn check_aligned(address: u64) -> Result<(), GuestError> {
    let at = GuestVirt::new(address);
    if at.is_aligned(INSTRUCTION) {
        return Ok(());
    }
    Err(GuestProbeError::Misaligned { at }.into())
}

/// Checks that all parts of a name are there, and that an instruction can be so far behind the start of a function.
fn check_named(symbol: &str, offset: u64) -> Result<(), GuestError> {
    let name = symbol.into();
    if symbol.is_empty() || symbol.starts_with(':') || symbol.ends_with(':') {
        return Err(GuestError::NoName { name });
    }
    if !offset.is_multiple_of(INSTRUCTION) {
        return Err(GuestError::BetweenInstructions { name, offset });
    }
    Ok(())
}

/// One place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The instruction.
    pub(crate) at: GuestVirt,
    /// Where its function starts.
    pub(crate) function: GuestVirt,
    /// What the function is called; empty where only an address was given.
    pub(crate) name: String,
}

impl Place {
    fn of(symbol: &KernelSymbol<'_>, offset: u64) -> Self {
        Self {
            at: GuestVirt::new(symbol.address().wrapping_add(offset)),
            function: GuestVirt::new(symbol.address()),
            name: symbol.name().into(),
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

fn missing(vm: VmId, name: String, near: Vec<String>) -> GuestError {
    GuestError::NoFunction { vm, name, near }
}

/// Returns functions that may have been meant by `name`, the likeliest first.
fn near(symbols: &KernelSymbols, name: &str) -> Vec<String> {
    let names: Vec<String> = symbols
        .iter()
        .filter(KernelSymbol::is_code)
        .map(|symbol| symbol.name().into())
        .collect();
    nearest(name, names.iter().map(String::as_str), 3)
}

/// Returns the functions among `symbols`, one for each address, sorted by it.
fn distinct<'a>(symbols: impl Iterator<Item = KernelSymbol<'a>>) -> Vec<KernelSymbol<'a>> {
    let mut found: Vec<_> = symbols.filter(KernelSymbol::is_code).collect();
    found.sort_unstable_by_key(KernelSymbol::address);
    found.dedup_by_key(|symbol| symbol.address());
    found
}
