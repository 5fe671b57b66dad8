//! A table of a real program, this test itself, against the symbols that its ELF file lists.

use std::collections::BTreeMap;

use axebpf_symbols::{AlignedBytes, Encoder, Slide, SymbolTable};
use object::{Object, ObjectSection, ObjectSymbol, SectionKind, SymbolKind};

/// One symbol of the ELF file.
struct Listed {
    name: String,
    addr: u64,
    size: u64,
}

/// Returns the code symbols of this program's own file.
fn listed() -> Vec<Listed> {
    let image = std::fs::read(std::env::current_exe().unwrap()).unwrap();
    let image = AlignedBytes::copy_of(&image).unwrap();
    let file = object::File::parse(&*image).unwrap();
    file.symbols()
        .filter(|s| s.kind() == SymbolKind::Text && s.is_definition())
        .filter(|s| {
            let section = s
                .section_index()
                .and_then(|i| file.section_by_index(i).ok());
            section.is_some_and(|s| s.kind() == SectionKind::Text)
        })
        .filter_map(|s| {
            Some(Listed {
                name: s.name().ok().filter(|n| !n.is_empty())?.into(),
                addr: s.address(),
                size: s.size(),
            })
        })
        .collect()
}

fn encode(symbols: &[Listed]) -> AlignedBytes {
    let mut encoder = Encoder::new();
    for s in symbols {
        encoder.push(&s.name, s.addr, s.size, 't').unwrap();
    }
    AlignedBytes::copy_of(&encoder.finish().unwrap()).unwrap()
}

#[test]
fn addresses_and_names_agree_with_the_elf_file() {
    let symbols = listed();
    assert!(symbols.len() > 1000, "{} symbols", symbols.len());
    let bytes = encode(&symbols);
    let table = SymbolTable::from_blob(&bytes, Slide::ZERO).unwrap();
    for s in &symbols {
        let same: Vec<_> = table.lookup_names(&s.name).map(|f| f.address()).collect();
        assert!(same.contains(&s.addr), "{}", s.name);
        let demangled = format!("{:#}", rustc_demangle::demangle(&s.name));
        let same: Vec<_> = table
            .lookup_names(&demangled)
            .map(|f| f.address())
            .collect();
        assert!(same.contains(&s.addr), "{demangled}");
        for addr in [s.addr, s.addr + s.size / 2, (s.addr + s.size).max(1) - 1] {
            if (s.addr..(s.addr + s.size).max(s.addr + 1)).contains(&addr) {
                let found = table.lookup_address(addr).unwrap();
                assert_eq!(found.symbol.address() + found.offset, addr);
            }
        }
    }
}

#[test]
fn gaps_between_symbols_belong_to_nobody() {
    let symbols = listed();
    let bytes = encode(&symbols);
    let table = SymbolTable::from_blob(&bytes, Slide::ZERO).unwrap();
    let mut ends = BTreeMap::new();
    for s in &symbols {
        let end = ends.entry(s.addr).or_insert(0);
        *end = s.size.max(*end);
    }
    let (mut reach, mut gaps) = (0, 0);
    for (&addr, &size) in &ends {
        if reach != 0 && reach < addr {
            assert_eq!(table.lookup_address(reach), None, "{reach:#x}");
            assert_eq!(table.lookup_address(addr - 1), None, "{addr:#x}");
            gaps += 1;
        }
        reach = reach.max(addr + size.max(1));
    }
    assert!(gaps > 100, "{gaps} gaps");
}

#[test]
fn a_function_that_runs_is_found_through_the_slide() {
    let symbols = listed();
    let linked = symbols
        .iter()
        .find(|s| s.name == "axebpf_symbols_landmark")
        .unwrap();
    let running = axebpf_symbols_landmark as extern "C" fn() -> u32 as usize as u64;
    let bytes = encode(&symbols);
    let table = SymbolTable::from_blob(&bytes, Slide::between(linked.addr, running)).unwrap();
    let found = table.lookup_address(running + 1).unwrap();
    assert_eq!(found.symbol.name(), "axebpf_symbols_landmark");
    assert_eq!(found.offset, 1);
    let own = gaps_between_symbols_belong_to_nobody as fn() as usize as u64;
    let found = table.lookup_address(own).unwrap();
    assert_eq!(
        found.symbol.demangled(),
        "elf::gaps_between_symbols_belong_to_nobody"
    );
}

/// Stands somewhere in this program under a name that is not mangled.
#[unsafe(no_mangle)]
extern "C" fn axebpf_symbols_landmark() -> u32 {
    std::hint::black_box(7)
}
