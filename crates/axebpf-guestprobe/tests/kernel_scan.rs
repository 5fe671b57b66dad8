//! Finding a kernel's symbols and types in memory: in images that the test writes, and in a real kernel.

use axebpf_guestprobe::{GuestMemory, GuestMemoryFault, KernelScan, KernelScanError, Sought};
use axebpf_platform::GuestPhys;
use axebpf_symbols::KernelSymbols;
use proptest::prelude::*;

const RAM: u64 = 0x4000_0000;

/// A guest whose memory starts at [`RAM`], with a hole where it is told.
struct Image {
    bytes: Vec<u8>,
    hole: Option<u64>,
}

impl GuestMemory for Image {
    fn read_guest(&self, at: GuestPhys, bytes: &mut [u8]) -> Result<(), GuestMemoryFault> {
        let fault = GuestMemoryFault { at };
        let start = at.get().checked_sub(RAM).ok_or(fault)? as usize;
        if self.hole == Some(at.get() & !0xfff) {
            return Err(fault);
        }
        let found = self.bytes.get(start..start + bytes.len()).ok_or(fault)?;
        bytes.copy_from_slice(found);
        Ok(())
    }
}

impl Image {
    fn new(mut bytes: Vec<u8>) -> Self {
        bytes.resize(bytes.len().next_multiple_of(4096), 0);
        Self { bytes, hole: None }
    }

    fn scan(&self) -> KernelScan<'_, Self> {
        let end = RAM + self.bytes.len() as u64;
        KernelScan::new(self, GuestPhys::new(RAM)..GuestPhys::new(end)).unwrap()
    }
}

/// In which order the tables are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// Linux 5.x to 6.1.
    Old,
    /// Linux 6.2 and 6.3.
    OldWithSequence,
    /// Since then.
    New,
}

const ORDERS: [Order; 3] = [Order::Old, Order::OldWithSequence, Order::New];

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(8), 0);
}

/// Writes the tables as `scripts/kallsyms.c` has them, with some two-letter tokens.
fn tables(symbols: &[(u32, String)], base: u64, order: Order) -> Vec<u8> {
    let mut tokens: Vec<String> = (0..256_u32)
        .map(|c| {
            char::from_u32(c)
                .filter(char::is_ascii_graphic)
                .map_or(String::new(), String::from)
        })
        .collect();
    for (index, pair) in ["__", "re", "ti", "nd", "sys_", "er"]
        .into_iter()
        .enumerate()
    {
        tokens[0x90 + index] = pair.to_owned();
    }
    let (mut names, mut markers) = (Vec::new(), Vec::new());
    for (index, (_, name)) in symbols.iter().enumerate() {
        if index % 256 == 0 {
            markers.extend((names.len() as u32).to_le_bytes());
        }
        let mut record = Vec::new();
        let mut rest = name.as_str();
        while !rest.is_empty() {
            let token = (0..256)
                .filter(|&t| !tokens[t].is_empty() && rest.starts_with(&tokens[t]))
                .max_by_key(|&t| tokens[t].len())
                .unwrap();
            record.push(token as u8);
            rest = &rest[tokens[token].len()..];
        }
        if record.len() < 128 {
            names.push(record.len() as u8);
        } else {
            names.extend([record.len() as u8 | 0x80, (record.len() >> 7) as u8]);
        }
        names.extend(record);
    }
    let (mut table, mut index) = (Vec::new(), Vec::new());
    for token in &tokens {
        index.extend((table.len() as u16).to_le_bytes());
        table.extend(token.bytes());
        table.push(0);
    }
    let offsets: Vec<u8> = symbols
        .iter()
        .flat_map(|symbol| symbol.0.to_le_bytes())
        .collect();
    let number = (symbols.len() as u32).to_le_bytes().to_vec();
    let base = base.to_le_bytes().to_vec();
    let sequence = vec![0xab; 3 * symbols.len()];
    let parts = match order {
        Order::Old => vec![offsets, base, number, names, markers, table, index],
        Order::OldWithSequence => vec![
            offsets, base, number, names, markers, sequence, table, index,
        ],
        Order::New => vec![
            number, names, markers, table, index, offsets, base, sequence,
        ],
    };
    let mut out = Vec::new();
    for part in parts {
        pad(&mut out);
        out.extend(part);
    }
    pad(&mut out);
    out
}

