//! Objects whose symbol tables have lost something.

use axebpf_platform::mock::MOCK;
use axebpf_vm::{LoadError, LoadOptions, ObjectFile};

const COUNTERS: &[u8] = include_bytes!("objects/counters.o");
const CALLS: &[u8] = include_bytes!("objects/calls.o");

const LOCAL: u8 = 0;
const FUNCTION: u8 = 2;
const SECTION: u8 = 3;

fn number(elf: &[u8], at: usize, len: usize) -> usize {
    let bytes = elf[at..at + len].iter().rev();
    bytes.fold(0, |value, byte| value << 8 | usize::from(*byte))
}

/// Takes what they are from the symbols of this binding and type, and their names: what stripping leaves of them.
///
/// Returns how many there were.
fn forget(elf: &mut [u8], binding: u8, kind: u8) -> usize {
    const SYMBOL_TABLE: usize = 2;
    const SYMBOL: usize = 24;
    let (table, entry, count) = (number(elf, 40, 8), number(elf, 58, 2), number(elf, 60, 2));
    let headers = (0..count).map(|index| table + index * entry);
    let symbols = headers
        .filter(|header| number(elf, header + 4, 4) == SYMBOL_TABLE)
        .map(|header| (number(elf, header + 24, 8), number(elf, header + 32, 8)))
        .collect::<Vec<_>>();
    let mut forgotten = 0;
    for (start, len) in symbols {
        for symbol in (start..start + len).step_by(SYMBOL).skip(1) {
            if elf[symbol + 4] == binding << 4 | kind {
                elf[symbol..symbol + 4].fill(0);
                elf[symbol + 4] = 0;
                forgotten += 1;
            }
        }
    }
    forgotten
}

#[test]
fn maps_and_programs_need_no_symbols_of_sections() {
    axebpf_hit::install(&MOCK).expect("one platform for each test binary");
    let whole = ObjectFile::parse(COUNTERS).expect("a readable object");
    let mut elf = COUNTERS.to_vec();
    assert!(forget(&mut elf, LOCAL, SECTION) > 0);
    let file = ObjectFile::parse(&elf).expect("an object that says the same");
    assert_eq!(file.maps(), whole.maps());
    assert_eq!(file.programs(), whole.programs());
    file.load(&LoadOptions::new())
        .expect("an acceptable object");
}

#[test]
fn a_function_that_is_called_needs_its_symbol() {
    let mut elf = CALLS.to_vec();
    assert!(forget(&mut elf, LOCAL, FUNCTION) > 0);
    let error = ObjectFile::parse(&elf).expect_err("nobody knows where the functions start");
    let text = error.to_string();
    assert!(
        matches!(&error, LoadError::BadRelocation { what, .. } if what.contains("no function")),
        "{text}"
    );
}
