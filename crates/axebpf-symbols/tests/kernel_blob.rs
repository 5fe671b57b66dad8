//! The symbols of a kernel as a blob: what goes in comes out, and damage is an error or harmless.

use axebpf_symbols::{Encoder, KernelSymbol, KernelSymbolError, KernelSymbols, Part, SymbolError};
use proptest::prelude::*;

/// The header's length.
const HEADER: usize = 64;

const TEXT: &str = "\
ffff800008000000 T _text
ffff800008010000 T __arm64_sys_read
ffff800008010100 T __arm64_sys_write
ffff800008010180 t helper
ffff800008010200 d helper
ffff800001000000 t ext4_init\t[ext4]
ffff800001000010 t ext4_sync_file\t[ext4]
ffff800001100000 T xfs_read\t[xfs]
";

fn text() -> KernelSymbols {
    KernelSymbols::from_text(TEXT.as_bytes()).unwrap()
}

fn encode(symbols: &KernelSymbols) -> Vec<u8> {
    let mut encoder = Encoder::new();
    for symbol in symbols.iter() {
        encoder.push_kernel(&symbol).unwrap();
    }
    encoder.finish_file().unwrap()
}

/// Reads `bytes` and uses everything about them.
fn exercise(bytes: &[u8]) -> Result<KernelSymbols, KernelSymbolError> {
    let symbols = KernelSymbols::from_file(bytes)?;
    assert_eq!(symbols.iter().count(), symbols.len());
    for symbol in symbols.iter() {
        assert!(!symbol.name().is_empty());
        assert!(symbols.lookup_address(symbol.address()).is_some());
        assert!(symbols.lookup_names(symbol.name()).any(|s| s == symbol));
    }
    let _ = symbols.slide_to(&text());
    Ok(symbols)
}

/// Makes both checksums right, so that the checks behind them have to find the damage.
fn seal(bytes: &mut [u8]) {
    let fnv = |bytes: &[u8]| {
        bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
        })
    };
    let mut put = |at: usize, until: usize, from: usize| {
        if let Some(slot) = bytes.get_mut(at..at + 8) {
            slot.fill(0);
            let sum = fnv(&bytes[from..until.min(bytes.len())]);
            bytes[at..at + 8].copy_from_slice(&sum.to_le_bytes());
        }
    };
    put(40, HEADER, 0);
    let Some(total) = bytes.get(HEADER..HEADER + 8) else {
        return;
    };
    let total = u64::from_le_bytes(total.try_into().unwrap());
    let sidecar = usize::try_from(total)
        .ok()
        .and_then(|total| total.checked_next_multiple_of(8));
    let Some(at) = sidecar.and_then(|sidecar| sidecar.checked_add(HEADER + 32)) else {
        return;
    };
    if at.checked_add(8).is_some_and(|end| end <= bytes.len()) {
        bytes[at..at + 8].fill(0);
        let sum = fnv(&bytes[HEADER..]);
        bytes[at..at + 8].copy_from_slice(&sum.to_le_bytes());
    }
}

#[test]
fn what_goes_in_comes_out() {
    let blob = encode(&text());
    assert!(blob.starts_with(b"axebKSYM"));
    let back = exercise(&blob).unwrap();
    let all = |symbols: &KernelSymbols| -> Vec<String> {
        let shown =
            |s: KernelSymbol<'_>| format!("{:x} {} {s} {}", s.address(), s.kind(), s.size());
        symbols.iter().map(shown).collect()
    };
    assert_eq!(all(&back), all(&text()));
    assert_eq!(back.lookup_name("xfs_read").unwrap().module(), Some("xfs"));
    // It may lie anywhere.
    let mut shifted = vec![0];
    shifted.extend_from_slice(&blob);
    assert_eq!(all(&exercise(&shifted[1..]).unwrap()), all(&text()));
    // Sealing changes nothing about what is right.
    let mut sealed = blob.clone();
    seal(&mut sealed);
    assert_eq!(sealed, blob);
}

