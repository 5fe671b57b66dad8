//! What the management lock guards.

use alloc::{
    collections::{BTreeMap, BTreeSet},
    string::String,
    sync::Arc,
    vec::Vec,
};

use axebpf_maps::{Map, MapKind};
use axebpf_vm::Program;

use crate::{Error, LinkId, MapId, ObjectId, Origin, ProgramId, link::Link};

/// The tables of a registry.
#[derive(Default)]
pub(crate) struct State {
    pub(crate) objects: BTreeMap<ObjectId, LoadedObject>,
    pub(crate) programs: BTreeMap<ProgramId, LoadedProgram>,
    pub(crate) maps: BTreeMap<MapId, KnownMap>,
    pub(crate) links: BTreeMap<LinkId, Link>,
    #[cfg(feature = "guest-kprobe")]
    pub(crate) guests: BTreeMap<axebpf_platform::VmId, Arc<crate::kprobe::Guest>>,
    last: LastIds,
}

/// The ids that were given last. They only grow, so that none is given twice.
#[derive(Default)]
struct LastIds {
    object: u64,
    program: u64,
    map: u64,
    link: u64,
}

/// An object and what is its own.
pub(crate) struct LoadedObject {
    pub(crate) name: String,
    pub(crate) license: String,
    /// The size of its file in bytes.
    pub(crate) len: usize,
    pub(crate) loaded_ns: u64,
    pub(crate) programs: Vec<ProgramId>,
    pub(crate) maps: Vec<MapId>,
}

/// A program and where it belongs.
pub(crate) struct LoadedProgram {
    pub(crate) object: ObjectId,
    pub(crate) program: Arc<Program>,
}

/// A map and what keeps it.
pub(crate) struct KnownMap {
    pub(crate) map: Arc<Map>,
    /// The objects whose programs use it.
    pub(crate) objects: Vec<ObjectId>,
    /// The name under which later objects find it.
    pub(crate) pin: Option<String>,
    /// Whose addresses can be in it: what the programs probed that had it so far.
    pub(crate) origins: BTreeSet<Origin>,
}

impl State {
    pub(crate) fn next_object(&mut self) -> ObjectId {
        self.last.object += 1;
        ObjectId::new(self.last.object)
    }

    pub(crate) fn next_program(&mut self) -> ProgramId {
        self.last.program += 1;
        ProgramId::new(self.last.program)
    }

    pub(crate) fn next_map(&mut self) -> MapId {
        self.last.map += 1;
        MapId::new(self.last.map)
    }

    pub(crate) fn next_link(&mut self) -> LinkId {
        self.last.link += 1;
        LinkId::new(self.last.link)
    }

    pub(crate) fn object(&self, id: ObjectId) -> Result<&LoadedObject, Error> {
        self.objects.get(&id).ok_or(Error::NoObject { id })
    }

    pub(crate) fn program(&self, id: ProgramId) -> Result<&LoadedProgram, Error> {
        self.programs.get(&id).ok_or(Error::NoProgram { id })
    }

    pub(crate) fn map(&self, id: MapId) -> Result<&KnownMap, Error> {
        self.maps.get(&id).ok_or(Error::NoMap { id })
    }

    /// Returns the guest of `vm`, or the only one.
    #[cfg(feature = "guest-kprobe")]
    pub(crate) fn guest(
        &self,
        vm: Option<axebpf_platform::VmId>,
    ) -> Result<&Arc<crate::kprobe::Guest>, Error> {
        use crate::GuestError;

        let found = match vm {
            Some(vm) => self.guests.get(&vm).ok_or(GuestError::NoGuest { vm }),
            None if self.guests.len() > 1 => Err(GuestError::WhichGuest {
                guests: self.guests.keys().copied().collect(),
            }),
            None => self.guests.values().next().ok_or(GuestError::NoGuests),
        };
        Ok(found?)
    }

    /// Returns the links at functions of the guest of `vm`.
    #[cfg(feature = "guest-kprobe")]
    pub(crate) fn links_at(&self, vm: axebpf_platform::VmId) -> Vec<LinkId> {
        let is_there = |link: &Link| {
            let place = link.attachment.kprobe();
            place.is_some_and(|place| place.guest().vm == vm)
        };
        let links = self.links.iter().filter(|(_, link)| is_there(link));
        links.map(|(id, _)| *id).collect()
    }

    /// Returns the map that is pinned as `name`.
    pub(crate) fn pinned(&self, name: &str) -> Option<&Arc<Map>> {
        self.maps
            .values()
            .find(|known| known.pin.as_deref() == Some(name))
            .map(|known| &known.map)
    }

    /// Returns the id of `map`, if it is known.
    pub(crate) fn id_of(&self, map: &Arc<Map>) -> Option<MapId> {
        self.maps
            .iter()
            .find(|(_, known)| Arc::ptr_eq(&known.map, map))
            .map(|(id, _)| *id)
    }

    /// Returns the links whose programs belong to `object`.
    pub(crate) fn links_of(&self, object: ObjectId) -> Vec<LinkId> {
        let belongs = |program| {
            self.programs
                .get(&program)
                .is_some_and(|p| p.object == object)
        };
        self.links
            .iter()
            .filter(|(_, link)| belongs(link.program))
            .map(|(id, _)| *id)
            .collect()
    }

    /// Forgets the maps that nothing keeps any more.
    ///
    /// Those of them that hold programs are emptied, which waits until no hit uses what was there:
    /// a program that is in an array which it uses itself would keep both alive.
    pub(crate) fn sweep_maps(&mut self) -> Result<(), Error> {
        let unused =
            |_: &MapId, known: &mut KnownMap| known.pin.is_none() && known.objects.is_empty();
        let emptied = self
            .maps
            .extract_if(.., unused)
            .map(|(_, known)| release_programs(&known.map));
        emptied.fold(Ok(()), Result::and)
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // What is attached could run what the arrays hold.
        self.links.clear();
        for known in self.maps.values() {
            // Where this fails there is nobody left to tell; what the array holds is leaked.
            let _ = release_programs(&known.map);
        }
    }
}

/// Empties a map that holds programs; leaves others as they are.
fn release_programs(map: &Map) -> Result<(), Error> {
    match map.kind() {
        MapKind::ProgArray => Ok(map.clear_programs()?),
        _ => Ok(()),
    }
}
