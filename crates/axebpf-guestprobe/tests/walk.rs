//! The walk through a guest's tables, against tables that the test builds and against nonsense.

use std::cell::Cell;
use std::collections::BTreeMap;

use axebpf_guestprobe::{
    Access, GuestMemory, GuestMemoryFault, GuestProbe, GuestProbeError, ProbeKind, ProbeMode,
    Stage1, Translation, WalkFault, WalkProblem, inspect,
};
use axebpf_platform::{GuestPhys, GuestVirt, VmId};
use proptest::prelude::*;

const PXN: u64 = 1 << 53;
const UXN: u64 = 1 << 54;
const AF: u64 = 1 << 10;
const READ_ONLY: u64 = 1 << 7;
const USER: u64 = 1 << 6;

/// A guest's memory in words, which counts how often it is read.
#[derive(Default)]
struct Guest {
    words: BTreeMap<u64, u64>,
    reads: Cell<usize>,
    next_table: u64,
}

impl GuestMemory for Guest {
    fn read_guest(&self, at: GuestPhys, bytes: &mut [u8]) -> Result<(), GuestMemoryFault> {
        self.reads.set(self.reads.get() + 1);
        for (addr, byte) in (at.get()..).zip(bytes) {
            let word = self.word(addr & !7).ok_or(GuestMemoryFault {
                at: GuestPhys::new(addr),
            })?;
            *byte = word.to_le_bytes()[(addr % 8) as usize];
        }
        Ok(())
    }
}

/// `TCR_EL1` with both ranges of `input_bits`, 48 bits of physical addresses and the 4 KiB granule.
fn tcr(input_bits: u64) -> u64 {
    let size = 64 - input_bits;
    5 << 32 | 2 << 30 | size << 16 | size
}

const ROOT: u64 = 0x10_0000;

fn stage1(input_bits: u64) -> Stage1 {
    Stage1 {
        ttbr0: ROOT,
        ttbr1: ROOT,
        tcr: tcr(input_bits),
        sctlr: 1,
    }
}

impl Guest {
    /// Makes a guest with an empty first table.
    fn new() -> Self {
        let mut guest = Self {
            next_table: ROOT,
            ..Self::default()
        };
        guest.add_table();
        guest
    }

    /// Returns the word at `at`, which in a table is zero until it is written.
    fn word(&self, at: u64) -> Option<u64> {
        let empty = (ROOT..self.next_table).contains(&at).then_some(0);
        self.words.get(&at).copied().or(empty)
    }

    fn add_table(&mut self) -> u64 {
        let table = self.next_table;
        self.next_table += 0x1000;
        table
    }

    /// Maps the page or block of `level` at `at` to `output`, and returns where its descriptor is.
    fn map(&mut self, input_bits: u32, at: u64, level: u32, output: u64, attributes: u64) -> u64 {
        let first = 4 - (input_bits - 12).div_ceil(9);
        let mut table = ROOT;
        for current in first..=level {
            let entry = table + 8 * (at >> (39 - 9 * current) & 0x1ff);
            // The first table may be shorter; its index has fewer bits then.
            let entry = if current == first {
                let bits = input_bits - (39 - 9 * first);
                table + 8 * (at >> (39 - 9 * current) & ((1 << bits) - 1))
            } else {
                entry
            };
            if current == level {
                let kind = if level == 3 { 0b11 } else { 0b01 };
                self.words.insert(entry, output | attributes | kind);
                return entry;
            }
            table = match self.words.get(&entry).copied() {
                None => {
                    let next = self.add_table();
                    self.words.insert(entry, next | 0b11);
                    next
                }
                Some(descriptor) => descriptor & 0xffff_ffff_f000,
            };
        }
        unreachable!("level {level} is above the first table")
    }

    fn translate(&self, stage1: &Stage1, at: u64) -> Result<Translation, WalkProblem> {
        stage1
            .translate(self, GuestVirt::new(at), Access::Fetch)
            .map_err(|fault| fault.problem)
    }
}

