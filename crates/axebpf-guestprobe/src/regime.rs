//! How a guest has set up its translation.

use axebpf_platform::GuestVirt;

use crate::{Access, WalkProblem};

/// The number of bits that an offset into a page of 4 KiB has.
pub(crate) const PAGE_BITS: u32 = 12;
/// The number of bits of an address that one level of tables translates.
pub(crate) const LEVEL_BITS: u32 = 9;

/// The registers of a vCPU that define its EL1&0 stage-1 translation, as the guest wrote them.
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
    /// The value of `TGn` for 4 KiB.
    granule_4k: u64,
    /// `EPDn`.
    disabled: u32,
    /// `TBIn`.
    ignores_top: u32,
    /// `TBIDn`.
    only_for_data: u32,
    /// `HPDn`.
    flat: u32,
}

const LOWER: Fields = Fields {
    size: 0,
    granule: 14,
    granule_4k: 0b00,
    disabled: 7,
    ignores_top: 37,
    only_for_data: 51,
    flat: 41,
};

const UPPER: Fields = Fields {
    size: 16,
    granule: 30,
    granule_4k: 0b10,
    disabled: 23,
    ignores_top: 38,
    only_for_data: 52,
    flat: 42,
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

/// What the registers say about one range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Regime {
    /// The number of bits of an address that are translated, 16 to 48.
    pub(crate) input_bits: u32,
    /// The number of bits of a guest-physical address.
    pub(crate) output_bits: u32,
    /// The table base register.
    pub(crate) ttbr: u64,
    /// What the descriptors of tables do.
    pub(crate) table_rights: TableRights,
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
    fn is_big_endian(&self) -> bool {
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

    /// Returns `at` without a pointer authentication code: with all bits above those that are translated equal to bit 55,
    /// which chooses the range and is never part of a code (ARM ARM D8.10).
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

    /// Returns what the registers say about the range of `at`.
    pub(crate) fn regime(&self, at: GuestVirt, access: Access) -> Result<Regime, WalkProblem> {
        let is_upper = at.get() >> RANGE_BIT & 1 != 0;
        let (fields, ttbr) = if is_upper {
            (UPPER, self.ttbr1)
        } else {
            (LOWER, self.ttbr0)
        };
        let unsupported = WalkProblem::Unsupported { tcr: self.tcr };
        let size = self.tcr_field(fields.size, 6) as u32;
        // Sizes outside of these need an extension, or are taken for another size.
        if !(16..=48).contains(&size) {
            return Err(unsupported);
        }
        let input_bits = 64 - size;
        let ignores_top = self.tcr_bit(fields.ignores_top)
            && (access == Access::Data || !self.tcr_bit(fields.only_for_data));
        let checked_bits = if ignores_top { RANGE_BIT + 1 } else { 64 };
        if !is_extended(at.get(), input_bits, checked_bits) {
            return Err(WalkProblem::OutOfRange);
        }
        if self.tcr_bit(fields.disabled) {
            return Err(WalkProblem::Disabled);
        }
        if self.is_big_endian() {
            return Err(WalkProblem::BigEndian);
        }
        if self.tcr_field(fields.granule, 2) != fields.granule_4k || self.tcr_bit(DS) {
            return Err(unsupported);
        }
        Ok(Regime {
            input_bits,
            output_bits: self.output_bits().ok_or(unsupported)?,
            ttbr,
            table_rights: if self.tcr_bit(fields.flat) {
                TableRights::Ignored
            } else {
                TableRights::Apply
            },
        })
    }

    /// Returns the number of bits of a guest-physical address.
    fn output_bits(&self) -> Option<u32> {
        match self.tcr_field(IPS, 3) {
            0 => Some(32),
            1 => Some(36),
            2 => Some(40),
            3 => Some(42),
            4 => Some(44),
            // With this granule, 52 bits are 48 unless `DS` is set.
            5 | 6 => Some(48),
            _ => None,
        }
    }
}

impl Regime {
    /// Returns the level of the first table, 0 to 3.
    pub(crate) fn first_level(&self) -> u32 {
        4 - (self.input_bits - PAGE_BITS).div_ceil(LEVEL_BITS)
    }

    /// Returns the address of the first table.
    pub(crate) fn first_table(&self) -> u64 {
        // A table that translates fewer bits than others is shorter, and aligned to its own size, but not
        // to less than 64 bytes.
        let index_bits = self.input_bits - shift_of(self.first_level());
        let size = (8_u64 << index_bits).max(64);
        self.ttbr & 0x0000_ffff_ffff_ffff & !(size - 1)
    }
}

/// Tells whether the bits of `at` from `input_bits` up to `checked_bits` all equal the one that chooses the
/// range.
fn is_extended(at: u64, input_bits: u32, checked_bits: u32) -> bool {
    let above = at << (64 - checked_bits) >> (64 - checked_bits) >> input_bits;
    let ones = u64::MAX >> (64 - (checked_bits - input_bits));
    above == if at >> RANGE_BIT & 1 != 0 { ones } else { 0 }
}

/// Returns the number of bits of an address below those that the tables of `level` translate.
pub(crate) fn shift_of(level: u32) -> u32 {
    PAGE_BITS + LEVEL_BITS * (3 - level)
}
