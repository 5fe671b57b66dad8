//! What the processor's translation can do.

use aarch64_cpu::{asm::barrier, registers::*};

/// The features that matter to translation tables (ARM ARM D24.2, the ID registers).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Features {
    /// Pages of 16 KiB.
    pub(crate) pages_16k: bool,
    /// `FEAT_LVA`: 52 bits of virtual address with pages of 64 KiB.
    pub(crate) large_virtual: bool,
    /// `FEAT_LPA2` for pages of 4 KiB.
    pub(crate) lpa2_4k: bool,
    /// `FEAT_LPA2` for pages of 16 KiB.
    pub(crate) lpa2_16k: bool,
    /// `FEAT_TTST`: small tables.
    pub(crate) small_tables: bool,
    /// `FEAT_E0PD`: ranges closed to programs.
    pub(crate) closed_ranges: bool,
    /// `FEAT_HPDS`: tables whose attributes are ignored.
    pub(crate) flat_attributes: bool,
    /// `FEAT_HAFDBS`: access flags that the processor sets.
    pub(crate) sets_access_flag: bool,
}

impl Features {
    /// Reads them from the processor, as the hypervisor shows it.
    pub(crate) fn read() -> Self {
        barrier::isb(barrier::SY);
        let [mmfr0, mmfr1, mmfr2] = [
            ID_AA64MMFR0_EL1.get(),
            ID_AA64MMFR1_EL1.get(),
            ID_AA64MMFR2_EL1.get(),
        ];
        let field = |register: u64, low: u32| register >> low & 0xf;
        Self {
            pages_16k: field(mmfr0, 20) != 0,
            large_virtual: field(mmfr2, 16) == 1,
            lpa2_4k: field(mmfr0, 28) == 1,
            lpa2_16k: field(mmfr0, 20) == 2,
            small_tables: field(mmfr2, 28) == 1,
            closed_ranges: field(mmfr2, 60) != 0,
            flat_attributes: field(mmfr1, 12) != 0,
            sets_access_flag: field(mmfr1, 0) != 0,
        }
    }
}