#[test]
fn pages_and_blocks_are_found_on_their_levels() {
    for input_bits in [25, 30, 36, 39, 42, 48] {
        let first = 4 - (input_bits - 12_u32).div_ceil(9);
        for level in first.max(1)..=3 {
            let mut guest = Guest::new();
            let size = 1_u64 << (39 - 9 * level);
            if u64::from(input_bits) <= 39 - 9 * u64::from(level) {
                continue;
            }
            let base = (1_u64 << input_bits) - size;
            let output = 0x1234_4000_0000;
            guest.map(input_bits, base, level, output, AF);
            let stage1 = stage1(input_bits.into());
            for offset in [0, 0x123, size - 1] {
                let upper = u64::MAX << input_bits;
                for at in [base + offset, upper | (base + offset)] {
                    let found = guest.translate(&stage1, at).unwrap();
                    assert_eq!(found.at.get(), output + offset, "{input_bits} {level}");
                    assert_eq!(found.contiguous, size - offset);
                }
            }
            if base > 0 {
                assert!(matches!(
                    guest.translate(&stage1, base - 1),
                    Err(WalkProblem::Invalid { .. })
                ));
            }
        }
    }
}

#[test]
fn addresses_between_the_ranges_are_out_of_range() {
    let mut guest = Guest::new();
    guest.map(39, 0x1000, 3, 0x8000_0000, AF);
    guest.map(39, 0x7f_ffff_f000, 3, 0x9000_0000, AF);
    let mut stage1 = stage1(39);
    let tagged = 0x5500_0000_0000_1000;
    let out = Err(WalkProblem::OutOfRange);
    for at in [1 << 39, 1 << 54, tagged, u64::MAX << 40, 1 << 55] {
        assert_eq!(guest.translate(&stage1, at), out, "{at:#x}");
    }
    // The top byte may be ignored, for data alone.
    stage1.tcr |= 1 << 37;
    assert_eq!(
        guest.translate(&stage1, tagged).unwrap().at.get(),
        0x8000_0000
    );
    assert_eq!(guest.translate(&stage1, 0xff7f_ffff_ffff_f000), out);
    stage1.tcr |= 1 << 51;
    assert_eq!(guest.translate(&stage1, tagged), out);
    let data = stage1.translate(&guest, GuestVirt::new(tagged), Access::Data);
    assert_eq!(data.unwrap().at.get(), 0x8000_0000);
    stage1.tcr |= 1 << 38;
    assert_eq!(
        guest
            .translate(&stage1, 0xaaff_ffff_ffff_f000)
            .unwrap()
            .at
            .get(),
        0x9000_0000
    );
    // Ranges can be switched off one by one.
    stage1.tcr |= 1 << 23;
    assert_eq!(
        guest.translate(&stage1, u64::MAX - 0xfff),
        Err(WalkProblem::Disabled)
    );
    assert!(guest.translate(&stage1, 0x1000).is_ok());
    stage1.tcr |= 1 << 7;
    assert_eq!(guest.translate(&stage1, 0x1000), Err(WalkProblem::Disabled));
}

