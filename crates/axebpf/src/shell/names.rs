//! Names for the addresses in what programs leave.

use core::fmt;

use axebpf_symbols::{Location, SymbolTable};
use axebpf_vm::{AddressForm, AddressNames};

/// The names that the symbols of the hypervisor give.
#[cfg_attr(not(feature = "tracepoint-support"), allow(dead_code))]
pub(crate) struct Names<'a>(pub(crate) &'a SymbolTable<'a>);

impl AddressNames for Names<'_> {
    fn write_name(&self, address: u64, form: AddressForm, out: &mut dyn fmt::Write) -> fmt::Result {
        let location = match form {
            AddressForm::ReturnAddress => before(self.0, address),
            _ => self.0.lookup_address(address),
        };
        match (location, form) {
            (Some(location), AddressForm::Name) => write!(out, "{}", location.symbol),
            (Some(location), _) => write!(out, "{location}"),
            // As in Linux, what has no name is a number.
            (None, _) => write!(out, "{address:#x}"),
        }
    }
}

/// Returns what the place at `address` is called: a function, and the distance from its start unless that is 0.
pub(crate) fn name_of(session: &super::Session<'_>, address: u64) -> Option<alloc::string::String> {
    let symbols = session.shell.symbols;
    let Some(location) = symbols.and_then(|symbols| symbols.lookup_address(address)) else {
        return guest_name(session, address);
    };
    Some(match location.offset {
        0 => alloc::format!("{}", location.symbol),
        offset => alloc::format!("{}+{offset:#x}", location.symbol),
    })
}

/// Returns what a place in the kernel of a guest is called whose symbols are known.
#[cfg(feature = "guest-kprobe")]
pub(crate) fn guest_name(
    session: &super::Session<'_>,
    address: u64,
) -> Option<alloc::string::String> {
    let guests = session.shell.registry.open_guests().ok()?;
    guests.iter().find_map(|guest| {
        let symbols = guest.placed_symbols()?;
        let location = symbols.lookup_address(address)?;
        Some(match location.offset {
            0 => alloc::format!("{}", location.symbol),
            offset => alloc::format!("{}+{offset:#x}", location.symbol),
        })
    })
}

#[cfg(not(feature = "guest-kprobe"))]
fn guest_name(_: &super::Session<'_>, _: u64) -> Option<alloc::string::String> {
    None
}

/// Finds the function that goes on at `address` after a call.
///
/// The call may be the last instruction of the function, so that the address is in the next one.
pub(crate) fn before<'t>(symbols: &SymbolTable<'t>, address: u64) -> Option<Location<'t>> {
    let call = symbols.lookup_address(address.checked_sub(1)?)?;
    Some(Location {
        offset: call.offset + 1,
        ..call
    })
}
