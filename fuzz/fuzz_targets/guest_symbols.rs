//! Any bytes are symbols of a guest's kernel or an error, whichever form they pretend to be in, and what is read can be used.
#![no_main]

use axebpf_symbols::{Encoder, KernelSymbols, Slide, fill_section};
use libfuzzer_sys::fuzz_target;

/// Where a table has its own length, and where in its sidecar the checksum is.
const CHECKSUM: usize = 32;

fn put(bytes: &mut [u8], at: usize, value: u64) {
    if let Some(slot) = bytes.get_mut(at..).and_then(|rest| rest.get_mut(..8)) {
        slot.copy_from_slice(&value.to_le_bytes());
    }
}

/// Makes the checksum of a table right, so that what is behind it is looked at.
fn seal(table: &mut [u8]) {
    let Some(len) = table.first_chunk::<8>() else {
        return;
    };
    let sidecar = u64::from_le_bytes(*len).checked_next_multiple_of(8);
    let Some(at) = sidecar.and_then(|at| usize::try_from(at).ok()?.checked_add(CHECKSUM)) else {
        return;
    };
    put(table, at, 0);
    let sum = table.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3)
    });
    put(table, at, sum);
}

/// Puts the header of a file in front of a table.
fn file(table: &[u8]) -> Vec<u8> {
    let empty = Encoder::new().finish_file().unwrap();
    let mut file = empty[..64].to_vec();
    // Nothing but the magic number, the version, and the length: a section that nobody has filled.
    file[16..].fill(0);
    put(&mut file, 16, table.len() as u64);
    file.resize(64 + table.len(), 0);
    fill_section(&mut file, 0, table).unwrap();
    file
}

fn read(file: &[u8], linked: &KernelSymbols) {
    let Ok(symbols) = KernelSymbols::from_file(file) else {
        return;
    };
    assert_eq!(symbols.iter().count(), symbols.len());
    for symbol in symbols.iter() {
        assert!(symbols.lookup_address(symbol.address()).is_some());
    }
    if let Ok(slide) = linked.slide_to(&symbols) {
        let moved = linked.clone().with_slide(slide);
        assert_eq!(moved.slide_to(&symbols), Ok(Slide::ZERO));
    }
}

fuzz_target!(|input: &[u8]| {
    let text = b"10000 T a\n10040 T b\n10080 T c\n100c0 T d\n10100 t e\t[m]\n";
    let linked = KernelSymbols::from_text(text).unwrap();
    read(input, &linked);
    read(&file(input), &linked);
    let mut sealed = input.to_vec();
    seal(&mut sealed);
    read(&file(&sealed), &linked);
});