#[test]
fn rights_come_from_the_page_the_tables_and_the_control_register() {
    let mut guest = Guest::new();
    let entry = guest.map(48, 0x1000, 3, 0x8000_0000, AF);
    let level_2 = guest
        .words
        .iter()
        .find(|&(_, d)| d & 0xfff == 3)
        .map(|(&at, _)| at)
        .unwrap();
    let mut stage1 = stage1(48);
    let summary = |guest: &Guest, stage1: &Stage1| -> String {
        let rights = guest.translate(stage1, 0x1000).unwrap().rights;
        [
            (rights.privileged_write(), 'w'),
            (rights.privileged_execute(), 'x'),
            (rights.user_read(), 'R'),
            (rights.user_write(), 'W'),
            (rights.user_execute(), 'X'),
        ]
        .iter()
        .map(|&(is_given, letter)| if is_given { letter } else { '-' })
        .collect()
    };
    let page = 0x8000_0000 | AF | 0b11;
    for (attributes, expected) in [
        (0, "wx--X"),
        (PXN | UXN, "w----"),
        (UXN, "wx---"),
        (READ_ONLY, "-x--X"),
        (USER, "w-RWX"),
        (USER | READ_ONLY, "-xR-X"),
        (USER | READ_ONLY | PXN | UXN, "--R--"),
    ] {
        guest.words.insert(entry, page | attributes);
        assert_eq!(summary(&guest, &stage1), expected);
    }
    guest.words.insert(entry, page | USER | READ_ONLY);
    let table = guest.words[&level_2];
    for (attributes, expected) in [
        (1 << 59, "--R-X"),
        (1 << 60, "-xR--"),
        (1 << 61, "-x--X"),
        (1 << 62, "-xR-X"),
    ] {
        guest.words.insert(level_2, table | attributes);
        assert_eq!(summary(&guest, &stage1), expected, "{attributes:#x}");
        stage1.tcr |= 1 << 41;
        assert_eq!(summary(&guest, &stage1), "-xR-X");
        stage1.tcr &= !(1 << 41);
    }
    guest.words.insert(level_2, table | 1 << 62);
    guest.words.insert(entry, page | USER);
    assert_eq!(summary(&guest, &stage1), "-xR-X");
    guest.words.insert(level_2, table);
    guest.words.insert(entry, page);
    stage1.sctlr |= 1 << 19;
    assert_eq!(summary(&guest, &stage1), "w---X");
}

#[test]
fn faults_say_on_which_level_and_why() {
    let mut guest = Guest::new();
    let entry = guest.map(48, 0x1000, 3, 0x8000_0000, 0);
    let mut stage1 = stage1(48);
    assert_eq!(
        guest.translate(&stage1, 0x1000),
        Err(WalkProblem::AccessFlag { level: 3 })
    );
    stage1.tcr |= 1 << 39;
    assert!(guest.translate(&stage1, 0x1000).is_ok());
    for (level, at) in [(3, 0x2000), (2, 1 << 21), (1, 1 << 30), (0, 1 << 39)] {
        assert_eq!(
            guest.translate(&stage1, at),
            Err(WalkProblem::Invalid { level })
        );
    }
    guest.words.insert(entry, 0x8000_0001);
    let descriptor = 0x8000_0001;
    let reserved = WalkProblem::Reserved {
        level: 3,
        descriptor,
    };
    assert_eq!(guest.translate(&stage1, 0x1000), Err(reserved));
    guest.words.insert(ROOT, 0x8000_0001);
    let reserved = WalkProblem::Reserved {
        level: 0,
        descriptor,
    };
    assert_eq!(guest.translate(&stage1, 0x1000), Err(reserved));
    guest.words.insert(ROOT, 0x7777_7000 | 0b11);
    let fault = GuestMemoryFault {
        at: GuestPhys::new(0x7777_7000),
    };
    assert_eq!(
        guest.translate(&stage1, 0x1000),
        Err(WalkProblem::Table { level: 1, fault })
    );
    stage1.tcr &= !(7 << 32);
    guest.words.insert(ROOT, 0x1_7777_7000 | 0b11);
    let output = GuestPhys::new(0x1_7777_7000);
    let size = WalkProblem::AddressSize {
        level: 0,
        output,
        bits: 32,
    };
    assert_eq!(guest.translate(&stage1, 0x1000), Err(size));
    let fault = stage1
        .translate(&guest, GuestVirt::new(0x1000), Access::Data)
        .unwrap_err();
    let text = "0x1000 in the guest: 0x177777000 on level 0 has more than 32 bits";
    assert_eq!(fault.to_string(), text);
}

