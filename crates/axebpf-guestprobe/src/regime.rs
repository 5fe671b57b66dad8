//! How a guest has set up its translation.

use axebpf_platform::GuestVirt;

use crate::granule::{Granule, HighBits};
use crate::{Access, WalkProblem};

/// The registers of a vCPU that define its EL1&0 stage-1 translation, as the guest wrote them.
///
/// Bits are taken for what they mean where the feature exists: a guest that sets `TCR_EL1.HA`, `HD` or `DS`, or asks
/// for larger addresses than its processor has, is believed. `TCR2_EL1` is not known: a hypervisor whose guests are to
/// be probed keeps permission indirection and overlays (`FEAT_S1PIE`, `FEAT_S1POE`), `FEAT_AIE`, `FEAT_HAFT` and
/// `FEAT_D128` from them, which change what descriptors mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stage1 {
    /// `TTBR0_EL1`: the table of the lower range.
    pub ttbr0: u64,
    /// `TTBR1_EL1`: the table of the upper range.
    pub ttbr1: u64,
    /// `TCR_EL1` (ARM ARM D24.2.186).
    pub tcr: u64,
    /// `SCTLR_EL1`, of which the bits `M`, `WXN` and `EE` matter.
    pub sctlr: u64,
}

/// Where `TCR_EL1` has what it says about one of the two ranges of addresses.
struct Fields {
    /// `TnSZ`, six bits.
    size: u32,
    /// `TGn`, two bits.
    granule: u32,
    /// What it means.
    granule_of: fn(u64) -> Option<Granule>,
    /// `EPDn`.
    disabled: u32,
    /// `TBIn`.
    ignores_top: u32,
    /// `TBIDn`.
    only_for_data: u32,
    /// `HPDn`.
    flat: u32,
    /// `E0PDn`.
    user_disabled: u32,
}

const LOWER: Fields = Fields {
    size: 0,
    granule: 14,
    granule_of: Granule::of_lower,
    disabled: 7,
    ignores_top: 37,
    only_for_data: 51,
    flat: 41,
    user_disabled: 55,
};

const UPPER: Fields = Fields {
    size: 16,
    granule: 30,
    granule_of: Granule::of_upper,
    disabled: 23,
    ignores_top: 38,
    only_for_data: 52,
    flat: 42,
    user_disabled: 56,
};

/// Where `TCR_EL1` has the size of physical addresses.
const IPS: u32 = 32;
/// Where `TCR_EL1` says that the processor sets access flags.
const HA: u32 = 39;
/// Where `TCR_EL1` asks for addresses of 52 bits.
const DS: u32 = 59;
/// The bit of an address that chooses the range.
const RANGE_BIT: u32 = 55;

/// Whether the descriptors of tables restrict what lies below them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TableRights {
    Apply,
    Ignored,
}

/// Whether the guest's programs may use a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum UserAccess {
    Possible,
    /// `FEAT_E0PD` keeps them out, whatever the tables say.
    Disabled,
}

/// What the registers say about one range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Regime {
    /// The size of pages and tables.
    pub(crate) granule: Granule,
    /// Where descriptors have the bits of an address above bit 47.
    pub(crate) high_bits: HighBits,
    /// The number of bits of an address that are translated, 16 to 52.
    pub(crate) input_bits: u32,
    /// The number of bits of a guest-physical address.
    pub(crate) output_bits: u32,
    /// The table base register.
    pub(crate) ttbr: u64,
    /// What the descriptors of tables do.
    pub(crate) table_rights: TableRights,
    /// Whether programs may use the range.
    pub(crate) user: UserAccess,
}

impl Stage1 {
    /// Returns the `count` bits of `TCR_EL1` from bit `low` on.
    fn tcr_field(&self, low: u32, count: u32) -> u64 {
        self.tcr >> low & ((1 << count) - 1)
    }

    /// Tells whether bit `n` of `TCR_EL1` is set.
    fn tcr_bit(&self, n: u32) -> bool {
        self.tcr_field(n, 1) != 0
    }

    /// Tells whether addresses are translated at all.
    pub(crate) fn is_enabled(&self) -> bool {
        self.sctlr & 1 != 0
    }

    /// Tells whether tables are big-endian.
    pub(crate) fn is_big_endian(&self) -> bool {
        self.sctlr & 1 << 25 != 0
    }

    /// Tells whether what can be written cannot be executed.
    pub(crate) fn write_implies_xn(&self) -> bool {
        self.sctlr & 1 << 19 != 0
    }

    /// Tells whether the processor sets access flags.
    pub(crate) fn sets_access_flag(&self) -> bool {
        self.tcr_bit(HA)
    }

    /// Returns `at` without a pointer authentication code: with all bits above those that are translated equal to bit
    /// 55, which chooses the range and is never part of a code (ARM ARM D8.10).
    #[must_use]
    pub fn without_authentication(&self, at: GuestVirt) -> GuestVirt {
        let is_upper = at.get() >> RANGE_BIT & 1 != 0;
        let fields = if is_upper { UPPER } else { LOWER };
        let size = self.tcr_field(fields.size, 6) as u32;
        let above = !(u64::MAX >> size.min(63));
        GuestVirt::new(if is_upper {
            at.get() | above
        } else {
            at.get() & !above
        })
    }

    /// Tells whether the top byte of an address in the range of `fields` means nothing.
    fn ignores_top(&self, fields: &Fields, access: Access) -> bool {
        self.tcr_bit(fields.ignores_top)
            && (access == Access::Data || !self.tcr_bit(fields.only_for_data))
    }

