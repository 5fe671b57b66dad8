//! Loading, listing and unloading objects.

mod types;

use alloc::{collections::BTreeSet, string::String, sync::Arc, vec::Vec};

use axebpf_maps::Map;
use axebpf_vm::{MapDefinition, ObjectFile, Pinning, Program};

use crate::{
    Error, LinkId, MapId, ObjectId, ProgramId, Registry,
    link::detach_from,
    map::check_name,
    state::{KnownMap, LoadedObject, LoadedProgram, State},
};

/// How to load an object.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct LoadOptions<'a> {
    /// Maps to use instead of making new ones: the name of the map in the object, and the map.
    pub reuse: &'a [(&'a str, MapId)],
    /// The types of what the programs look at, for objects that adapt themselves to them (CO-RE):
    /// BTF, such as a guest kernel's `/sys/kernel/btf/vmlinux`.
    pub types: Option<&'a [u8]>,
    /// The guest whose kernel has the types, in its memory. Not looked at where `types` are given.
    ///
    /// Without either, an object that needs types gets those of the guest that all of its programs are for: their
    /// sections (`kprobe/vm1:vfs_read`, `kretprobe/vfs_read`) name it, or it is the only one that is open. An object
    /// with other programs is refused.
    #[cfg(feature = "guest-kprobe")]
    pub types_of: Option<axebpf_platform::VmId>,
}

impl<'a> LoadOptions<'a> {
    /// Uses the given maps instead of making new ones of these names.
    #[must_use]
    pub fn with_reuse(mut self, reuse: &'a [(&'a str, MapId)]) -> Self {
        self.reuse = reuse;
        self
    }

    /// Adapts the programs to the types in `btf`.
    #[must_use]
    pub fn with_types(mut self, btf: &'a [u8]) -> Self {
        self.types = Some(btf);
        self
    }

    /// Adapts the programs to the types of the kernel of a guest.
    #[cfg(feature = "guest-kprobe")]
    #[must_use]
    pub fn with_types_of(mut self, guest: axebpf_platform::VmId) -> Self {
        self.types_of = Some(guest);
        self
    }
}

/// What to do with links when their object is unloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unload {
    /// Leave them, and the object too.
    IfUnused,
    /// Detach them first.
    Force,
}

/// A loaded object.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct ObjectInfo {
    /// Its number.
    pub id: ObjectId,
    /// The name under which it was loaded; not necessarily its alone.
    pub name: String,
    /// The text of its `license` section, empty without one.
    pub license: String,
    /// The size of its file in bytes.
    pub len: usize,
    /// When it was loaded, in nanoseconds of the platform's clock.
    pub loaded_ns: u64,
    /// Its programs.
    pub programs: Vec<ProgramId>,
    /// The maps that it uses.
    pub maps: Vec<MapId>,
}

/// A program of a loaded object.
#[derive(Clone)]
#[non_exhaustive]
pub struct ProgramInfo {
    /// Its number.
    pub id: ProgramId,
    /// The object that it belongs to.
    pub object: ObjectId,
    /// The program itself, which has the rest.
    pub program: Arc<Program>,
    /// The links that hold it.
    pub links: Vec<LinkId>,
}

impl Registry {
    /// Loads `elf` under the name `name`: makes its maps, relocates and checks its programs.
    ///
    /// The same file loaded twice makes two independent objects. A map that asks for pinning by
    /// name (`LIBBPF_PIN_BY_NAME`) is shared with every object that does so for the same name.
    ///
    /// # Errors
    ///
    /// [`Error::Load`] says what is wrong with the file, down to section, symbol or instruction;
    /// [`Error::NoMap`] and [`Error::NoSuchMapInObject`] when a map to be reused is gone or has
    /// no use, [`Error::BadName`] when the name is none; `Error::Guest` when the object needs the types of a guest's
    /// kernel and they are not there. Nothing is left behind then.
    pub fn load(
        &self,
        name: &str,
        elf: &[u8],
        options: &LoadOptions<'_>,
    ) -> Result<ObjectId, Error> {
        check_name(name)?;
        let file = self.parse(elf, options)?;
        // The lock is held from looking for pinned maps until new ones are pinned, so that two
        // objects that are loaded at once share them.
        let mut state = self.state.lock()?;
        for (name, id) in options.reuse {
            state.map(*id)?;
            if !file.maps().iter().any(|map| map.name() == *name) {
                return Err(Error::NoSuchMapInObject {
                    name: (*name).into(),
                });
            }
        }
        let object = self.instantiate(&state, &file, options)?;
        let loaded = LoadedObject {
            name: name.into(),
            license: object.license().into(),
            len: elf.len(),
            loaded_ns: self.platform().now_ns(),
            programs: Vec::new(),
            maps: Vec::new(),
        };
        Ok(enter(&mut state, loaded, &file, &object))
    }