#[test]
fn granules_and_sizes_that_do_not_exist_are_named() {
    let guest = Guest::new();
    // TG0 is 3, and IPS is 7.
    for change in [3 << 14, 7 << 32] {
        let mut stage1 = stage1(48);
        stage1.tcr |= change;
        let expected = WalkProblem::Unsupported { tcr: stage1.tcr };
        assert_eq!(
            guest.translate(&stage1, 0x1000),
            Err(expected),
            "{change:#x}"
        );
    }
    // TG1 is 0.
    let mut without = stage1(48);
    without.tcr &= !(3 << 30);
    assert!(matches!(
        guest.translate(&without, u64::MAX),
        Err(WalkProblem::Unsupported { .. })
    ));
    for size in [0, 15, 49, 63] {
        let mut stage1 = stage1(48);
        stage1.tcr = stage1.tcr & !0x3f | size;
        assert!(matches!(
            guest.translate(&stage1, 0),
            Err(WalkProblem::Unsupported { .. })
        ));
    }
    assert_eq!(guest.reads.get(), 0);
}

#[test]
fn addresses_that_are_too_large_belong_to_who_has_them() {
    let mut guest = Guest::new();
    let mut stage1 = stage1(48);
    let entry = guest.map(48, 0x1000, 3, 0x4000_1000, 0);
    // Addresses have 32 bits.
    stage1.tcr &= !(7 << 32);
    let output = GuestPhys::new(0x1_4000_1000);
    guest.words.insert(entry, 0x1_4000_1000 | 1 << 10 | 0b11);
    let fault = |level, output| WalkProblem::AddressSize {
        level,
        output,
        bits: 32,
    };
    assert_eq!(guest.translate(&stage1, 0x1000), Err(fault(3, output)));
    stage1.ttbr0 |= 1 << 40;
    let output = GuestPhys::new(ROOT | 1 << 40);
    assert_eq!(guest.translate(&stage1, 0x1000), Err(fault(0, output)));
}

#[test]
fn without_translation_addresses_are_physical() {
    let guest = Guest::new();
    let stage1 = Stage1::default();
    let found = guest.translate(&stage1, 0x4008_0123).unwrap();
    assert_eq!(
        (found.at.get(), found.contiguous),
        (0x4008_0123, 0x1000 - 0x123)
    );
    assert!(found.rights.privileged_execute());
    assert!(matches!(
        guest.translate(&stage1, 1 << 52),
        Err(WalkProblem::AddressSize { bits: 52, .. })
    ));
    // The top byte can be ignored there, too: only in the lower range, as the others have bit 55.
    let tagged = Stage1 {
        tcr: 1 << 37,
        ..stage1
    };
    let found = guest.translate(&tagged, 0xa5 << 56 | 0x4008_0123).unwrap();
    assert_eq!(found.at.get(), 0x4008_0123);
    assert!(matches!(
        guest.translate(&tagged, 0xffff_ff80_4008_0123),
        Err(WalkProblem::AddressSize { bits: 52, .. })
    ));
}

#[test]
fn reads_cross_pages_and_stop_at_the_first_gap() {
    let mut guest = Guest::new();
    guest.map(48, 0x1000, 3, 0x8000_0000, AF);
    guest.map(48, 0x2000, 3, 0x9000_0000, AF);
    guest.words.insert(0x8000_0ff8, 0x0807_0605_0403_0201);
    guest.words.insert(0x9000_0000, 0x1817_1615_1413_1211);
    let stage1 = stage1(48);
    let mut bytes = [0; 8];
    stage1
        .read(&guest, GuestVirt::new(0x1ffc), &mut bytes)
        .unwrap();
    assert_eq!(bytes, [5, 6, 7, 8, 0x11, 0x12, 0x13, 0x14]);
    let fault = stage1
        .read(&guest, GuestVirt::new(0x2004), &mut bytes)
        .unwrap_err();
    assert!(matches!(fault.problem, WalkProblem::Memory { .. }));
    assert_eq!(bytes, [0; 8]);
    let mut page = [1; 0x1000];
    let fault = stage1
        .read(&guest, GuestVirt::new(u64::MAX), &mut page)
        .unwrap_err();
    assert!(matches!(fault, WalkFault { .. }));
    assert_eq!(page, [0; 0x1000]);
}

