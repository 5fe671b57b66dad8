//! The maps of a registry.

use alloc::{string::String, sync::Arc, vec::Vec};

use axebpf_maps::Map;

use crate::{Error, MapId, ObjectId, Registry, state::KnownMap};

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
    /// [`Error::NotPinned`] when there is no such pin.
    pub fn unpin(&self, name: &str) -> Result<(), Error> {
        let mut state = self.state.lock()?;
        let pinned = state
            .maps
            .values_mut()
            .find(|known| known.pin.as_deref() == Some(name));
        let known = pinned.ok_or_else(|| Error::NotPinned { name: name.into() })?;
        known.pin = None;
        state.sweep_maps();
        Ok(())
    }
}

fn map_info(id: MapId, known: &KnownMap) -> MapInfo {
    MapInfo {
        id,
        map: Arc::clone(&known.map),
        objects: known.objects.clone(),
        pin: known.pin.clone(),
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