    fn instantiate(
        &self,
        state: &State,
        file: &ObjectFile,
        options: &LoadOptions<'_>,
    ) -> Result<axebpf_vm::Object, Error> {
        let reuse = |map: &MapDefinition| -> Option<Arc<Map>> {
            let chosen = options
                .reuse
                .iter()
                .find(|(wanted, _)| *wanted == map.name());
            match chosen {
                Some((_, id)) => state.maps.get(id).map(|known| Arc::clone(&known.map)),
                None if map.pinning() == Pinning::ByName => state.pinned(map.name()).cloned(),
                None => None,
            }
        };
        let options = axebpf_vm::LoadOptions::new()
            .with_cpus(self.platform().cpu_limit())
            .with_reuse(&reuse);
        Ok(file.load(&options)?)
    }

    /// Unloads an object: its programs, and the maps that nothing else keeps.
    ///
    /// Arrays of programs are emptied when they go, after the last hit that could use them. A program
    /// that is in an array of another object goes on running as a target of tail calls.
    ///
    /// # Errors
    ///
    /// [`Error::Busy`] names the links that hold its programs, unless `unload` is
    /// [`Unload::Force`]; [`Error::NoObject`] when there is none. When the text of a probe point
    /// cannot be put back, the error says so, but the object is gone and its programs run no more.
    pub fn unload(&self, id: ObjectId, unload: Unload) -> Result<(), Error> {
        let mut state = self.state.lock()?;
        state.object(id)?;
        let links = state.links_of(id);
        if unload == Unload::IfUnused && !links.is_empty() {
            return Err(Error::Busy { object: id, links });
        }
        // A detached program does not run any more even where this fails to put the text of the
        // probe point back.
        let detached = links
            .into_iter()
            .map(|link| detach_from(&mut state, link).map(drop));
        let detached = detached.fold(Ok(()), Result::and);
        state.objects.remove(&id);
        state.programs.retain(|_, program| program.object != id);
        for known in state.maps.values_mut() {
            known.objects.retain(|object| *object != id);
        }
        let swept = state.sweep_maps();
        detached.and(swept)
    }

    /// Lists the objects, in the order in which they were loaded.
    ///
    /// # Errors
    ///
    /// [`Error::InHit`].
    pub fn objects(&self) -> Result<Vec<ObjectInfo>, Error> {
        let state = self.state.lock()?;
        Ok(state
            .objects
            .iter()
            .map(|(id, object)| object_info(*id, object))
            .collect())
    }

    /// Returns what there is to know of one object.
    ///
    /// # Errors
    ///
    /// [`Error::NoObject`].
    pub fn object(&self, id: ObjectId) -> Result<ObjectInfo, Error> {
        let state = self.state.lock()?;
        Ok(object_info(id, state.object(id)?))
    }

    /// Lists the programs of all objects, in the order in which they were loaded.
    ///
    /// # Errors
    ///
    /// [`Error::InHit`].
    pub fn programs(&self) -> Result<Vec<ProgramInfo>, Error> {
        let state = self.state.lock()?;
        Ok(state
            .programs
            .iter()
            .map(|(id, program)| program_info(&state, *id, program))
            .collect())
    }

    /// Returns what there is to know of one program.
    ///
    /// # Errors
    ///
    /// [`Error::NoProgram`].
    pub fn program(&self, id: ProgramId) -> Result<ProgramInfo, Error> {
        let state = self.state.lock()?;
        Ok(program_info(&state, id, state.program(id)?))
    }
}

/// Gives ids to an object, its programs and its maps, and enters them in the tables.
fn enter(
    state: &mut State,
    mut loaded: LoadedObject,
    file: &ObjectFile,
    object: &axebpf_vm::Object,
) -> ObjectId {
    let id = state.next_object();
    for (map, definition) in object.maps().iter().zip(file.maps()) {
        let map_id = state.id_of(map).unwrap_or_else(|| state.next_map());
        let pin = (definition.pinning() == Pinning::ByName).then(|| definition.name().into());
        let known = state.maps.entry(map_id).or_insert_with(|| KnownMap {
            map: Arc::clone(map),
            objects: Vec::new(),
            pin,
            origins: BTreeSet::new(),
        });
        known.objects.push(id);
        loaded.maps.push(map_id);
    }
    for program in object.programs() {
        let program_id = state.next_program();
        state.programs.insert(
            program_id,
            LoadedProgram {
                object: id,
                program: Arc::clone(program),
            },
        );
        loaded.programs.push(program_id);
    }
    state.objects.insert(id, loaded);
    id
}

fn object_info(id: ObjectId, object: &LoadedObject) -> ObjectInfo {
    ObjectInfo {
        id,
        name: object.name.clone(),
        license: object.license.clone(),
        len: object.len,
        loaded_ns: object.loaded_ns,
        programs: object.programs.clone(),
        maps: object.maps.clone(),
    }
}

fn program_info(state: &State, id: ProgramId, loaded: &LoadedProgram) -> ProgramInfo {
    let links = state
        .links
        .iter()
        .filter(|(_, link)| link.program == id)
        .map(|(id, _)| *id);
    ProgramInfo {
        id,
        object: loaded.object,
        program: Arc::clone(&loaded.program),
        links: links.collect(),
    }
}