fn some_symbols(count: u32, long: usize) -> Vec<(u32, String)> {
    (0..count)
        .map(|n| {
            let tail = if n % 97 == 5 {
                "x".repeat(long)
            } else {
                String::new()
            };
            let kind = if n % 3 == 0 { 't' } else { 'T' };
            (n * 0x40 + n % 7, format!("{kind}__sys_render_{n}_ti{tail}"))
        })
        .collect()
}

#[test]
fn tables_are_found_in_each_order() {
    const BASE: u64 = 0xffff_c321_0801_0000;
    for order in ORDERS {
        for (before, count) in [(0x1238_usize, 300_u32), (0x7ff8, 1000), (0x10000, 2048)] {
            let symbols = some_symbols(count, 130);
            // What looks like the tokens, but is an alphabet of 16-bit characters.
            let mut bytes: Vec<u8> = (0..before / 2)
                .flat_map(|c| (c as u16 % 256).to_le_bytes())
                .collect();
            bytes.extend(tables(&symbols, BASE, order));
            bytes.extend(vec![0x5a; 0x3000]);
            let image = Image::new(bytes);
            let found = image
                .scan()
                .kallsyms()
                .unwrap_or_else(|e| panic!("{order:?}: {e}"));
            assert_eq!(found.base, BASE);
            let read = KernelSymbols::from_compressed(found).unwrap();
            assert_eq!(read.len(), symbols.len());
            for (symbol, (offset, name)) in read.iter().zip(&symbols) {
                assert_eq!(symbol.address(), BASE + u64::from(*offset));
                assert_eq!(format!("{}{}", symbol.kind(), symbol.name()), *name);
            }
        }
    }
}

#[test]
fn what_is_damaged_is_not_found() {
    for order in ORDERS {
        let symbols = some_symbols(600, 3);
        let good = tables(&symbols, 0x1000, order);
        let markers = 2 * 4;
        assert!(good.len() > markers);
        let mut image = Image::new(good.clone());
        image.hole = Some(RAM + 0x1000);
        assert!(image.scan().kallsyms().is_err());
        // Without its digits there are no tokens.
        let digits: Vec<u8> = (b'0'..=b'9').flat_map(|digit| [digit, 0]).collect();
        let at = good
            .windows(20)
            .position(|window| window == digits)
            .unwrap();
        let mut bad = good.clone();
        bad[at] = b'x';
        let error = Image::new(bad).scan().kallsyms().unwrap_err();
        assert!(matches!(
            error,
            KernelScanError::NotFound {
                sought: Sought::Tokens,
                ..
            }
        ));
        // The lengths of names no longer agree with the markers.
        let name = good
            .windows(7)
            .position(|window| window == b"render_")
            .unwrap_or(0);
        assert_eq!(name, 0, "names are compressed");
        let first = match order {
            Order::New => 8,
            _ => 600 * 4 + 8 + 8,
        };
        let mut bad = good.clone();
        bad[first] ^= 1;
        let error = Image::new(bad).scan().kallsyms().unwrap_err();
        assert!(
            matches!(
                error,
                KernelScanError::NotFound {
                    sought: Sought::Names,
                    ..
                }
            ),
            "{order:?} {error}"
        );
    }
    assert!(matches!(
        KernelScan::new(
            &Image::new(vec![]),
            GuestPhys::new(0)..GuestPhys::new(1 << 40)
        ),
        Err(KernelScanError::BadRange { .. })
    ));
}

fn btf(types: u32, strings: u32) -> Vec<u8> {
    let mut out = vec![0x9f, 0xeb, 1, 0];
    for field in [24, 0, types, types, strings] {
        out.extend(u32::to_le_bytes(field));
    }
    out.extend(vec![7; types as usize]);
    out.extend(b"\0int\0");
    out.resize(24 + (types + strings) as usize, b'x');
    out
}

#[test]
fn type_information_is_found_and_copied() {
    let mut bytes = vec![0; 0x2ff4];
    // One of a module, and a header with nothing behind it.
    bytes.extend(btf(0x100, 0x20));
    bytes.extend([0x9f, 0xeb, 1, 0, 24, 0, 0, 0]);
    let start = RAM + bytes.len() as u64;
    let wanted = btf(0x2_0004, 0x1235);
    bytes.extend(&wanted);
    let image = Image::new(bytes);
    let found = image.scan().btf().unwrap();
    assert_eq!(found.start.get(), start);
    assert_eq!(image.scan().copy(&found).unwrap(), wanted);
    let error = Image::new(vec![0x9f; 0x4000]).scan().btf().unwrap_err();
    assert_eq!(
        error.to_string(),
        "no BTF from 0x40000000 to 0x40004000 in the guest's memory"
    );
}

