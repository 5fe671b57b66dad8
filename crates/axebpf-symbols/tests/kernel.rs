//! The symbols of a Linux kernel: text, and compressed tables that the test writes itself.

use axebpf_symbols::{CompressedSymbols, Glob, KernelSymbolError, KernelSymbols, Slide};
use proptest::prelude::*;

const TEXT: &str = "\
ffff800008000000 T _text
ffff800008000000 t head
ffff800008010000 T _stext
ffff800008010000 t local_first
0000000000000040 A absolute
ffff800008010100 T vfs_read
ffff800008010180 t helper
ffff800008010200 d helper
ffff800008010300 D _edata
ffff800001000010 t ext4_sync_file\t[ext4]
ffff800001000000 t ext4_init\t[ext4]
ffff800001100000 T xfs_read\t[xfs]
";

fn symbols() -> KernelSymbols {
    KernelSymbols::from_text(TEXT.as_bytes()).unwrap()
}

#[test]
fn text_is_read_with_modules() {
    let symbols = symbols();
    assert_eq!(symbols.len(), 11);
    let sync = symbols.lookup_name("ext4_sync_file").unwrap();
    assert_eq!(
        (sync.address(), sync.module(), sync.kind()),
        (0xffff_8000_0100_0010, Some("ext4"), 't')
    );
    assert!(sync.is_code());
    assert_eq!(sync.size(), 0xf_fff0);
    assert_eq!(sync.to_string(), "ext4_sync_file [ext4]");
    assert!(symbols.lookup_name("absolute").is_none());
    assert_eq!(symbols.lookup_name("vfs_read").unwrap().module(), None);
}

#[test]
fn a_slide_moves_the_kernel_and_not_its_modules() {
    for slide in [0x20_0000, -0x20_0000, -0x8_0000_0000] {
        let symbols = symbols().with_slide(Slide::new(slide));
        let address = |name| symbols.lookup_name(name).unwrap().address();
        let moved = 0xffff_8000_0801_0100_u64.wrapping_add_signed(slide);
        assert_eq!(address("vfs_read"), moved);
        assert_eq!(address("xfs_read"), 0xffff_8000_0110_0000);
        let found = symbols.lookup_address(moved + 4).unwrap();
        assert_eq!(found.to_string(), "vfs_read+0x4/0x80");
        let addresses: Vec<u64> = symbols.iter().map(|symbol| symbol.address()).collect();
        assert!(addresses.is_sorted());
    }
}

#[test]
fn addresses_are_found_in_the_symbol_before_them() {
    let symbols = symbols();
    let name = |address| {
        symbols
            .lookup_address(address)
            .map(|found| found.to_string())
    };
    assert_eq!(
        name(0xffff_8000_0801_0000).as_deref(),
        Some("_stext+0x0/0x100")
    );
    assert_eq!(
        name(0xffff_8000_0801_017f).as_deref(),
        Some("vfs_read+0x7f/0x80")
    );
    assert_eq!(
        name(0xffff_8000_0100_0014).as_deref(),
        Some("ext4_sync_file+0x4/0xffff0 [ext4]")
    );
    assert_eq!(
        name(0xffff_8000_0801_0300).as_deref(),
        Some("_edata+0x0/0x0")
    );
    assert_eq!(name(0xffff_8000_0801_0301), None);
    assert_eq!(name(0x1000), None);
}

#[test]
fn code_comes_before_data_of_the_same_name() {
    let text = "1000 d both\n2000 t both\n3000 t both\n";
    let symbols = KernelSymbols::from_text(text.as_bytes()).unwrap();
    assert_eq!(symbols.lookup_name("both").unwrap().address(), 0x2000);
    let all: Vec<u64> = symbols.lookup_names("both").map(|s| s.address()).collect();
    assert_eq!(all, [0x1000, 0x2000, 0x3000]);
    let glob = Glob::new("*read").unwrap();
    let symbols = self::symbols();
    let matching: Vec<String> = symbols
        .matching(&glob)
        .map(|s| s.name().to_owned())
        .collect();
    assert_eq!(matching, ["xfs_read", "vfs_read"]);
}