#[test]
fn files_are_told_apart_by_how_they_begin() {
    assert_eq!(KernelSymbols::from_file(TEXT.as_bytes()).unwrap().len(), 8);
    assert_eq!(KernelSymbols::from_file(b"\n1000 T a\n").unwrap().len(), 1);
    assert!(matches!(
        KernelSymbols::from_file(b""),
        Err(KernelSymbolError::Empty)
    ));
    let error = KernelSymbols::from_file(b"\x7fELF\x02\x01\x01").unwrap_err();
    assert!(matches!(error, KernelSymbolError::Unrecognised { .. }));
    assert!(
        error
            .to_string()
            .starts_with(r#"it begins with "\x7fELF\x02\x01\x01\x00","#),
        "{error}"
    );
    // The table without its header is not a file.
    let blob = encode(&text());
    let error = KernelSymbols::from_file(&blob[HEADER..]).unwrap_err();
    assert!(
        matches!(error, KernelSymbolError::Unrecognised { .. }),
        "{error}"
    );
}

#[test]
fn each_cut_is_an_error() {
    let blob = encode(&text());
    for len in 0..blob.len() {
        let error = exercise(&blob[..len]).unwrap_err();
        let is_typed = match error {
            KernelSymbolError::Blob(SymbolError::Truncated {
                part: Part::Section,
                need,
                have,
            }) => have == len as u64 && need > have,
            KernelSymbolError::Empty | KernelSymbolError::Unrecognised { .. } => len < 8,
            KernelSymbolError::BadLine { .. } => len < 8,
            _ => false,
        };
        assert!(is_typed, "{len}: {error}");
    }
    // Made to look complete, the table in it still misses its end.
    for len in HEADER..blob.len() {
        let mut cut = blob[..len].to_vec();
        let table = (len - HEADER) as u64;
        cut[16..24].copy_from_slice(&table.to_le_bytes());
        cut[24..32].copy_from_slice(&table.to_le_bytes());
        seal(&mut cut);
        let error = exercise(&cut);
        // Without a table it is an image's section that nobody has filled; without the sidecar, an older table.
        let sidecar = u64::from_le_bytes(blob[HEADER..HEADER + 8].try_into().unwrap());
        assert!(error.is_err() || table == sidecar, "{len}");
    }
}

#[test]
fn each_flipped_bit_is_an_error() {
    let blob = encode(&text());
    for at in 0..blob.len() {
        for bit in 0..8 {
            let mut damaged = blob.clone();
            damaged[at] ^= 1 << bit;
            let error = exercise(&damaged);
            assert!(error.is_err(), "bit {bit} of byte {at}");
            if at >= 8 {
                let is_typed = matches!(error, Err(KernelSymbolError::Blob(_)));
                assert!(is_typed, "bit {bit} of byte {at}: {error:?}");
            }
        }
    }
}

#[test]
fn a_section_that_nobody_has_filled_says_so() {
    let mut section = encode(&text());
    section[24..64].fill(0);
    let error = exercise(&section).unwrap_err();
    let is_typed = matches!(
        error,
        KernelSymbolError::Blob(SymbolError::NotFilled { .. })
    );
    assert!(is_typed, "{error}");
}

#[test]
fn what_is_no_kernel_is_refused() {
    let blob = |names: &[(&str, u64, char)]| {
        let mut encoder = Encoder::new();
        for &(name, address, kind) in names {
            encoder.push(name, address, 0, kind).unwrap();
        }
        KernelSymbols::from_file(&encoder.finish_file().unwrap())
    };
    for name in [
        "a b",
        "\u{e4}",
        "x\t",
        "x\t[",
        "x\t[]",
        "x\t[y",
        "\t[y]",
        "x\t[y]\t[z]",
        "x\ny",
    ] {
        let error = blob(&[("good", 0x1000, 'T'), (name, 0x2000, 'T')]).unwrap_err();
        assert_eq!(error, KernelSymbolError::NotAName { index: 1 }, "{name:?}");
    }
    let long = "x".repeat(600);
    let error = blob(&[(&long, 0x1000, 'T')]).unwrap_err();
    assert!(matches!(
        error,
        KernelSymbolError::BadName {
            index: 0,
            len: 601,
            ..
        }
    ));
    assert_eq!(blob(&[]).unwrap_err(), KernelSymbolError::Empty);
    assert_eq!(
        blob(&[("size", 0x40, 'A')]).unwrap_err(),
        KernelSymbolError::Empty
    );
    assert_eq!(
        blob(&[("a", 0, 'T')]).unwrap_err(),
        KernelSymbolError::Hidden
    );
}

/// Returns a table of `count` symbols of which each has the longest name there is in a few bytes: one that all share.
fn shared_names(count: u32) -> Vec<u8> {
    let mut table = vec![0; 8];
    let pad = |table: &mut Vec<u8>| table.resize(table.len().next_multiple_of(8), 0);
    table.extend(u64::from(count).to_le_bytes());
    (0..count).for_each(|index| table.extend((0x1000 + u64::from(index)).to_le_bytes()));
    let record = [b'T', 3, 0, 0xff, 0, 0xff];
    (0..count).for_each(|index| table.extend((record.len() as u32 * index).to_le_bytes()));
    (0..count).for_each(|index| table.extend(index.to_le_bytes()));
    table.extend(u64::from(count * record.len() as u32).to_le_bytes());
    (0..count).for_each(|_| table.extend(record));
    pad(&mut table);
    table.extend(512_u64.to_le_bytes());
    table.extend([b'x'; 512]);
    table.extend(1_u64.to_le_bytes());
    table.extend([0; 4]);
    let total = table.len() as u64;
    table[..8].copy_from_slice(&total.to_le_bytes());
    let mut file = Encoder::new().finish_file().unwrap();
    file.truncate(HEADER);
    file[16..24].copy_from_slice(&total.to_le_bytes());
    file[24..32].copy_from_slice(&total.to_le_bytes());
    file.extend(table);
    seal(&mut file);
    file
}

#[test]
fn a_small_blob_cannot_fill_the_memory() {
    assert_eq!(exercise(&shared_names(10)).unwrap().len(), 10);
    let file = shared_names(140_000);
    assert!(file.len() < 5 << 20, "{}", file.len());
    let error = KernelSymbols::from_file(&file).unwrap_err();
    let is_typed = matches!(
        error,
        KernelSymbolError::TooLarge {
            what: "the length of all names",
            ..
        }
    );
    assert!(is_typed, "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn random_damage_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<Option<prop::sample::Index>>(),
        keep_magic: bool,
    ) {
        let mut blob = encode(&text());
        for (at, value) in changes {
            let at = at.index(blob.len());
            blob[at] = value;
        }
        if let Some(cut) = cut {
            blob.truncate(cut.index(blob.len()));
        }
        if keep_magic && blob.len() >= 8 {
            blob[..8].copy_from_slice(b"axebKSYM");
        }
        let _ = exercise(&blob);
        if blob.len() >= HEADER {
            seal(&mut blob);
            let _ = exercise(&blob);
            let table = (blob.len() - HEADER) as u64;
            blob[16..24].copy_from_slice(&table.to_le_bytes());
            blob[24..32].copy_from_slice(&table.to_le_bytes());
            seal(&mut blob);
            let _ = exercise(&blob);
        }
    }

    #[test]
    fn any_names_come_back(
        names in prop::collection::btree_map("[a-zA-Z0-9_.$]{1,80}", ("[TtDdRrBbWwVv]", any::<bool>()), 1..60),
    ) {
        let lines = names.iter().zip((0x1000_u64..).step_by(0x10));
        let text: String = lines
            .map(|((name, (kind, is_module)), at)| {
                let module = if *is_module { "\t[module]" } else { "" };
                format!("{at:x} {kind} {name}{module}\n")
            })
            .collect();
        let symbols = KernelSymbols::from_text(text.as_bytes()).unwrap();
        let back = exercise(&encode(&symbols)).unwrap();
        prop_assert!(back.iter().eq(symbols.iter()));
    }
}
