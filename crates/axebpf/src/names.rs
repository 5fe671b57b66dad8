//! Names for addresses.

use alloc::{
    format,
    string::{String, ToString},
};
use core::fmt;

use axebpf_symbols::SymbolTable;
use axebpf_vm::{AddressForm, AddressNames};

/// How a place is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NameForm {
    /// `name`.
    Name,
    /// `name`, or `name+0x10` if that is not its start.
    Short,
    /// `name+0x10/0x40`.
    Whole,
    /// As `Whole`, for a return address: what is named is the call before it, which may be the last instruction of its
    /// function.
    Return,
}

impl NameForm {
    fn of(form: AddressForm) -> Self {
        match form {
            AddressForm::Name => Self::Name,
            AddressForm::ReturnAddress => Self::Return,
            _ => Self::Whole,
        }
    }

    /// Returns the address that is looked up, and how far behind it the place is.
    fn looked_up(self, address: u64) -> Option<(u64, u64)> {
        match self {
            Self::Return => Some((address.checked_sub(1)?, 1)),
            _ => Some((address, 0)),
        }
    }

    fn write(self, offset: u64, symbol: &dyn fmt::Display, whole: &dyn fmt::Display) -> String {
        match self {
            Self::Short if offset != 0 => format!("{symbol}+{offset:#x}"),
            Self::Name | Self::Short => symbol.to_string(),
            Self::Whole | Self::Return => whole.to_string(),
        }
    }
}

/// Knows the names of one address space.
pub(crate) trait PlaceNames {
    /// Returns what the place at `address` is called.
    fn name(&self, address: u64, form: NameForm) -> Option<String>;
}

impl PlaceNames for SymbolTable<'_> {
    fn name(&self, address: u64, form: NameForm) -> Option<String> {
        let (address, behind) = form.looked_up(address)?;
        let mut location = self.lookup_address(address)?;
        location.offset += behind;
        Some(form.write(location.offset, &location.symbol, &location))
    }
}

#[cfg(feature = "guest-kprobe")]
impl PlaceNames for axebpf_symbols::KernelSymbols {
    fn name(&self, address: u64, form: NameForm) -> Option<String> {
        let (address, behind) = form.looked_up(address)?;
        let mut location = self.lookup_address(address)?;
        location.offset += behind;
        Some(form.write(location.offset, &location.symbol, &location))
    }
}

/// The names of one address space, for what programs print.
pub(crate) struct Names<'a>(pub(crate) &'a dyn PlaceNames);

impl AddressNames for Names<'_> {
    fn write_name(&self, address: u64, form: AddressForm, out: &mut dyn fmt::Write) -> fmt::Result {
        match self.0.name(address, NameForm::of(form)) {
            Some(name) => out.write_str(&name),
            // As in Linux, what has no name is a number.
            None => write!(out, "{address:#x}"),
        }
    }
}
