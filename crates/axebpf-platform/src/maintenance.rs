//! What has to be done after text was written, as a list, so that a test can check it against a model of caches.

use crate::HostVirt;

/// One step of making written text visible to instruction fetches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maintenance {
    /// `DC CVAU`: cleans the data cache line at the address to the point of unification.
    CleanData(HostVirt),
    /// `IC IVAU`: makes all CPUs of the inner shareable domain drop the instruction cache line at the address.
    InvalidateFetched(HostVirt),
    /// `IC IALLUIS`: makes all CPUs of the inner shareable domain drop all that their instruction caches hold.
    InvalidateAllFetched,
    /// `DSB ISH`: completes the steps before it.
    Complete,
    /// `ISB`: makes the executing CPU fetch anew.
    Synchronize,
}

/// How the caches of a CPU are laid out, as far as text is concerned.
///
/// # Examples
///
/// ```
/// use axebpf_platform::{CacheGeometry, HostVirt, Maintenance};
///
/// // 64-byte lines and a PIPT instruction cache, as Cortex-A72 has.
/// let caches = CacheGeometry::from_ctr(0x8444_c004);
/// let at = HostVirt::new(0x4008_0010);
/// let line = HostVirt::new(0x4008_0000);
/// assert!(caches.maintenance(at, 4).eq([
///     Maintenance::CleanData(line),
///     Maintenance::Complete,
///     Maintenance::InvalidateFetched(line),
///     Maintenance::Complete,
///     Maintenance::Synchronize,
/// ]));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CacheGeometry {
    data_line: u64,
    /// The smallest line of the instruction caches, or `None` where a line cannot be found by its address alone.
    fetch_line: Option<u64>,
}

impl CacheGeometry {
    /// Reads the geometry from a value of `CTR_EL0` (ARM ARM, register `CTR_EL0`).
    ///
    /// Lines are addressed by `IC IVAU` only where `L1Ip` says PIPT: in any other instruction cache, another address of
    /// the same memory can have a line of its own.
    #[must_use]
    pub const fn from_ctr(ctr: u64) -> Self {
        const WORD: u64 = 4;
        const PIPT: u64 = 0b11;
        let fetch_line = WORD << (ctr & 0xf);
        Self {
            data_line: WORD << (ctr >> 16 & 0xf),
            fetch_line: if ctr >> 14 & 0b11 == PIPT {
                Some(fetch_line)
            } else {
                None
            },
        }
    }

    /// Returns the geometry that serves both, for machines whose CPUs differ.
    #[must_use]
    pub fn common(self, other: Self) -> Self {
        Self {
            data_line: self.data_line.min(other.data_line),
            fetch_line: self
                .fetch_line
                .zip(other.fetch_line)
                .map(|(one, two)| one.min(two)),
        }
    }

    /// Lists what has to be done, in order, after `len` bytes of text were written at `at` (ARM ARM B2.7.4.2).
    ///
    /// Empty when `len` is zero. What `CTR_EL0.IDC` and `DIC` say could be left out is not: text is written rarely, and
    /// the CPU that reads its register here need not be like the others.
    pub fn maintenance(self, at: HostVirt, len: usize) -> impl Iterator<Item = Maintenance> {
        let clean = lines(at, len, self.data_line).map(Maintenance::CleanData);
        let drop_lines = self
            .fetch_line
            .into_iter()
            .flat_map(move |line| lines(at, len, line))
            .map(Maintenance::InvalidateFetched);
        let drop_all = self
            .fetch_line
            .is_none()
            .then_some(Maintenance::InvalidateAllFetched);
        clean
            .chain([Maintenance::Complete])
            .chain(drop_lines)
            .chain(drop_all)
            .chain([Maintenance::Complete, Maintenance::Synchronize])
            .filter(move |_| len != 0)
    }
}

/// Returns the addresses of the lines of `line` bytes that hold any of the `len` bytes at `at`.
fn lines(at: HostVirt, len: usize, line: u64) -> impl Iterator<Item = HostVirt> {
    let first = at.get() & !(line - 1);
    let last = at.get().saturating_add((len as u64).saturating_sub(1)) & !(line - 1);
    (0..=(last - first) / line).map(move |index| HostVirt::new(first + index * line))
}