#[test]
fn bad_text_names_the_line() {
    for text in [
        "1000 T a\nx T b",
        "1000 T a\n1000 TT b",
        "1000 T a\n1000 T",
        "1000 T a\n1 T b c",
        "1000 T a\n1 T \u{e4}",
    ] {
        let error = KernelSymbols::from_text(text.as_bytes()).unwrap_err();
        assert_eq!(error, KernelSymbolError::BadLine { line: 2 }, "{text}");
    }
    assert_eq!(
        KernelSymbols::from_text(b"\n").unwrap_err(),
        KernelSymbolError::Empty
    );
    assert_eq!(
        KernelSymbols::from_text(b"0 T a\n0 T b").unwrap_err(),
        KernelSymbolError::Hidden
    );
    let long = format!("1000 T {}", "x".repeat(600));
    assert!(matches!(
        KernelSymbols::from_text(long.as_bytes()),
        Err(KernelSymbolError::BadName { .. })
    ));
}

/// Writes tables in which the tokens 0x80 to 0xff stand for pairs of letters, as Linux would for frequent ones.
fn compress(symbols: &[(u32, char, String)], base: u64) -> CompressedSymbols {
    let letters: Vec<char> = ('a'..='p').collect();
    let mut table = Vec::new();
    for token in 0..=255_u8 {
        if token.is_ascii_graphic() {
            table.push(token);
        } else if token >= 0x80 {
            table.extend([
                letters[usize::from(token >> 4 & 7)] as u8,
                letters[usize::from(token & 15)] as u8,
            ]);
        }
        table.push(0);
    }
    let mut names = Vec::new();
    for (_, kind, name) in symbols {
        let mut tokens = vec![*kind as u8];
        let bytes = name.as_bytes();
        let mut at = 0;
        while at < bytes.len() {
            let pair = bytes.get(at..at + 2).filter(|pair| {
                (b'a'..=b'h').contains(&pair[0]) && (b'a'..=b'p').contains(&pair[1])
            });
            match pair {
                Some(pair) => {
                    tokens.push(0x80 | (pair[0] - b'a') << 4 | (pair[1] - b'a'));
                    at += 2;
                }
                None => {
                    tokens.push(bytes[at]);
                    at += 1;
                }
            }
        }
        if tokens.len() < 0x80 {
            names.push(tokens.len() as u8);
        } else {
            names.extend([tokens.len() as u8 | 0x80, (tokens.len() >> 7) as u8]);
        }
        names.extend(tokens);
    }
    CompressedSymbols {
        names,
        token_table: table,
        offsets: symbols.iter().map(|symbol| symbol.0).collect(),
        base,
    }
}

proptest! {
    #[test]
    fn compressed_names_come_out_as_they_went_in(
        names in prop::collection::vec(("[Tt]", "[a-zA-Z0-9_.]{1,300}"), 1..40),
        base in 0_u64..1 << 40,
    ) {
        let list: Vec<_> = names
            .iter()
            .enumerate()
            .map(|(i, (kind, name))| (i as u32 * 16, kind.chars().next().unwrap(), name.clone()))
            .collect();
        let symbols = KernelSymbols::from_compressed(compress(&list, base)).unwrap();
        prop_assert_eq!(symbols.len(), list.len());
        for (symbol, (offset, kind, name)) in symbols.iter().zip(&list) {
            prop_assert_eq!(symbol.name(), name);
            prop_assert_eq!(symbol.kind(), *kind);
            prop_assert_eq!(symbol.address(), base + u64::from(*offset));
        }
    }

    #[test]
    fn nonsense_is_refused_or_harmless(
        names in prop::collection::vec(any::<u8>(), 0..400),
        token_table in prop::collection::vec(any::<u8>(), 0..600),
        offsets in prop::collection::vec(any::<u32>(), 0..40),
        base: u64,
        is_plausible: bool,
    ) {
        let token_table = if is_plausible { compress(&[], 0).token_table } else { token_table };
        let tables = CompressedSymbols { names, token_table, offsets, base };
        if let Ok(symbols) = KernelSymbols::from_compressed(tables) {
            prop_assert_eq!(symbols.iter().count(), symbols.len());
            for symbol in symbols.iter() {
                prop_assert!(symbols.lookup_address(symbol.address()).is_some());
            }
        }
    }

    #[test]
    fn any_text_is_read_or_refused(text in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = KernelSymbols::from_text(&text);
    }
}
