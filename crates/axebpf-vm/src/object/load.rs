//! From definitions to maps and programs.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use axebpf_maps::{Map, MapError, MapKind, MapSpec, UpdateFlags};

use super::{LoadOptions, MapDefinition, ObjectFile, ProgramDefinition};
use crate::bound_map::{BoundMap, next_generation};
use crate::check::Checks;
use crate::check_error::CheckError;
use crate::engine::EngineKind;
use crate::insn::{self, Insn};
use crate::load_error::LoadError;
use crate::program::{Parts, Program};

/// A loaded object: its programs and the maps that it defines.
#[derive(Debug)]
pub struct Object {
    license: String,
    maps: Vec<Arc<Map>>,
    programs: Vec<Arc<Program>>,
}

impl Object {
    /// Returns the licence that the object states, or an empty string.
    #[must_use]
    pub fn license(&self) -> &str {
        &self.license
    }

    /// Returns the maps, in the order of [`ObjectFile::maps`], reused ones included.
    #[must_use]
    pub fn maps(&self) -> &[Arc<Map>] {
        &self.maps
    }

    /// Returns the map of that name.
    #[must_use]
    pub fn map(&self, name: &str) -> Option<&Arc<Map>> {
        self.maps.iter().find(|map| map.name() == name)
    }

    /// Returns the programs that were loaded, in the order of [`ObjectFile::programs`].
    #[must_use]
    pub fn programs(&self) -> &[Arc<Program>] {
        &self.programs
    }

    /// Returns the program of that name.
    #[must_use]
    pub fn program(&self, name: &str) -> Option<&Arc<Program>> {
        self.programs.iter().find(|program| program.name() == name)
    }
}

/// A map of the object that is being loaded, and its number in handles.
struct LoadedMap {
    map: Arc<Map>,
    generation: u32,
}

pub(super) fn load(file: &ObjectFile, options: &LoadOptions<'_>) -> Result<Object, LoadError> {
    let platform_cpus = axebpf_hit::platform().map_or(1, |platform| platform.cpu_limit());
    let cpus = options.cpus.unwrap_or(platform_cpus);
    let mut maps = Vec::with_capacity(file.maps.len());
    let mut made = Vec::with_capacity(file.maps.len());
    for definition in &file.maps {
        let map = match options.reuse.and_then(|reuse| reuse(definition)) {
            Some(map) => {
                check_compatible(definition.spec(), map.spec())?;
                map
            }
            None => {
                made.push((maps.len(), definition));
                Arc::new(create(definition, cpus)?)
            }
        };
        maps.push(LoadedMap {
            map,
            generation: next_generation(),
        });
    }
    for (number, definition) in &made {
        fill(*number, definition, &maps)?;
    }
    let mut programs = Vec::with_capacity(file.programs.len());
    for definition in file
        .programs
        .iter()
        .filter(|program| options.selects(program))
    {
        programs.push(Arc::new(prepare(definition, &maps, options.engine)?));
    }
    let maps = maps.into_iter().map(|loaded| loaded.map).collect();
    let object = Object {
        license: file.license.clone(),
        maps,
        programs,
    };
    let filled = made
        .iter()
        .try_for_each(|(number, definition)| object.fill(*number, definition, file));
    if filled.is_err() {
        // A program in an array that it uses itself would keep both. Nothing has run them, so that this cannot fail.
        let arrays = made
            .iter()
            .filter_map(|(number, _)| object.maps.get(*number));
        arrays
            .filter(|map| map.kind() == MapKind::ProgArray)
            .for_each(|map| map.clear_programs().unwrap_or_default());
    }
    filled.map(|()| object)
}

impl Object {
    /// Puts the programs in a new array of programs that the object says it starts with.
    fn fill(
        &self,
        number: usize,
        definition: &MapDefinition,
        file: &ObjectFile,
    ) -> Result<(), LoadError> {
        for (slot, place) in &definition.programs {
            let name = file.programs.iter().find(|program| program.place == *place);
            let name = name.map(ProgramDefinition::name);
            let program = name.and_then(|name| self.program(name));
            let (Some(map), Some(program)) = (self.maps.get(number), program) else {
                let name = name.unwrap_or("a function that is no program");
                return Err(LoadError::BadMapDefinition {
                    map: definition.name().into(),
                    what: format!("slot {slot} starts with {name}, which is not loaded"),
                });
            };
            map.write_program(*slot, Arc::clone(program) as _)
                .map_err(|error| LoadError::Map {
                    map: definition.name().into(),
                    error,
                })?;
        }
        Ok(())
    }
}

