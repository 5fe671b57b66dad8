//! How translation is set up for one round of checks.

use core::fmt;

use super::Features;
use crate::random::Random;

/// The size of pages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Granule {
    K4,
    K16,
    K64,
}

impl Granule {
    /// All there are, in the order of their numbers.
    pub(crate) const ALL: [Self; 3] = [Self::K4, Self::K16, Self::K64];

    /// Returns the number of bits of an offset into a page.
    pub(crate) fn bits(self) -> u32 {
        match self {
            Self::K4 => 12,
            Self::K16 => 14,
            Self::K64 => 16,
        }
    }

    /// Returns `TCR_EL1.TG0` or `TG1` for it.
    fn field(self, half: Half) -> u64 {
        match (half, self) {
            (Half::Lower, Self::K4) => 0b00,
            (Half::Lower, Self::K64) => 0b01,
            (Half::Lower, Self::K16) => 0b10,
            (Half::Upper, Self::K16) => 0b01,
            (Half::Upper, Self::K4) => 0b10,
            (Half::Upper, Self::K64) => 0b11,
        }
    }
}

/// One of the two ranges of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Half {
    Lower,
    Upper,
}

/// One of the two ranges of addresses, set up.
#[derive(Clone, Copy)]
pub(crate) struct Range {
    /// Which one.
    pub(crate) half: Half,
    /// The size of its pages.
    pub(crate) granule: Granule,
    /// `TnSZ`.
    pub(crate) size: u32,
    ignores_top: u64,
    disabled: u64,
    closed: u64,
    flat: u64,
}

/// How translation is set up.
#[derive(Clone, Copy)]
pub(crate) struct Plan {
    /// Both ranges.
    pub(crate) ranges: [Range; 2],
    /// `TCR_EL1.IPS`.
    pub(crate) output: u64,
    /// `TCR_EL1.DS`.
    pub(crate) large: u64,
    /// Whether tables are big-endian.
    pub(crate) big_endian: u64,
    /// Whether there is translation at all.
    pub(crate) enabled: u64,
    sets_access_flag: u64,
    write_xn: u64,
}

impl Plan {
    /// Makes plan `number`: the granules and whether addresses have 52 bits go through all combinations.
    pub(crate) fn new(number: u64, features: &Features, random: &mut Random) -> Self {
        let granules =
            [number % 3, number / 3 % 3].map(|index| match Granule::ALL[index as usize] {
                Granule::K16 if !features.pages_16k => Granule::K64,
                granule => granule,
            });
        let large = number / 9 % 2;
        let has_large = granules.iter().all(|granule| match granule {
            Granule::K4 => features.lpa2_4k,
            Granule::K16 => features.lpa2_16k,
            Granule::K64 => features.large_virtual,
        });
        let large = large * u64::from(has_large);
        let range =
            |half, granule, random: &mut Random| Range::new(half, granule, large, features, random);
        Self {
            ranges: [
                range(Half::Lower, granules[0], random),
                range(Half::Upper, granules[1], random),
            ],
            output: match features.large_virtual {
                true if large == 1 && random.once_in(4) == 0 => 6,
                true => random.below(7),
                // Processors without large addresses have at least 44 bits in practice.
                false => random.below(5),
            },
            large,
            big_endian: random.once_in(6),
            sets_access_flag: random.once_in(4) * u64::from(features.sets_access_flag),
            // Where nothing is translated, how large an address may be is the processor's to say.
            enabled: 1 - random.once_in(24) * u64::from(features.large_virtual),
            write_xn: random.once_in(2),
        }
    }

    /// Returns the number of bits that an output address may have.
    pub(crate) fn output_bits(&self) -> u32 {
        [32, 36, 40, 42, 44, 48, 52][self.output as usize]
    }

    /// Returns `TCR_EL1`.
    pub(crate) fn tcr(&self) -> u64 {
        const WRITE_BACK_SHAREABLE: u64 = 0x35 << 8;
        let range = |range: &Range| {
            let [low, top, flat, closed] = match range.half {
                Half::Lower => [0, 37, 41, 55],
                Half::Upper => [16, 38, 42, 56],
            };
            let tables = u64::from(range.size) | range.disabled << 7 | WRITE_BACK_SHAREABLE;
            tables << low
                | range.granule.field(range.half) << (low + 14)
                | range.ignores_top << top
                | range.flat << flat
                | range.closed << closed
        };
        let both = range(&self.ranges[0]) | range(&self.ranges[1]);
        both | self.output << 32 | self.sets_access_flag << 39 | self.large << 59
    }

    /// Returns `SCTLR_EL1`.
    pub(crate) fn sctlr(&self) -> u64 {
        const OTHERWISE: u64 = 0x30d0_198c;
        OTHERWISE | self.enabled | self.write_xn << 19 | self.big_endian << 25
    }
}

impl Range {
    fn new(
        half: Half,
        granule: Granule,
        large: u64,
        features: &Features,
        random: &mut Random,
    ) -> Self {
        let smallest = match granule {
            Granule::K64 if features.large_virtual => 12,
            Granule::K4 | Granule::K16 if large == 1 => 12,
            _ => 16,
        };
        let largest = match granule {
            _ if !features.small_tables => 39,
            Granule::K64 => 47,
            Granule::K4 | Granule::K16 => 48,
        };
        let usual = [smallest, 16, 25, 28, largest];
        let size = match random.below(8) as usize {
            index if index < usual.len() => usual[index],
            _ => smallest + random.below(u64::from(largest - smallest) + 1) as u32,
        };
        Self {
            half,
            granule,
            size,
            ignores_top: random.once_in(2),
            disabled: random.once_in(16),
            closed: random.once_in(4) * u64::from(features.closed_ranges),
            flat: random.once_in(4) * u64::from(features.flat_attributes),
        }
    }

    /// Returns an address to be checked.
    pub(crate) fn address(&self, random: &mut Random) -> u64 {
        let above = !(u64::MAX >> self.size);
        let offset = random.next() & !above;
        let mut address = match self.half {
            Half::Lower => offset,
            Half::Upper => offset | above,
        };
        if random.once_in(2) == 1 {
            // All of the top byte: it is ignored or makes the address one of no range.
            let is_ignored = self.ignores_top == 1;
            if is_ignored || random.once_in(16) == 1 {
                address = address & u64::MAX >> 8 | random.next() << 56;
            }
        }
        if random.once_in(24) == 1 {
            let bit = u64::from(64 - self.size) + random.below(u64::from(self.size));
            address ^= 1 << bit;
        }
        address
    }

    /// Returns the level of the first table (ARM ARM D8.2).
    pub(crate) fn first_level(&self) -> i64 {
        const LAST: i64 = 3;
        let level_bits = self.granule.bits() - 3;
        let translated = 64 - self.size - self.granule.bits();
        LAST - i64::from((translated - 1) / level_bits)
    }

    /// Returns the number of bits of an address that are translated by the first table.
    pub(crate) fn first_index_bits(&self) -> u32 {
        let level_bits = self.granule.bits() - 3;
        let translated = 64 - self.size - self.granule.bits();
        (translated - 1) % level_bits + 1
    }
}

impl fmt::Debug for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [lower, upper] = &self.ranges;
        write!(
            f,
            "{:?}/{} {:?}/{} output {} ds {} tcr {:#x} sctlr {:#x}",
            lower.granule,
            lower.size,
            upper.granule,
            upper.size,
            self.output_bits(),
            self.large,
            self.tcr(),
            self.sctlr(),
        )
    }
}