/// Needs an uncompressed arm64 `Image`, such as `boot/vmlinuz-*` of a Debian package `linux-image-*-arm64-unsigned`, in
/// `AXEBPF_KERNEL_IMAGE`, and optionally what an independent decoder makes of it, as lines of offset, type and name, in
/// `AXEBPF_KERNEL_SYMBOLS`.
#[test]
#[ignore = "needs AXEBPF_KERNEL_IMAGE, the path of an arm64 kernel image"]
fn a_real_kernel_is_decoded() {
    let path = std::env::var("AXEBPF_KERNEL_IMAGE").expect("AXEBPF_KERNEL_IMAGE is not set");
    let image = Image::new(std::fs::read(path).unwrap());
    let tables = image.scan().kallsyms().unwrap();
    // Before it runs it has not relocated itself.
    println!("base {:#x}", tables.base);
    let base = tables.base;
    let symbols = KernelSymbols::from_compressed(tables).unwrap();
    println!("{symbols:?}");
    assert!(symbols.len() > 20_000);
    for name in [
        "_stext",
        "vfs_read",
        "__arm64_sys_openat",
        "do_idle",
        "kfree",
    ] {
        let symbol = symbols
            .lookup_name(name)
            .unwrap_or_else(|| panic!("no {name}"));
        let found = symbols.lookup_address(symbol.address() + 4).unwrap();
        assert_eq!(found.offset, 4);
    }
    let starts: Vec<u64> = symbols.iter().map(|symbol| symbol.address()).collect();
    assert!(starts.is_sorted());
    if let Ok(path) = std::env::var("AXEBPF_KERNEL_SYMBOLS") {
        let text = std::fs::read_to_string(path).unwrap();
        let mut expected: Vec<&str> = text.lines().collect();
        let mut actual: Vec<String> = symbols
            .iter()
            .map(|s| format!("{:016x} {} {}", s.address() - base, s.kind(), s.name()))
            .collect();
        expected.sort_unstable();
        actual.sort_unstable();
        assert_eq!(actual, expected);
        println!("{} symbols agree", actual.len());
    }
    let btf = image.scan().btf().unwrap();
    println!("BTF of {} bytes", btf.end.get() - btf.start.get());
    let strings = image.scan().copy(&btf).unwrap();
    assert!(strings.windows(12).any(|window| window == b"task_struct\0"));
}

#[test]
fn memory_full_of_decoys_is_searched_in_bounded_time() {
    // Every place looks like the digits of a token table, or like the number of names; each read is counted.
    struct Decoys {
        bytes: [u8; 4096],
        reads: std::cell::Cell<u64>,
    }
    impl GuestMemory for Decoys {
        fn read_guest(&self, at: GuestPhys, bytes: &mut [u8]) -> Result<(), GuestMemoryFault> {
            self.reads.set(self.reads.get() + 1);
            let start = (at.get() % 4096) as usize;
            bytes.copy_from_slice(&self.bytes[start..start + bytes.len()]);
            Ok(())
        }
    }
    let digits: Vec<u8> = (b'0'..=b'9').flat_map(|digit| [digit, 0]).collect();
    for filler in [0, 1, 40, 700, 3000] {
        let unit: Vec<u8> = digits.iter().copied().chain(vec![b'x'; filler]).collect();
        let mut bytes = [0; 4096];
        bytes
            .iter_mut()
            .zip(unit.iter().cycle())
            .for_each(|(byte, unit)| *byte = *unit);
        let memory = Decoys {
            bytes,
            reads: std::cell::Cell::new(0),
        };
        let pages = 1024;
        let range = GuestPhys::new(0)..GuestPhys::new(pages * 4096);
        let scan = KernelScan::new(&memory, range).unwrap();
        assert!(scan.kallsyms().is_err());
        assert!(
            memory.reads.get() < 300 * pages,
            "{filler}: {}",
            memory.reads.get()
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn hostile_tables_are_refused_or_decoded(
        order in prop::sample::select(ORDERS.to_vec()),
        count in 256_u32..700,
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..40),
    ) {
        let mut bytes = tables(&some_symbols(count, 9), 0xffff_8000_0000_0000, order);
        for (index, byte) in changes {
            let at = index.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(found) = Image::new(bytes).scan().kallsyms()
            && let Ok(symbols) = KernelSymbols::from_compressed(found)
        {
            prop_assert_eq!(symbols.iter().count(), symbols.len());
        }
    }
}
