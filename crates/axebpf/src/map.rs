//! The maps of a registry.

use alloc::{string::String, sync::Arc, vec, vec::Vec};

use axebpf_maps::{Map, UpdateFlags};

use crate::{Error, MapId, ObjectId, Origin, ProgramId, Registry, state::KnownMap};

/// The longest name of an object or of a pin, in bytes.
const NAME_LIMIT: usize = 64;

/// A map.
#[derive(Clone)]
#[non_exhaustive]
pub struct MapInfo {
    /// Its number.
    pub id: MapId,
    /// The map itself, which has the rest. It lives as long as somebody holds it.
    pub map: Arc<Map>,
    /// The objects whose programs use it.
    pub objects: Vec<ObjectId>,
    /// The name under which objects that are loaded later find it.
    pub pin: Option<String>,
    /// Whose addresses can be in it: what the programs probed that had it so far. Empty if none was attached.
    pub origins: Vec<Origin>,
}

impl Registry {
    /// Lists the maps, in the order in which they were made.
    ///
    /// # Errors
    ///
    /// [`Error::InHit`].
    pub fn maps(&self) -> Result<Vec<MapInfo>, Error> {
        let state = self.state.lock()?;
        Ok(state
            .maps
            .iter()
            .map(|(id, known)| map_info(*id, known))
            .collect())
    }

    /// Returns one map.
    ///
    /// # Errors
    ///
    /// [`Error::NoMap`].
    pub fn map(&self, id: MapId) -> Result<MapInfo, Error> {
        let state = self.state.lock()?;
        Ok(map_info(id, state.map(id)?))
    }

    /// Forgets the pin `name`. The map lives on as long as an object uses it, and later objects
    /// that ask for the name get a new one.
    ///
    /// # Errors
    ///
    /// [`Error::NotPinned`] when there is no such pin. When what an array of programs held cannot be
    /// given back, the error says so, but the pin is gone.
    pub fn unpin(&self, name: &str) -> Result<(), Error> {
        let mut state = self.state.lock()?;
        let pinned = state
            .maps
            .values_mut()
            .find(|known| known.pin.as_deref() == Some(name));
        let known = pinned.ok_or_else(|| Error::NotPinned { name: name.into() })?;
        known.pin = None;
        state.sweep_maps()
    }

    /// Puts a program into a slot of an array of programs, as the target of tail calls.
    ///
    /// It stays a target when its object is unloaded, until the slot is written again or removed, or
    /// the array goes. Waits until no hit uses what was there.
    ///
    /// # Errors
    ///
    /// [`Error::NoMap`], [`Error::NoProgram`], [`Error::Map`] when the map is of another kind, has no
    /// such slot, or may not be written.
    pub fn write_program(&self, map: MapId, index: u32, program: ProgramId) -> Result<(), Error> {
        // The lock keeps the array from going before it could be emptied of this program.
        let mut state = self.state.lock()?;
        let program = Arc::clone(&state.program(program)?.program);
        let array = state.map(map)?;
        array.map.write_program(index, Arc::clone(&program) as _)?;
        for origin in array.origins.clone() {
            state.note_program(&program, origin)?;
        }
        Ok(())
    }

    /// Makes a map the value of `key` in a map of maps, which then keeps it. Waits until no hit uses
    /// what was there.
    ///
    /// # Errors
    ///
    /// [`Error::NoMap`] for either; [`Error::Map`] when `map` holds no maps, `inner` is not like
    /// its template, or as `flags` say.
    pub fn write_inner(
        &self,
        map: MapId,
        key: &[u8],
        inner: MapId,
        flags: UpdateFlags,
    ) -> Result<(), Error> {
        let mut state = self.state.lock()?;
        let inner = Arc::clone(&state.map(inner)?.map);
        let outer = state.map(map)?;
        outer.map.write_inner(key, Arc::clone(&inner), flags)?;
        for origin in outer.origins.clone() {
            state.note_maps(vec![Arc::clone(&inner)], origin)?;
        }
        Ok(())
    }
}

fn map_info(id: MapId, known: &KnownMap) -> MapInfo {
    MapInfo {
        id,
        map: Arc::clone(&known.map),
        objects: known.objects.clone(),
        pin: known.pin.clone(),
        origins: known.origins.iter().copied().collect(),
    }
}

/// Checks that `name` can be typed as one word.
pub(crate) fn check_name(name: &str) -> Result<(), Error> {
    let typeable = |c: char| !c.is_whitespace() && !c.is_control();
    if name.is_empty() || name.len() > NAME_LIMIT || !name.chars().all(typeable) {
        let shown = name.chars().take(NAME_LIMIT).collect();
        return Err(Error::BadName {
            name: shown,
            limit: NAME_LIMIT,
        });
    }
    Ok(())
}
