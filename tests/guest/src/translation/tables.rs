//! Pseudo-random translation tables.

use super::plan::{Granule, Plan, Range};
use crate::random::Random;

/// Where the tables are, one pool for each range.
const POOLS: [u64; 2] = [0x4080_0000, 0x40a0_0000];
/// How many tables a pool has.
const TABLES: u64 = 16;
/// How many entries of a table are made; larger tables repeat them.
const ENTRIES: u64 = 512;
/// Places that have no tables: devices, what is not the guest's, and nothing at all.
const ELSEWHERE: [u64; 6] = [
    0x0900_0000,
    0x0800_0000,
    0x0a00_0000,
    0x5000_0000,
    0x6000_0000,
    0x1_0000_0000,
];

/// Builds tables for both ranges of `plan` and returns what the two base registers hold.
pub(crate) fn build(plan: &Plan, random: &mut Random) -> [u64; 2] {
    let mut bases = [0; 2];
    for ((range, pool), base) in plan.ranges.iter().zip(POOLS).zip(&mut bases) {
        let maker = Maker { plan, range, pool };
        for table in 0..TABLES {
            maker.fill(maker.table(table), random);
        }
        *base = maker.base(random);
    }
    bases
}

/// Makes the tables of one range.
struct Maker<'a> {
    plan: &'a Plan,
    range: &'a Range,
    pool: u64,
}

impl Maker<'_> {
    fn table(&self, number: u64) -> u64 {
        self.pool + (number << self.range.granule.bits())
    }

    /// Fills the table at `table`.
    fn fill(&self, table: u64, random: &mut Random) {
        let len = 1 << (self.range.granule.bits() - 3);
        for index in 0..len {
            let value = if index < ENTRIES {
                let descriptor = self.descriptor(random);
                if self.plan.big_endian == 1 {
                    descriptor.swap_bytes()
                } else {
                    descriptor
                }
            } else {
                read(table + 8 * (index - ENTRIES))
            };
            write(table + 8 * index, value);
        }
    }

    /// Returns a table base register.
    fn base(&self, random: &mut Random) -> u64 {
        let identifier = random.next() << 48;
        let place = match random.below(24) {
            0 => random.one_of(&ELSEWHERE),
            1 => self.table(0) | 1 << (32 + random.below(16)),
            _ => self.table(random.below(TABLES)),
        };
        // A first table that is shorter than a page need not begin where one does.
        let size = 8_u64 << self.range.first_index_bits();
        let page = 1 << self.range.granule.bits();
        let offset = random.below(page) & !(size.max(64) - 1);
        identifier | place | offset
    }

    /// Returns a descriptor of any kind.
    fn descriptor(&self, random: &mut Random) -> u64 {
        match random.below(16) {
            0 | 1 => random.next() & !1,
            2..=9 => self.table_descriptor(random) | 0b11,
            _ => self.output(random) | attributes(random) | 0b01,
        }
    }

    /// Returns the descriptor of a table, which on the last level is one of a page.
    fn table_descriptor(&self, random: &mut Random) -> u64 {
        let place = match random.below(48) {
            0 | 1 => random.one_of(&ELSEWHERE),
            2 | 3 => self.output(random) & !self.low_bits(),
            _ => self.table(random.below(TABLES)),
        };
        let limits = (random.next() & random.next() & random.next()) >> 59 << 59;
        place | attributes(random) & !self.high_bits() | limits
    }

    /// Returns an output address in the form of a descriptor, now and then one that is too large.
    fn output(&self, random: &mut Random) -> u64 {
        let bits = self.plan.output_bits();
        let is_large = random.once_in(12) == 1;
        let limit = if is_large { 52 } else { bits };
        let address = random.next() & (u64::MAX >> (64 - limit)) & !0xfff;
        match self.range.granule {
            Granule::K64 if bits == 52 => address & 0x0000_ffff_ffff_0000 | address >> 48 << 12,
            Granule::K64 => address & 0x0000_ffff_ffff_0000,
            _ if self.plan.large == 0 => address & 0x0000_ffff_fffe_f000,
            _ if bits == 52 => address & 0x0003_ffff_fffe_f000 | address >> 50 << 8,
            _ => address & 0x0003_ffff_fffe_f000,
        }
    }

    /// Bits below the address of a page in a descriptor.
    fn low_bits(&self) -> u64 {
        (1 << self.range.granule.bits()) - 1
    }

    /// Where the attributes are in whose place some formats have bits of the address.
    fn high_bits(&self) -> u64 {
        if self.plan.large == 1 && self.range.granule != Granule::K64 {
            3 << 8
        } else {
            0
        }
    }
}

/// Returns the attributes of a page or block: all combinations, most of them with the access flag. Without those bits
/// that belong to the address in some formats.
fn attributes(random: &mut Random) -> u64 {
    const LOWER: u64 = 0x8fc;
    const UPPER: u64 = 0x01fc << 48;
    const ACCESSED: u64 = 1 << 10;
    let access = (1 - random.once_in(8)) * ACCESSED;
    random.next() & (LOWER | UPPER) | access
}

fn read(at: u64) -> u64 {
    // SAFETY: the address is in one of the pools, which are memory that nothing else uses.
    unsafe { (at as *const u64).read_volatile() }
}

fn write(at: u64, value: u64) {
    // SAFETY: as in `read`.
    unsafe { (at as *mut u64).write_volatile(value) }
}
