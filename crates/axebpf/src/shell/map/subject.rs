//! The map that a command is about.

use alloc::{format, string::String, sync::Arc, vec::Vec};

use axebpf_maps::{Map, MapKind};

use super::{records, slots};
use crate::{
    MapId, Origin,
    shell::{Session, args::Args, complaint::Complaint, find, layout::Layout},
};

/// The map that a command is about, and how its keys and values are written.
pub(super) struct Subject {
    pub(super) id: MapId,
    pub(super) map: Arc<Map>,
    pub(super) key: Layout,
    pub(super) value: Layout,
    /// Whose addresses can be in it.
    #[cfg_attr(not(feature = "symbols"), expect(dead_code))]
    pub(super) origins: Vec<Origin>,
}

impl Subject {
    /// Takes `--key`, `--value` and the map.
    pub(super) fn take(session: &Session<'_>, args: &mut Args<'_>) -> Result<Self, Complaint> {
        let (key, value) = (args.option("--key")?, args.option("--value")?);
        let name = args.need("the map")?;
        let info = find::map(session.shell.registry, name)?;
        let (id, map, origins) = (info.id, info.map, info.origins);
        let spec = map.spec();
        // Records have any length, so their layout is chosen for each; programs, maps and stacks are
        // no numbers.
        let value = value.filter(|_| records::Source::of(&map).is_none() && !has_own_form(&map));
        Ok(Self {
            id,
            key: Layout::choose(key, spec.key_size as usize)?,
            value: Layout::choose(value, spec.value_size as usize)?,
            map,
            origins,
        })
    }

    /// Bytes in a key; 0 for what has none, records included.
    pub(super) fn key_size(&self) -> u32 {
        self.map.spec().key_size
    }

    pub(super) fn read_key(&self, text: &str) -> Result<Vec<u8>, Complaint> {
        self.key.read(text, self.map.spec().key_size as usize)
    }

    /// Writes what [`Map::read`] returned: the value, or the values of the CPUs that are not zero.
    pub(super) fn show_entry(&self, entry: &[u8]) -> String {
        let size = self.map.spec().value_size as usize;
        if !self.map.kind().is_per_cpu() {
            return self.value.show(entry);
        }
        let shown: Vec<String> = copies(entry, size)
            .enumerate()
            .filter(|(_, value)| value.iter().any(|byte| *byte != 0))
            .map(|(cpu, value)| format!("{cpu}={}", self.value.show(value)))
            .collect();
        if shown.is_empty() {
            "all zero".into()
        } else {
            shown.join(" ")
        }
    }

    /// Adds up an entry, if its values are numbers.
    pub(super) fn sum(&self, entry: &[u8]) -> Option<u64> {
        let size = self.map.spec().value_size as usize;
        if !self.map.kind().is_per_cpu() {
            return self.value.number(entry);
        }
        let add = |sum: u64, value| Some(sum.wrapping_add(self.value.number(value)?));
        copies(entry, size).try_fold(0, add)
    }
}

/// The values of the CPUs in an entry of a per-CPU map.
fn copies(entry: &[u8], size: usize) -> impl Iterator<Item = &[u8]> {
    let stride = size.next_multiple_of(8).max(8);
    entry
        .chunks(stride)
        .map(move |copy| &copy[..size.min(copy.len())])
}

/// Tells whether the values are shown as something else than numbers.
pub(super) fn has_own_form(map: &Map) -> bool {
    slots::are_in(map) || map.kind() == MapKind::StackTrace
}
