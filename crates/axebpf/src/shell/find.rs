//! Objects, programs and maps by what an operator calls them.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt::Display;

use super::complaint::{Complaint, shortened};
use crate::{MapInfo, ObjectInfo, ProgramInfo, Registry};

/// What can be named on a command line.
struct Named<T> {
    id: u64,
    /// The names that it goes by, the best one first.
    names: Vec<String>,
    value: T,
}

/// Finds the one of `all` that `text`, an id or a name, means.
fn choose<T>(kind: &str, list: &str, text: &str, mut all: Vec<Named<T>>) -> Result<T, Complaint> {
    let is_meant = |named: &Named<T>| match text.parse::<u64>() {
        Ok(id) => named.id == id,
        Err(_) => named.names.iter().any(|name| name == text),
    };
    let meant: Vec<usize> = all
        .iter()
        .enumerate()
        .filter(|(_, named)| is_meant(named))
        .map(|(at, _)| at)
        .collect();
    match meant.as_slice() {
        [at] => Ok(all.swap_remove(*at).value),
        [] => {
            let known = all
                .iter()
                .flat_map(|named| &named.names)
                .map(String::as_str);
            Err(Complaint::unknown(kind, text, known, list))
        }
        several => Err(Complaint::new(format!(
            "`{}` is the name of {} {kind}s",
            shortened(text),
            several.len()
        ))
        .hint(format!(
            "say which by its number: {}",
            ids(several.iter().map(|at| all[*at].id))
        ))),
    }
}

/// Writes ids in a row.
pub(crate) fn ids(ids: impl Iterator<Item = impl Display>) -> String {
    ids.map(|id| id.to_string()).collect::<Vec<_>>().join(", ")
}

/// Finds an object.
pub(crate) fn object(registry: &Registry, text: &str) -> Result<ObjectInfo, Complaint> {
    let all = registry.objects()?.into_iter().map(|object| Named {
        id: object.id.get(),
        names: [object.name.clone()].into(),
        value: object,
    });
    choose("object", "prog list", text, all.collect())
}

/// Finds a program, by its name or with that of its object: `exit_count/exit_count`.
pub(crate) fn program(registry: &Registry, text: &str) -> Result<ProgramInfo, Complaint> {
    let mut all = Vec::new();
    for info in registry.programs()? {
        let name = info.program.name().to_string();
        let object = registry.object(info.object)?;
        let path = format!("{}/{name}", object.name);
        all.push(Named {
            id: info.id.get(),
            names: [name, path].into(),
            value: info,
        });
    }
    choose("program", "prog list", text, all)
}

/// Finds a map, by its name, its pin, or with the name of an object that uses it:
/// `exit_count/exits`.
pub(crate) fn map(registry: &Registry, text: &str) -> Result<MapInfo, Complaint> {
    let mut all = Vec::new();
    for info in registry.maps()? {
        let name = info.map.name().to_string();
        let mut names = Vec::from([name.clone()]);
        names.extend(info.pin.clone());
        for object in &info.objects {
            names.push(format!("{}/{name}", registry.object(*object)?.name));
        }
        all.push(Named {
            id: info.id.get(),
            names,
            value: info,
        });
    }
    choose("map", "map list", text, all)
}
