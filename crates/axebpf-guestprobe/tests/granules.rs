//! The walk for every granule and size of addresses, against tables that are built from the address-splitting tables
//! of the ARM ARM (D8.2, tables "Translation table entry address bits") and not from anything that the walk computes.

use std::cell::Cell;
use std::collections::HashMap;

use axebpf_guestprobe::{Access, GuestMemory, GuestMemoryFault, Stage1, Translation, WalkProblem};
use axebpf_platform::{GuestPhys, GuestVirt};
use proptest::prelude::*;

/// One row of an address-splitting table: which bits of an address the tables of a level take.
struct Row {
    level: i8,
    high: u32,
    low: u32,
}

const fn row(level: i8, high: u32, low: u32) -> Row {
    Row { level, high, low }
}

/// What there is to know of a granule.
struct Granule {
    name: &'static str,
    rows: &'static [Row],
    offset_bits: u32,
    tg0: u64,
    tg1: u64,
    /// On which levels there are blocks, and on which there are with addresses of 52 bits.
    blocks: &'static [i8],
    large_blocks: &'static [i8],
}

static GRANULES: [Granule; 3] = [
    Granule {
        name: "4K",
        rows: &[
            row(-1, 51, 48),
            row(0, 47, 39),
            row(1, 38, 30),
            row(2, 29, 21),
            row(3, 20, 12),
        ],
        offset_bits: 12,
        tg0: 0b00,
        tg1: 0b10,
        blocks: &[1, 2],
        large_blocks: &[0, 1, 2],
    },
    Granule {
        name: "16K",
        rows: &[
            row(0, 51, 47),
            row(1, 46, 36),
            row(2, 35, 25),
            row(3, 24, 14),
        ],
        offset_bits: 14,
        tg0: 0b10,
        tg1: 0b01,
        blocks: &[2],
        large_blocks: &[1, 2],
    },
    Granule {
        name: "64K",
        rows: &[row(1, 51, 42), row(2, 41, 29), row(3, 28, 16)],
        offset_bits: 16,
        tg0: 0b01,
        tg1: 0b11,
        blocks: &[2],
        large_blocks: &[1, 2],
    },
];

/// Which half of the addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    Lower,
    Upper,
}

/// How large physical addresses are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Size {
    Bits48,
    Bits52,
}

/// A guest with one mapping.
#[derive(Debug)]
struct Guest {
    words: HashMap<u64, u64>,
    stage1: Stage1,
    reads: Cell<usize>,
}

impl GuestMemory for Guest {
    fn read_guest(&self, at: GuestPhys, bytes: &mut [u8]) -> Result<(), GuestMemoryFault> {
        self.reads.set(self.reads.get() + 1);
        let word = self.words.get(&at.get()).copied().unwrap_or(0);
        bytes.copy_from_slice(&word.to_le_bytes());
        Ok(())
    }
}

/// What is to be mapped.
#[derive(Debug)]
struct Case {
    granule: usize,
    input_bits: u32,
    half: Half,
    size: Size,
    /// The level of the page or block.
    leaf: i8,
    at: u64,
    output: u64,
    attributes: u64,
}

const AF: u64 = 1 << 10;
const CONTIGUOUS: u64 = 1 << 52;

