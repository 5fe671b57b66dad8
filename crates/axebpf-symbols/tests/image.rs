//! The whole way: this program's own file gets its table after it was linked, and the filled copy of it
//! reads that table.
#![cfg(target_os = "linux")]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use axebpf_symbols::{
    AlignedBytes, Encoder, SECTION_NAME, SymbolError, fill_section, reserve_symbol_section,
};
use object::{Object, ObjectSection, ObjectSymbol, SymbolKind};

reserve_symbol_section! {
    /// Empty in the program that cargo runs, filled in the copy that the test makes of it.
    static SYMBOLS: 4 << 20;
}

/// Tells the copy that it is one.
const FILLED: &str = "AXEBPF_SYMBOLS_TEST_FILLED";

/// Stands somewhere in this program under a name that is not mangled.
#[unsafe(no_mangle)]
extern "C" fn axebpf_symbols_image_landmark() -> u32 {
    std::hint::black_box(11)
}

#[test]
fn a_filled_image_reads_its_own_symbols() {
    if std::env::var_os(FILLED).is_some() {
        read_own_symbols();
        return;
    }
    let capacity = 4 << 20;
    assert_eq!(
        SYMBOLS.open().unwrap_err(),
        SymbolError::NotFilled { capacity }
    );
    let dir = tempfile::tempdir().unwrap();
    let copy = dir.path().join("filled");
    fill_image(&std::env::current_exe().unwrap(), &copy);
    let output = Command::new(&copy)
        .args(["--exact", "a_filled_image_reads_its_own_symbols"])
        .env(FILLED, "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

/// Finds a function of this program in the table of this program.
fn read_own_symbols() {
    let table = SYMBOLS.open().unwrap();
    let landmark = axebpf_symbols_image_landmark as extern "C" fn() -> u32 as usize as u64;
    let found = table.lookup_address(landmark + 1).unwrap();
    assert_eq!(found.symbol.name(), "axebpf_symbols_image_landmark");
    assert_eq!(found.symbol.address(), landmark);
    let own = read_own_symbols as fn() as usize as u64;
    let found = table.lookup_name("image::read_own_symbols").unwrap();
    assert_eq!(found.address(), own);
}

/// Writes a copy of the program at `from` whose section holds its symbols.
fn fill_image(from: &Path, to: &Path) {
    let mut image = AlignedBytes::copy_of(&fs::read(from).unwrap())
        .unwrap()
        .to_vec();
    let aligned = AlignedBytes::copy_of(&image).unwrap();
    let file = object::File::parse(&*aligned).unwrap();
    let mut encoder = Encoder::new();
    for s in file
        .symbols()
        .filter(|s| s.kind() == SymbolKind::Text && s.is_definition())
    {
        // Names that the format cannot hold are left out.
        let _ = encoder.push(s.name().unwrap(), s.address(), s.size(), 't');
    }
    let section = file.section_by_name(SECTION_NAME).unwrap();
    let (start, len) = section.file_range().unwrap();
    let (start, len) = (start as usize, len as usize);
    let table = encoder.finish().unwrap();
    fill_section(&mut image[start..start + len], section.address(), &table).unwrap();
    fs::write(to, image).unwrap();
    fs::set_permissions(to, Permissions::from_mode(0o755)).unwrap();
}
