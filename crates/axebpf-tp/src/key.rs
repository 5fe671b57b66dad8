//! Turning a tracepoint on and off: NOP to branch and back.

#![allow(unsafe_code)]

use alloc::vec::Vec;

use axebpf_hit::text::{TextWrite, write_fenced};
use axebpf_platform::HostVirt;

use crate::error::TpError;
use crate::event::Event;
use crate::registry::sites_of;
use crate::section::Site;

/// `NOP` (ARM ARM C6.2.259).
const NOP: u32 = 0xd503_201f;

/// `B` (ARM ARM C6.2.26) without its immediate.
const BRANCH: u32 = 0x1400_0000;

/// The bits of the immediate, which counts words.
const IMM26: u32 = (1 << 26) - 1;

/// What a key is set to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// The tracepoints of the event call their subscribers.
    On,
    /// They cost a NOP each.
    Off,
}

/// Switches an event that another library defines.
#[cfg(feature = "ktracepoint")]
pub(crate) trait Switch: Sync {
    /// Makes the event fire, or no longer.
    fn set(&self, key: Key);
}

/// Sets the key of `event`: all its sites in one fence, or none.
pub(crate) fn set(event: &'static Event, key: Key) -> Result<(), TpError> {
    #[cfg(feature = "ktracepoint")]
    if let Some(switch) = event.switch.get() {
        switch.set(key);
    }
    let mut words = Vec::new();
    for site in sites_of(event) {
        let branch = branch(site)?;
        let (old, new) = match key {
            Key::On => (NOP, branch),
            Key::Off => (branch, NOP),
        };
        if check(site, old, new)? == Found::Old {
            words.push((site.at, new.to_le_bytes()));
        }
    }
    let writes: Vec<_> = words
        .iter()
        .map(|(at, bytes)| TextWrite { at: *at, bytes })
        .collect();
    if !writes.is_empty() {
        // SAFETY: Each write is one aligned instruction of a tracepoint, checked to be there, and
        // turns a NOP into a branch to the block that the compiler was told it may go to, or back.
        // A CPU may see any mixture of both: each tracepoint calls its subscribers, of which there
        // may be none, or does not. No tracepoint lies in the code that must not be written to, as
        // that code contains none.
        unsafe { write_fenced(&writes) }?;
    }
    #[cfg(all(feature = "static-keys", target_arch = "x86_64", target_os = "linux"))]
    crate::static_key::set(event, key);
    event.set_live(key == Key::On);
    Ok(())
}

/// What was found at a site.
#[derive(PartialEq, Eq)]
enum Found {
    /// The instruction that is to be replaced.
    Old,
    /// The one that is to replace it: an earlier attempt could not be taken back.
    New,
}

/// Makes sure that what is at the site is ours to replace.
fn check(site: &Site, old: u32, new: u32) -> Result<Found, TpError> {
    let platform = axebpf_hit::platform().ok_or(TpError::NotInstalled)?;
    let mut bytes = [0; 4];
    platform
        .read_memory(site.at, &mut bytes)
        .map_err(|cause| TpError::SiteUnreadable { cause })?;
    match u32::from_le_bytes(bytes) {
        found if found == old => Ok(Found::Old),
        found if found == new => Ok(Found::New),
        found => Err(TpError::UnexpectedText {
            at: site.at,
            found,
            expected: old,
        }),
    }
}

/// Encodes the branch from the site to its target.
fn branch(site: &Site) -> Result<u32, TpError> {
    encode_branch(site.at, site.target).ok_or(TpError::BranchOutOfRange {
        event: site.event.full_name(),
        at: site.at,
        target: site.target,
    })
}

/// Encodes `B` from `at` to `target`, at most 128 MiB away, both multiples of four.
fn encode_branch(at: HostVirt, target: HostVirt) -> Option<u32> {
    let distance = target.get().wrapping_sub(at.get()) as i64;
    let words = i32::try_from(distance >> 2).ok()?;
    let fits = (-(1 << 25)..1 << 25).contains(&words);
    (distance & 3 == 0 && fits).then_some(BRANCH | (words as u32 & IMM26))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(at: u64, target: u64) -> Option<u32> {
        encode_branch(HostVirt::new(at), HostVirt::new(target))
    }

    #[test]
    fn branches_are_encoded_as_the_manual_says() {
        assert_eq!(encode(0x1000, 0x1040), Some(0x1400_0010));
        assert_eq!(encode(0x1040, 0x1000), Some(0x17ff_fff0));
        assert_eq!(encode(0, 0x07ff_fffc), Some(0x15ff_ffff));
        assert_eq!(encode(0x0800_0000, 0), Some(0x1600_0000));
    }

    #[test]
    fn branches_out_of_range_are_refused() {
        assert_eq!(encode(0, 0x0800_0000), None);
        assert_eq!(encode(0x0800_0004, 0), None);
        assert_eq!(encode(0, u64::MAX - 0x1000_0003), None);
        assert_eq!(encode(0x1000, 0x1002), None);
    }
}
