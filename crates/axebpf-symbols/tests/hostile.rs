//! Damaged and invented tables: an error or a table that works, and never anything else.

use axebpf_symbols::{AlignedBytes, Encoder, Glob, Slide, SymbolError, SymbolTable};
use proptest::prelude::*;

fn sample() -> Vec<u8> {
    let mut encoder = Encoder::new();
    for (name, addr, size) in [
        ("_ZN3hyp4vcpu3run17h0123456789abcdefE", 0x1000, 0x40),
        ("_ZN3hyp4vcpu4halt17h0123456789abcdefE", 0x1040, 0x10),
        ("_ZN3hyp4vcpu4stop17h0123456789abcdefE", 0x1050, 0x10),
        ("outer", 0x2000, 0x100),
        ("inner", 0x2010, 0x10),
        ("label", 0x2020, 0),
    ] {
        encoder.push(name, addr, size, 'T').unwrap();
    }
    encoder.finish().unwrap()
}

/// Opens the table and uses everything about it. The result is whether it opened.
fn exercise(bytes: &[u8]) -> Result<(), SymbolError> {
    let bytes = AlignedBytes::copy_of(bytes).unwrap();
    let table = SymbolTable::from_blob(&bytes, Slide::new(0x10))?;
    for symbol in table.iter().take(1000) {
        let name = symbol.name().to_string();
        assert!(table.lookup_names(&name).take(1000).any(|s| s == symbol));
        let _ = table.lookup_name(&symbol.demangled());
        for addr in [
            symbol.address(),
            symbol.address().wrapping_add(symbol.size()),
        ] {
            if let Some(found) = table.lookup_address(addr) {
                assert!(found.offset == 0 || found.offset < found.symbol.size());
            }
        }
    }
    let _ = table.lookup_address(0);
    let _ = table.lookup_address(u64::MAX);
    let _ = table.lookup_name("hyp::vcpu::run");
    let _ = table.suggest("hyp::vcpu::ran", 3);
    let _ = table.matching(&Glob::new("*v*").unwrap()).count();
    Ok(())
}

fn put(bytes: &mut [u8], at: usize, value: u64) {
    bytes[at..at + 8].copy_from_slice(&value.to_le_bytes());
}

fn get(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

/// Where the sidecar starts.
fn sidecar(bytes: &[u8]) -> usize {
    (get(bytes, 0) as usize).next_multiple_of(8)
}

/// Makes the checksum of a damaged table right, so that the checks behind it have to find the damage.
fn seal(bytes: &mut [u8]) {
    let at = get(bytes, 0).saturating_add(39) & !7;
    let Ok(at) = usize::try_from(at) else { return };
    if at.checked_add(8).is_none_or(|end| end > bytes.len()) {
        return;
    }
    put(bytes, at, 0);
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    put(bytes, at, fnv);
}

#[test]
fn the_sample_itself_is_good() {
    let mut bytes = sample();
    exercise(&bytes).unwrap();
    seal(&mut bytes);
    assert_eq!(bytes, sample());
    let blob = get(&bytes, 0) as usize;
    exercise(&bytes[..blob]).unwrap();
}

#[test]
fn each_cut_is_an_error() {
    let bytes = sample();
    let blob = get(&bytes, 0) as usize;
    for len in (0..bytes.len()).filter(|&len| len != blob) {
        exercise(&bytes[..len]).unwrap_err();
    }
    // Made to look complete, a cut blob still misses a part.
    for len in 8..blob {
        let mut cut = bytes[..len].to_vec();
        put(&mut cut, 0, len as u64);
        exercise(&cut).unwrap_err();
    }
}

#[test]
fn each_flipped_bit_is_an_error() {
    let bytes = sample();
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            assert!(exercise(&damaged).is_err(), "bit {bit} of byte {at}");
        }
    }
}

#[test]
fn each_flipped_bit_under_a_right_checksum_is_an_error_or_harmless() {
    let bytes = sample();
    let blob = get(&bytes, 0) as usize;
    for at in 0..bytes.len() {
        for bit in 0..8 {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1 << bit;
            let _ = exercise(&damaged[..blob]);
            seal(&mut damaged);
            let result = exercise(&damaged);
            // The lengths and counts of both headers have no other right value.
            if at < 16 || (blob..sidecar(&bytes) + 32).contains(&at) && at >= sidecar(&bytes) {
                assert!(result.is_err(), "bit {bit} of byte {at}");
            }
        }
    }
}

#[test]
fn huge_numbers_are_errors() {
    let bytes = sample();
    let blob = get(&bytes, 0) as usize;
    for value in [
        u64::MAX,
        u64::MAX / 8,
        1 << 61,
        1 << 32,
        u64::from(u32::MAX),
        1 << 31,
    ] {
        for at in (0..bytes.len() - 8).step_by(4) {
            let mut damaged = bytes.clone();
            put(&mut damaged, at, value);
            let _ = exercise(&damaged[..blob]);
            seal(&mut damaged);
            let _ = exercise(&damaged);
        }
        let mut damaged = bytes.clone();
        put(&mut damaged, 8, value);
        assert!(matches!(
            exercise(&damaged),
            Err(SymbolError::TooManySymbols { .. } | SymbolError::Truncated { .. })
        ));
    }
}

#[test]
fn errors_name_the_part_and_the_numbers() {
    let bytes = sample();
    let text = |bytes: &[u8]| exercise(bytes).unwrap_err().to_string();
    assert_eq!(text(&[]), "header: 8 bytes needed, 0 there");
    let part = text(&bytes[..100]);
    assert_eq!(
        part,
        format!("header: {} bytes needed, 100 there", get(&bytes, 0))
    );
    let mut damaged = bytes.clone();
    put(&mut damaged, 16, u64::MAX);
    assert_eq!(text(&damaged), "addresses: entry 1 is out of order");
    let mut damaged = bytes.clone();
    damaged.push(0);
    let side = sidecar(&bytes);
    assert_eq!(
        text(&damaged),
        format!(
            "sidecar header: it should end at byte {} and ends at byte {}",
            bytes.len() + 1,
            bytes.len()
        )
    );
    let mut damaged = bytes.clone();
    damaged[side] = 0;
    assert!(text(&damaged).starts_with("the magic number is"));
}

#[test]
fn a_table_at_an_odd_address_is_refused() {
    let bytes = sample();
    let mut shifted = vec![0];
    shifted.extend_from_slice(&bytes);
    let shifted = AlignedBytes::copy_of(&shifted).unwrap();
    let error = SymbolTable::from_blob(&shifted[1..], Slide::ZERO).unwrap_err();
    assert!(matches!(error, SymbolError::Misaligned { align: 8, .. }));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_damage_never_panics(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let mut bytes = sample();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let _ = exercise(&bytes);
        if bytes.len() >= 8 {
            seal(&mut bytes);
            let _ = exercise(&bytes);
            let total = usize::try_from(get(&bytes, 0)).unwrap_or(0).min(bytes.len());
            let _ = exercise(&bytes[..total]);
        }
    }

    #[test]
    fn invented_bytes_never_panic(bytes in any::<Vec<u8>>(), count in 0..4_u64) {
        let _ = exercise(&bytes);
        let mut table = vec![0; 16];
        put(&mut table, 8, count);
        table.extend_from_slice(&bytes);
        let total = table.len() as u64;
        put(&mut table, 0, total);
        let _ = exercise(&table);
    }
}