    /// Returns `at` as it is used where nothing is translated: without the top byte, where that means nothing (ARM ARM
    /// D8.2.11).
    pub(crate) fn untranslated(&self, at: GuestVirt, access: Access) -> u64 {
        let is_upper = at.get() >> RANGE_BIT & 1 != 0;
        let fields = if is_upper { UPPER } else { LOWER };
        if self.ignores_top(&fields, access) {
            at.get() & u64::MAX >> (63 - RANGE_BIT)
        } else {
            at.get()
        }
    }

    /// Returns what the registers say about the range of `at`.
    pub(crate) fn regime(&self, at: GuestVirt, access: Access) -> Result<Regime, WalkProblem> {
        let is_upper = at.get() >> RANGE_BIT & 1 != 0;
        let (fields, ttbr) = if is_upper {
            (UPPER, self.ttbr1)
        } else {
            (LOWER, self.ttbr0)
        };
        let unsupported = WalkProblem::Unsupported { tcr: self.tcr };
        let granule = (fields.granule_of)(self.tcr_field(fields.granule, 2)).ok_or(unsupported)?;
        let size = self.tcr_field(fields.size, 6) as u32;
        // Sizes outside of these need an extension, or are taken for another size.
        if !self.sizes(granule).contains(&size) {
            return Err(unsupported);
        }
        let input_bits = 64 - size;
        self.check_range(&fields, at, access, input_bits)?;
        let (output_bits, high_bits) = self.output(granule).ok_or(unsupported)?;
        Ok(Regime {
            granule,
            high_bits,
            input_bits,
            output_bits,
            ttbr,
            table_rights: self.table_rights(&fields),
            user: self.user_access(&fields),
        })
    }

    /// Tells whether the descriptors of tables restrict what lies below them.
    fn table_rights(&self, fields: &Fields) -> TableRights {
        if self.tcr_bit(fields.flat) {
            TableRights::Ignored
        } else {
            TableRights::Apply
        }
    }

    /// Tells whether programs may use the range of `fields`.
    fn user_access(&self, fields: &Fields) -> UserAccess {
        if self.tcr_bit(fields.user_disabled) {
            UserAccess::Disabled
        } else {
            UserAccess::Possible
        }
    }

    /// Checks that `at` is in the range of `fields`, of `input_bits` bits, and that the range is translated.
    fn check_range(
        &self,
        fields: &Fields,
        at: GuestVirt,
        access: Access,
        input_bits: u32,
    ) -> Result<(), WalkProblem> {
        let checked_bits = if self.ignores_top(fields, access) {
            RANGE_BIT + 1
        } else {
            64
        };
        if !is_extended(at.get(), input_bits, checked_bits) {
            Err(WalkProblem::OutOfRange)
        } else if self.tcr_bit(fields.disabled) {
            Err(WalkProblem::Disabled)
        } else {
            Ok(())
        }
    }

    /// Returns which values `TnSZ` may have.
    fn sizes(&self, granule: Granule) -> core::ops::RangeInclusive<u32> {
        match granule {
            // 52 bits with `FEAT_LVA`.
            Granule::K64 => 12..=47,
            Granule::K4 | Granule::K16 if self.tcr_bit(DS) => 12..=48,
            Granule::K4 | Granule::K16 => 16..=48,
        }
    }

    /// Returns the number of bits of a guest-physical address, and where descriptors have those above bit 47.
    fn output(&self, granule: Granule) -> Option<(u32, HighBits)> {
        let bits = match self.tcr_field(IPS, 3) {
            0 => 32,
            1 => 36,
            2 => 40,
            3 => 42,
            4 => 44,
            5 => 48,
            6 => 52,
            _ => return None,
        };
        Some(match granule {
            // `DS` matters to the smaller granules alone, and without it they have 48 bits at most.
            Granule::K4 | Granule::K16 if self.tcr_bit(DS) => (bits, HighBits::At8),
            Granule::K64 if bits == 52 => (bits, HighBits::At12),
            _ => (bits.min(48), HighBits::None),
        })
    }
}

impl Regime {
    /// Returns the level of the first table, -1 to 3.
    pub(crate) fn first_level(&self) -> i8 {
        let translated = self.input_bits - self.granule.page_bits();
        4 - translated.div_ceil(self.granule.level_bits()) as i8
    }

    /// Returns the address of the first table.
    pub(crate) fn first_table(&self) -> u64 {
        // A table that translates fewer bits than others is shorter, and aligned to its own size; but not to less than
        // 64 bytes where the low bits of the register hold the high ones of the address.
        let index_bits = self.input_bits - self.granule.shift_of(self.first_level());
        let least = if self.high_bits == HighBits::None {
            1
        } else {
            64
        };
        let size = (8_u64 << index_bits).max(least);
        let base = self.ttbr & 0x0000_ffff_ffff_ffff & !(size - 1);
        if self.output_bits > 48 {
            // Bits 5 to 2 are those from 48 on (ARM ARM D24.2.194).
            base | (self.ttbr >> 2 & 0xf) << 48
        } else {
            base
        }
    }

    /// Returns which entry of a table of `level` translates `input`.
    pub(crate) fn index(&self, input: u64, level: i8) -> u64 {
        input >> self.granule.shift_of(level) & ((1 << self.granule.level_bits()) - 1)
    }
}

/// Tells whether the bits of `at` from `input_bits` up to `checked_bits` all equal the one that chooses the
/// range.
fn is_extended(at: u64, input_bits: u32, checked_bits: u32) -> bool {
    let above = at << (64 - checked_bits) >> (64 - checked_bits) >> input_bits;
    let ones = u64::MAX >> (64 - (checked_bits - input_bits));
    above == if at >> RANGE_BIT & 1 != 0 { ones } else { 0 }
}