impl Case {
    fn granule(&self) -> &'static Granule {
        &GRANULES[self.granule]
    }

    /// The rows whose tables there are: those with at least one bit of the address.
    fn rows(&self) -> impl Iterator<Item = &'static Row> {
        let bits = self.input_bits;
        self.granule().rows.iter().filter(move |row| row.low < bits)
    }

    fn has_leaf(&self) -> bool {
        let granule = self.granule();
        let blocks = match self.size {
            Size::Bits48 => granule.blocks,
            Size::Bits52 => granule.large_blocks,
        };
        (self.leaf == 3 || blocks.contains(&self.leaf))
            && self.rows().any(|row| row.level == self.leaf)
    }

    /// Puts an address into a descriptor, as the granule and the size have it.
    fn encode(&self, address: u64) -> u64 {
        match (self.size, self.granule().name) {
            (Size::Bits48, _) => {
                assert_eq!(address >> 48, 0);
                address
            }
            (Size::Bits52, "64K") => address & 0xffff_ffff_0000 | (address >> 48) << 12,
            (Size::Bits52, _) => address & 0x3_ffff_ffff_f000 | (address >> 50) << 8,
        }
    }

    fn build(&self) -> Guest {
        let granule = self.granule();
        // Where tables go: high ones, if there are such addresses.
        let mut next = match self.size {
            Size::Bits48 => 0x8000_0000_0000,
            Size::Bits52 => 0xa_8000_0000_0000,
        };
        let root = next;
        let mut table = root;
        let mut words = HashMap::new();
        for row in self.rows() {
            let high = row.high.min(self.input_bits - 1);
            let index = self.at >> row.low & ((1 << (high - row.low + 1)) - 1);
            let entry = table + index * 8;
            if row.level == self.leaf {
                let kind = if row.level == 3 { 3 } else { 1 };
                let output = self.output >> row.low << row.low;
                words.insert(entry, self.encode(output) | self.attributes | kind);
                break;
            }
            next += 1 << granule.offset_bits;
            table = next;
            words.insert(entry, self.encode(table) | 3);
        }
        let tsz = u64::from(64 - self.input_bits);
        let large = self.size == Size::Bits52;
        let tcr = tsz
            | tsz << 16
            | granule.tg0 << 14
            | granule.tg1 << 30
            | if large { 6 } else { 5 } << 32
            | u64::from(large && granule.name != "64K") << 59;
        let ttbr = match self.size {
            Size::Bits48 => root,
            Size::Bits52 => root & 0xffff_ffff_ffff | (root >> 48) << 2,
        };
        let (ttbr0, ttbr1) = match self.half {
            Half::Lower => (ttbr, 0),
            Half::Upper => (0, ttbr),
        };
        Guest {
            words,
            stage1: Stage1 {
                ttbr0,
                ttbr1,
                tcr,
                sctlr: 1,
            },
            reads: Cell::new(0),
        }
    }

    /// The virtual address, in its half.
    fn virt(&self) -> u64 {
        let inside = self.at & ((1 << self.input_bits) - 1);
        match self.half {
            Half::Lower => inside,
            Half::Upper => inside | u64::MAX << self.input_bits,
        }
    }

    /// The size of what the leaf maps.
    fn leaf_size(&self) -> u64 {
        1 << self.rows().find(|row| row.level == self.leaf).unwrap().low
    }
}

fn translate(guest: &Guest, at: u64) -> Result<Translation, WalkProblem> {
    guest
        .stage1
        .translate(guest, GuestVirt::new(at), Access::Fetch)
        .map_err(|fault| fault.problem)
}

prop_compose! {
    fn cases()(
        granule in 0_usize..3,
        half in prop::sample::select(vec![Half::Lower, Half::Upper]),
        size in prop::sample::select(vec![Size::Bits48, Size::Bits52]),
        tsz in 12_u32..=48,
        leaf in 0_i8..=3,
        at: u64,
        output: u64,
        contiguous: bool,
    ) -> Case {
        let granule_of = &GRANULES[granule];
        // With 48 bits of physical addresses, the smaller granules have 48 bits of virtual ones.
        let least = if size == Size::Bits48 && granule_of.name != "64K" { 16 } else { 12 };
        let most = if granule_of.name == "64K" { 47 } else { 48 };
        let input_bits = 64 - tsz.clamp(least, most);
        let output_bits = if size == Size::Bits52 { 52 } else { 48 };
        let attributes = AF | if contiguous { CONTIGUOUS } else { 0 };
        Case {
            granule,
            input_bits,
            half,
            size,
            leaf,
            at: at & ((1 << input_bits) - 1),
            output: output & ((1 << output_bits) - 1),
            attributes,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, max_global_rejects: 1 << 20, ..ProptestConfig::default() })]

    #[test]
    fn what_is_mapped_is_found(case in cases()) {
        prop_assume!(case.has_leaf());
        let guest = case.build();
        let size = case.leaf_size();
        let found = translate(&guest, case.virt());
        let expected = case.output & !(size - 1) | case.virt() & (size - 1);
        let found = found.map_err(|e| TestCaseError::fail(format!("{e}")))?;
        prop_assert_eq!(found.at.get(), expected);
        prop_assert_eq!(found.contiguous, size - case.virt() % size);
        prop_assert_eq!(guest.reads.get(), case.rows().take_while(|row| row.level <= case.leaf).count());
        prop_assert!(found.rights.privileged_write());
    }

    #[test]
    fn what_is_not_mapped_is_a_fault_on_its_level(case in cases(), flipped in 0_u32..52) {
        prop_assume!(case.has_leaf() && case.leaf == 3);
        prop_assume!(flipped < case.input_bits && flipped >= case.granule().offset_bits);
        let guest = case.build();
        let level = case.rows().find(|row| flipped <= row.high && flipped >= row.low).unwrap().level;
        let other = case.virt() ^ 1 << flipped;
        prop_assert_eq!(translate(&guest, other), Err(WalkProblem::Invalid { level }));
    }

    #[test]
    fn blocks_are_only_where_there_are_any(case in cases()) {
        prop_assume!(!case.has_leaf() && case.rows().any(|row| row.level == case.leaf));
        let guest = case.build();
        let is_reserved = matches!(
            translate(&guest, case.virt()),
            Err(WalkProblem::Reserved { level, .. }) if level == case.leaf
        );
        prop_assert!(is_reserved);
    }

    #[test]
    fn the_other_half_is_another_table(case in cases()) {
        prop_assume!(case.has_leaf());
        let guest = case.build();
        let other = Case {
            half: if case.half == Half::Lower { Half::Upper } else { Half::Lower },
            ..case
        };
        prop_assert!(translate(&guest, other.virt()).is_err());
    }
}

