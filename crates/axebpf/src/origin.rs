//! Whose addresses programs see, and leave in maps.

use alloc::{sync::Arc, vec, vec::Vec};

use axebpf_maps::{Map, MapKind};
use axebpf_platform::VmId;
use axebpf_vm::Program;

use crate::{Error, Target, state::State};

/// Whose code programs look at: the addresses that they see are of that address space.
///
/// Displays as `hypervisor` or `vm1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Origin {
    /// The hypervisor's.
    Hypervisor,
    /// That of the guest of a VM.
    Guest(VmId),
}

impl core::fmt::Display for Origin {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        match self {
            Self::Hypervisor => f.write_str("hypervisor"),
            Self::Guest(vm) => write!(f, "vm{vm}"),
        }
    }
}

impl State {
    /// Returns whose code `target` is.
    #[cfg_attr(not(feature = "guest-kprobe"), allow(clippy::unused_self))]
    pub(crate) fn origin_of(&self, target: &Target) -> Origin {
        match target {
            #[cfg(feature = "guest-kprobe")]
            Target::GuestFunction { vm, .. } => self
                .guest(*vm)
                .map_or(Origin::Hypervisor, |guest| Origin::Guest(guest.vm)),
            _ => Origin::Hypervisor,
        }
    }

    /// Notes that `program` and what it goes on in see addresses of `origin`, and can leave them in its maps.
    pub(crate) fn note_program(
        &mut self,
        program: &Arc<Program>,
        origin: Origin,
    ) -> Result<(), Error> {
        self.note_maps(program.maps().cloned().collect(), origin)
    }

    /// Notes that addresses of `origin` can be in `maps`, in the maps that they hold, and in those of programs that
    /// they hold.
    pub(crate) fn note_maps(
        &mut self,
        mut maps: Vec<Arc<Map>>,
        origin: Origin,
    ) -> Result<(), Error> {
        let mut seen: Vec<Arc<Map>> = Vec::new();
        while let Some(map) = maps.pop() {
            if seen.iter().any(|other| Arc::ptr_eq(other, &map)) {
                continue;
            }
            maps.extend(reached_by(&map)?);
            if let Some(known) = self.id_of(&map).and_then(|id| self.maps.get_mut(&id)) {
                known.origins.insert(origin);
            }
            seen.push(map);
        }
        Ok(())
    }
}

/// Returns the maps that a program which has `map` can come to by it: those in it, and those of the programs in it.
fn reached_by(map: &Map) -> Result<Vec<Arc<Map>>, Error> {
    let mut reached = vec![];
    if !map.kind().holds_maps() && map.kind() != MapKind::ProgArray {
        return Ok(reached);
    }
    for key in map.keys() {
        let key = key?;
        if map.kind().holds_maps() {
            reached.extend(map.read_inner(&key)?);
        } else if let Ok(index) = key.as_slice().try_into().map(u32::from_ne_bytes)
            && let Some(held) = map.read_program(index)?
            && let Ok(program) = held.downcast::<Program>()
        {
            reached.extend(program.maps().cloned());
        }
    }
    Ok(reached)
}
