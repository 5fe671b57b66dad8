//! Walking a guest's stage-1 translation tables.

use axebpf_platform::{GuestPhys, GuestVirt};

use crate::descriptor::{Attributes, Descriptor, Kind, Limits, Rights};
use crate::regime::Regime;
use crate::{GuestMemory, GuestMemoryFault, Stage1, WalkFault, WalkProblem};

/// What for an address is translated, which decides whether its top byte may be ignored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To fetch an instruction.
    Fetch,
    /// To read or write data.
    Data,
}

/// Where a virtual address of a guest leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The guest-physical address.
    pub at: GuestPhys,
    /// The number of bytes from there on that are certainly mapped together: up to the end of the page or
    /// block.
    pub contiguous: u64,
    /// What the tables allow.
    pub rights: Rights,
    /// The level of the descriptor that maps it, 0 to 3; 0 where nothing is translated.
    pub level: i8,
    /// What its descriptor says besides.
    pub(crate) attributes: Attributes,
}

/// The number of bits of an address where nothing is translated.
const FLAT_BITS: u32 = 52;
/// The smallest page there is.
const FLAT_PAGE: u64 = 4096;

impl Stage1 {
    /// Translates `at`.
    ///
    /// Reads at most five descriptors, one per level. It sees what the tables say now, while a vCPU may still use what
    /// they said before.
    ///
    /// # Errors
    ///
    /// [`WalkFault`] says where the walk ended and why.
    pub fn translate(
        &self,
        memory: &(impl GuestMemory + ?Sized),
        at: GuestVirt,
        access: Access,
    ) -> Result<Translation, WalkFault> {
        let found = if self.is_enabled() {
            self.regime(at, access)
                .and_then(|regime| self.walk(&regime, memory, at))
        } else {
            flat(self.untranslated(at, access))
        };
        found.map_err(|problem| WalkFault { at, problem })
    }

    /// Copies `bytes.len()` bytes from the virtual address `at`, page by page.
    ///
    /// # Errors
    ///
    /// [`WalkFault`] for the first page that is not mapped or not there. `bytes` is then all zeroes.
    pub fn read(
        &self,
        memory: &(impl GuestMemory + ?Sized),
        at: GuestVirt,
        bytes: &mut [u8],
    ) -> Result<(), WalkFault> {
        let result = self.read_pages(memory, at, bytes);
        if result.is_err() {
            bytes.fill(0);
        }
        result
    }

    /// Copies what [`read`](Self::read) copies, up to the first fault.
    fn read_pages(
        &self,
        memory: &(impl GuestMemory + ?Sized),
        start: GuestVirt,
        bytes: &mut [u8],
    ) -> Result<(), WalkFault> {
        let mut done = 0;
        while done < bytes.len() {
            let at = start.checked_add(done as u64).ok_or(WalkFault {
                at: start,
                problem: WalkProblem::OutOfRange,
            })?;
            let found = self.translate(memory, at, Access::Data)?;
            let left = bytes.len() - done;
            let len = usize::try_from(found.contiguous).map_or(left, |n| n.min(left));
            memory
                .read_guest(found.at, &mut bytes[done..done + len])
                .map_err(|fault| WalkFault {
                    at,
                    problem: WalkProblem::Memory { fault },
                })?;
            done += len;
        }
        Ok(())
    }

    /// Goes through the tables of a range.
    fn walk(
        &self,
        regime: &Regime,
        memory: &(impl GuestMemory + ?Sized),
        at: GuestVirt,
    ) -> Result<Translation, WalkProblem> {
        let input = at.get() & (u64::MAX >> (64 - regime.input_bits));
        let mut limits = Limits::default();
        let mut table = regime.first_table();
        // What is wrong with a table base register is said of level 0, wherever the walk begins.
        check_size(regime, 0, table)?;
        for level in regime.first_level()..=3 {
            let entry = table + 8 * regime.index(input, level);
            let bits = self
                .read_descriptor(memory, entry)
                .map_err(|fault| WalkProblem::Table { level, fault })?;
            let descriptor = Descriptor { bits, level };
            match descriptor.kind(regime) {
                Kind::Table => {
                    limits.add(descriptor, regime.table_rights);
                    table = descriptor.table(regime);
                    check_size(regime, level, table)?;
                }
                Kind::Leaf => {
                    check_size(regime, level, descriptor.output(regime))?;
                    return self.leaf(regime, descriptor, limits, input);
                }
                Kind::Invalid => return Err(WalkProblem::Invalid { level }),
                Kind::Reserved => {
                    return Err(WalkProblem::Reserved {
                        level,
                        descriptor: bits,
                    });
                }
            }
        }
        // On level 3 no descriptor is one of a table, so the loop has ended there.
        Err(WalkProblem::Invalid { level: 3 })
    }

    /// Reads the descriptor at `at`.
    fn read_descriptor(
        &self,
        memory: &(impl GuestMemory + ?Sized),
        at: u64,
    ) -> Result<u64, GuestMemoryFault> {
        let bytes = memory.read_descriptor(GuestPhys::new(at))?;
        Ok(if self.is_big_endian() {
            u64::from_be_bytes(bytes)
        } else {
            u64::from_le_bytes(bytes)
        })
    }

    /// Returns where `input` leads through the descriptor of a block or a page.
    ///
    /// The contiguous bit changes nothing: each entry of a contiguous group says by itself where it leads, and a group
    /// whose entries do not fit together is the guest's error.
    fn leaf(
        &self,
        regime: &Regime,
        leaf: Descriptor,
        limits: Limits,
        input: u64,
    ) -> Result<Translation, WalkProblem> {
        if !leaf.is_accessed() && !self.sets_access_flag() {
            return Err(WalkProblem::AccessFlag { level: leaf.level });
        }
        let size = 1 << regime.granule.shift_of(leaf.level);
        let offset = input & (size - 1);
        Ok(Translation {
            at: GuestPhys::new(leaf.output(regime) | offset),
            contiguous: size - offset,
            rights: Rights::of(leaf, limits, self, regime.user),
            level: leaf.level,
            attributes: Attributes::of(leaf),
        })
    }
}

/// Translates an address where nothing is translated.
fn flat(output: u64) -> Result<Translation, WalkProblem> {
    if output >> FLAT_BITS != 0 {
        return Err(WalkProblem::AddressSize {
            level: 0,
            output: GuestPhys::new(output),
            bits: FLAT_BITS as u8,
        });
    }
    Ok(Translation {
        at: GuestPhys::new(output),
        contiguous: FLAT_PAGE - output % FLAT_PAGE,
        rights: Rights::ALL,
        level: 0,
        attributes: Attributes::default(),
    })
}

/// Checks that an address is no larger than the guest says its addresses are.
fn check_size(regime: &Regime, level: i8, output: u64) -> Result<(), WalkProblem> {
    if output >> regime.output_bits != 0 {
        return Err(WalkProblem::AddressSize {
            level,
            output: GuestPhys::new(output),
            bits: regime.output_bits as u8,
        });
    }
    Ok(())
}
