//! Maps whose values are programs or maps.

use alloc::{format, string::String, sync::Arc};

use axebpf_maps::{Map, MapKind, UpdateFlags};
use axebpf_vm::Program;

use super::Subject;
use crate::{
    Registry,
    shell::{CommandResult, Session, complaint::Complaint, find},
};

/// Tells whether the values of `map` are programs or maps.
pub(super) fn are_in(map: &Map) -> bool {
    map.kind() == MapKind::ProgArray || map.kind().holds_maps()
}

/// Names what is at `key`: its number and its name.
pub(super) fn show(
    session: &Session<'_>,
    map: &Map,
    key: &[u8],
) -> Result<Option<String>, Complaint> {
    let registry = session.shell.registry;
    if map.kind().holds_maps() {
        let inner = map.read_inner(key)?;
        return inner.map(|inner| map_name(registry, &inner)).transpose();
    }
    let held = map.read_program(index(key)?)?;
    held.map(|held| match held.downcast::<Program>() {
        Ok(program) => program_name(registry, &program),
        Err(_) => Ok("something that is no program of this shell".into()),
    })
    .transpose()
}

fn map_name(registry: &Registry, map: &Arc<Map>) -> Result<String, Complaint> {
    let maps = registry.maps()?;
    let known = maps.iter().find(|info| Arc::ptr_eq(&info.map, map));
    Ok(match known {
        Some(info) => format!("{} {}", info.id, map.name()),
        None => format!("- {} (of no object any more)", map.name()),
    })
}

fn program_name(registry: &Registry, program: &Arc<Program>) -> Result<String, Complaint> {
    let programs = registry.programs()?;
    let known = programs
        .iter()
        .find(|info| Arc::ptr_eq(&info.program, program));
    Ok(match known {
        Some(info) => {
            let object = registry.object(info.object)?.name;
            format!("{} {object}/{}", info.id, program.name())
        }
        None => format!("- {} (its object is unloaded)", program.name()),
    })
}

/// Puts the program or map that `text` names at `key`.
pub(super) fn update(
    session: &Session<'_>,
    subject: &Subject,
    key: &[u8],
    text: &str,
    flags: UpdateFlags,
) -> CommandResult {
    let registry = session.shell.registry;
    if subject.map.kind().holds_maps() {
        let inner = find::map(registry, text)?;
        return Ok(registry.write_inner(subject.id, key, inner.id, flags)?);
    }
    if flags != UpdateFlags::Any {
        return Err(Complaint::new(
            "the slots of an array are there from the start: no `--new`, no `--existing`",
        ));
    }
    let program = find::program(registry, text)?;
    Ok(registry.write_program(subject.id, index(key)?, program.id)?)
}

fn index(key: &[u8]) -> Result<u32, Complaint> {
    match key.try_into() {
        Ok(bytes) => Ok(u32::from_ne_bytes(bytes)),
        Err(_) => Err(Complaint::new("an index has 4 bytes")),
    }
}