fn create(definition: &MapDefinition, cpus: u32) -> Result<Map, LoadError> {
    let failed = |error: MapError| LoadError::Map {
        map: definition.name().into(),
        error,
    };
    let map = Map::create(definition.spec(), cpus).map_err(failed)?;
    if let Some(initial) = definition.initial() {
        map.write(&0u32.to_ne_bytes(), initial, UpdateFlags::Any)
            .map_err(failed)?;
    }
    Ok(map)
}

/// Puts the maps in a new map of maps that the object says it starts with.
fn fill(number: usize, definition: &MapDefinition, maps: &[LoadedMap]) -> Result<(), LoadError> {
    let Some(outer) = maps.get(number) else {
        return Ok(());
    };
    for (slot, inner) in &definition.inner {
        if let Some(inner) = maps.get(*inner) {
            let map = Arc::clone(&inner.map);
            outer
                .map
                .write_inner(&slot.to_ne_bytes(), map, UpdateFlags::Any)
                .map_err(|error| LoadError::Map {
                    map: definition.name().into(),
                    error,
                })?;
        }
    }
    Ok(())
}

/// Refuses to share a map that is not what the object defines.
fn check_compatible(expected: &MapSpec, found: &MapSpec) -> Result<(), LoadError> {
    let properties = [
        ("type", expected.kind.number(), found.kind.number()),
        ("a key size of", expected.key_size, found.key_size),
        ("a value size of", expected.value_size, found.value_size),
        (
            "a maximum number of entries of",
            expected.max_entries,
            found.max_entries,
        ),
        ("flags", expected.flags.bits(), found.flags.bits()),
    ];
    match properties
        .into_iter()
        .find(|(_, expected, found)| expected != found)
    {
        None => Ok(()),
        Some((what, expected_value, found_value)) => Err(LoadError::IncompatibleMap {
            map: expected.name.clone(),
            what,
            found: found_value,
            expected: expected_value,
        }),
    }
}

fn prepare(
    definition: &ProgramDefinition,
    maps: &[LoadedMap],
    engine: EngineKind,
) -> Result<Program, LoadError> {
    let (insns, maps) = bind(&definition.insns, maps);
    let parts = Parts {
        name: definition.name.clone(),
        section: definition.section.clone(),
        insns,
        lines: definition.lines.clone(),
        missing: definition.missing.clone(),
        maps,
    };
    Program::new(engine, Checks::Full, parts).map_err(|error| refused(definition, error))
}

fn refused(definition: &ProgramDefinition, error: CheckError) -> LoadError {
    let (program, section) = (definition.name.clone(), definition.section.clone());
    let line = error
        .insn()
        .and_then(|insn| definition.lines.at(insn).cloned())
        .map(Box::new);
    let CheckError::MissingInTarget { insn } = error else {
        return LoadError::Program {
            program,
            section,
            line,
            error,
        };
    };
    let missing = definition
        .missing
        .iter()
        .find(|missing| missing.insn == insn);
    LoadError::MissingInTarget {
        program,
        section,
        what: missing.map_or_else(String::new, |missing| (*missing.what).into()),
        line,
    }
}

/// Gives the program a table of just the maps that it refers to, and renumbers its references.
fn bind(insns: &[Insn], maps: &[LoadedMap]) -> (Vec<Insn>, Vec<BoundMap>) {
    let mut insns = insns.to_vec();
    let mut used: Vec<i32> = Vec::new();
    let mut bound = Vec::new();
    let mut index = 0;
    while let Some(insn) = insns.get_mut(index) {
        index += if insn.is_wide() { 2 } else { 1 };
        let refers = matches!(
            insn.src,
            insn::lddw::MAP_INDEX | insn::lddw::MAP_INDEX_VALUE
        );
        if !insn.is_wide() || !refers {
            continue;
        }
        let Some(loaded) = usize::try_from(insn.imm).ok().and_then(|map| maps.get(map)) else {
            continue;
        };
        let known = used.iter().position(|map| *map == insn.imm);
        let number = known.unwrap_or_else(|| {
            used.push(insn.imm);
            let map = loaded.map.clone();
            bound.push(BoundMap::new(map, bound.len() as u16, loaded.generation));
            used.len() - 1
        });
        insn.imm = number as i32;
    }
    (insns, bound)
}