#[test]
fn ranges_can_be_kept_from_programs() {
    let case = Case {
        granule: 0,
        input_bits: 48,
        half: Half::Upper,
        size: Size::Bits48,
        leaf: 3,
        at: 0x1234_5000,
        output: 0x8000_0000,
        // For programs, too.
        attributes: AF | 1 << 6,
    };
    let mut guest = case.build();
    let found = translate(&guest, case.virt()).unwrap();
    assert!(found.rights.user_write() && found.rights.user_execute());
    guest.stage1.tcr |= 1 << 56;
    let found = translate(&guest, case.virt()).unwrap();
    assert!(!found.rights.user_read() && !found.rights.user_execute());
    assert!(found.rights.privileged_write());
    // The lower half is not concerned.
    guest.stage1.tcr = guest.stage1.tcr & !(1 << 56) | 1 << 55;
    assert!(translate(&guest, case.virt()).unwrap().rights.user_read());
}

#[test]
fn guarded_pages_are_told() {
    for (attributes, is_guarded) in [(AF, false), (AF | 1 << 50, true)] {
        let case = Case {
            granule: 2,
            input_bits: 52,
            half: Half::Lower,
            size: Size::Bits52,
            leaf: 3,
            at: 0xd_0123_4567_0000,
            output: 0xf_8000_0000_0000,
            attributes,
        };
        let found = translate(&case.build(), case.virt()).unwrap();
        assert_eq!(found.rights.is_guarded(), is_guarded);
    }
}

#[test]
fn big_endian_tables_are_read() {
    let case = Case {
        granule: 1,
        input_bits: 47,
        half: Half::Lower,
        size: Size::Bits48,
        leaf: 2,
        at: 0x123_4567_8000,
        output: 0x9000_0000,
        attributes: AF,
    };
    let mut guest = case.build();
    guest.stage1.sctlr |= 1 << 25;
    assert!(translate(&guest, case.virt()).is_err());
    guest
        .words
        .values_mut()
        .for_each(|word| *word = word.swap_bytes());
    assert!(translate(&guest, case.virt()).is_ok());
}

#[test]
fn authentication_codes_are_taken_off() {
    for (tsz, at) in [
        (16_u64, 0xffff_8000_0801_0000_u64),
        (12, 0xfff0_1234_5678_9abc),
        (25, 0xffff_ff80_0000_1234),
    ] {
        let stage1 = Stage1 {
            tcr: tsz << 16 | tsz,
            ..Stage1::default()
        };
        // A code has any bits but 55.
        for code in [
            0x7f00_0000_0000_0000,
            0x0055_0000_0000_0000,
            0xaa2a_0000_0000_0000,
        ] {
            let mask = !(u64::MAX >> tsz) & !(1 << 55);
            let signed = at ^ code & mask;
            assert_eq!(
                stage1.without_authentication(GuestVirt::new(signed)).get(),
                at
            );
            let lower = at & (u64::MAX >> tsz);
            let signed = lower ^ code & mask;
            assert_eq!(
                stage1.without_authentication(GuestVirt::new(signed)).get(),
                lower
            );
        }
    }
}
