//! Names for the addresses in what programs leave.

use alloc::{format, string::String, vec::Vec};

use super::Session;
use crate::{
    Origin,
    names::{NameForm, PlaceNames},
};

/// Returns what the place at `address` is called, in an address space that is one of `origins`: any, if there is none.
///
/// Where several of them have another name for it, nobody knows which is meant, and all are returned with whose they
/// are.
pub(crate) fn name_of(
    session: &Session<'_>,
    origins: &[Origin],
    address: u64,
    form: NameForm,
) -> Option<String> {
    let mut found: Vec<(Origin, String)> = Vec::new();
    let mut add = |origin: Origin, names: &dyn PlaceNames| {
        let is_asked = origins.is_empty() || origins.contains(&origin);
        if is_asked && let Some(name) = names.name(address, form) {
            found.push((origin, name));
        }
    };
    if let Some(symbols) = session.shell.symbols {
        add(Origin::Hypervisor, symbols);
    }
    add_guests(session, &mut add);
    let (_, first) = found.first()?;
    if found.iter().all(|(_, name)| name == first) {
        return Some(first.clone());
    }
    let named = found
        .iter()
        .map(|(origin, name)| format!("{origin}:{name}"));
    let all = named.collect::<Vec<_>>().join(" or ");
    Some(match form {
        // It stands in the place of the address.
        NameForm::Short => format!("{address:#x} ({all})"),
        _ => all,
    })
}

/// Hands the symbols of each guest to `add`, where they are known.
#[cfg(feature = "guest-kprobe")]
fn add_guests(session: &Session<'_>, add: &mut dyn FnMut(Origin, &dyn PlaceNames)) {
    for guest in session.shell.registry.open_guests().unwrap_or_default() {
        if let Some(symbols) = guest.placed_symbols() {
            add(Origin::Guest(guest.vm), &*symbols);
        }
    }
}

#[cfg(not(feature = "guest-kprobe"))]
fn add_guests(_: &Session<'_>, _: &mut dyn FnMut(Origin, &dyn PlaceNames)) {}
