//! Granules: how large pages are, and what that makes of tables (ARM ARM D8.2).

/// The size of a page, and of a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Granule {
    K4,
    K16,
    K64,
}

/// Where the descriptors of one range keep the bits of an address above bit 47.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum HighBits {
    /// Addresses have 48 bits.
    None,
    /// Bits 51 to 48 are in bits 15 to 12: 64 KiB with `FEAT_LPA`.
    At12,
    /// Bits 49 and 48 are in their place, 51 and 50 are in bits 9 and 8: the other granules with `TCR_EL1.DS`.
    At8,
}

impl Granule {
    /// Returns what `TCR_EL1.TG0` says.
    pub(crate) fn of_lower(field: u64) -> Option<Self> {
        match field {
            0b00 => Some(Self::K4),
            0b01 => Some(Self::K64),
            0b10 => Some(Self::K16),
            _ => None,
        }
    }

    /// Returns what `TCR_EL1.TG1` says.
    pub(crate) fn of_upper(field: u64) -> Option<Self> {
        match field {
            0b01 => Some(Self::K16),
            0b10 => Some(Self::K4),
            0b11 => Some(Self::K64),
            _ => None,
        }
    }

    /// Returns the number of bits that an offset into a page has.
    pub(crate) fn page_bits(self) -> u32 {
        match self {
            Self::K4 => 12,
            Self::K16 => 14,
            Self::K64 => 16,
        }
    }

    /// Returns the number of bits of an address that one level of tables translates.
    pub(crate) fn level_bits(self) -> u32 {
        // A descriptor has eight bytes.
        self.page_bits() - 3
    }

    /// Returns the number of bits of an address below those that the tables of `level`, -1 to 3, translate.
    pub(crate) fn shift_of(self, level: i8) -> u32 {
        self.page_bits() + self.level_bits() * (3 - i32::from(level)).unsigned_abs()
    }

    /// Tells whether a descriptor of `level` may map a block.
    pub(crate) fn has_blocks(self, level: i8, high_bits: HighBits) -> bool {
        match (self, level) {
            (Self::K4, 1 | 2) | (Self::K16 | Self::K64, 2) => true,
            (Self::K4, 0) | (Self::K16, 1) => high_bits == HighBits::At8,
            (Self::K64, 1) => high_bits == HighBits::At12,
            _ => false,
        }
    }
}