#[test]
fn a_probe_needs_a_mapped_executable_and_known_instruction() {
    let mut guest = Guest::new();
    guest.map(48, 0x1000, 3, 0x8000_0000, AF | READ_ONLY);
    guest.map(48, 0x2000, 3, 0x8000_0000, AF | PXN);
    // stp x29, x30, [sp, #-16]!; ldxr x0, [x1]
    guest.words.insert(0x8000_0000, 0xc85f_7c20_a9bf_7bfd);
    let inspect_at = |at: u64| {
        let at = GuestVirt::new(at);
        let probe = GuestProbe::new(VmId::new(1), at, ProbeKind::Entry, ProbeMode::HiddenBrk)?;
        inspect(&probe, &stage1(48), &guest)
    };
    let found = inspect_at(0x1000).unwrap();
    assert_eq!((found.at.get(), found.word), (0x8000_0000, 0xa9bf_7bfd));
    assert!(matches!(
        inspect_at(0x1004),
        Err(GuestProbeError::Refused {
            word: 0xc85f_7c20,
            ..
        })
    ));
    assert!(matches!(
        inspect_at(0x1002),
        Err(GuestProbeError::Misaligned { .. })
    ));
    assert!(matches!(
        inspect_at(0x1008),
        Err(GuestProbeError::Memory(_))
    ));
    assert!(matches!(
        inspect_at(0x2000),
        Err(GuestProbeError::NotExecutable { .. })
    ));
    assert!(matches!(inspect_at(0x3000), Err(GuestProbeError::Walk(_))));
}

/// Memory in which every word is there, and is some function of its address.
struct Nonsense {
    seed: u64,
    reads: Cell<usize>,
}

impl GuestMemory for Nonsense {
    fn read_guest(&self, at: GuestPhys, bytes: &mut [u8]) -> Result<(), GuestMemoryFault> {
        self.reads.set(self.reads.get() + 1);
        let mixed = (at.get() ^ self.seed).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        // Make most of the descriptors valid, so that the walk goes deep.
        let word = mixed ^ mixed >> 29 | 0b11;
        for (byte, value) in bytes.iter_mut().zip(word.to_le_bytes().iter().cycle()) {
            *byte = *value;
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn a_hostile_guest_costs_five_reads(
        ttbr0: u64, ttbr1: u64, tcr: u64, sctlr: u64, at: u64, seed: u64, plausible: bool,
    ) {
        let input_bits = 16 + tcr % 33;
        let tcr = if plausible { self::tcr(input_bits) } else { tcr };
        let sctlr = if plausible { sctlr | 1 } else { sctlr };
        let stage1 = Stage1 { ttbr0, ttbr1, tcr, sctlr };
        let memory = Nonsense { seed, reads: Cell::new(0) };
        let at = GuestVirt::new(if plausible { at % (1 << input_bits) } else { at });
        for access in [Access::Fetch, Access::Data] {
            memory.reads.set(0);
            if let Ok(found) = stage1.translate(&memory, at, access) {
                prop_assert!(found.contiguous > 0);
                prop_assert!(found.at.get() >> 52 == 0);
            }
            prop_assert!(memory.reads.get() <= 5);
        }
    }

    #[test]
    fn many_mappings_do_not_disturb_each_other(
        pages in prop::collection::btree_map(0_u64..1 << 27, 0_u64..1 << 36, 1..20),
    ) {
        let mut guest = Guest::new();
        for (page, output) in &pages {
            guest.map(39, page << 12, 3, output << 12, AF);
        }
        let stage1 = stage1(39);
        for (page, output) in &pages {
            let found = guest.translate(&stage1, page << 12 | 0x84).unwrap();
            prop_assert_eq!(found.at.get(), output << 12 | 0x84);
            if !pages.contains_key(&(page ^ 1)) {
                let missing = guest.translate(&stage1, (page ^ 1) << 12);
                prop_assert_eq!(missing, Err(WalkProblem::Invalid { level: 3 }));
            }
        }
    }
}
