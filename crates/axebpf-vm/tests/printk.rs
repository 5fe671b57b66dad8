//! The text of messages.

use axebpf_hit as _;
use axebpf_vm::PrintkRecord;
use proptest::prelude::*;

#[track_caller]
fn check(format: &str, args: &[u64], expected: &str) {
    assert_eq!(
        PrintkRecord::new(format.as_bytes(), args, b"").to_string(),
        expected,
        "{format:?}"
    );
}

#[test]
fn numbers() {
    let minus = -5i64 as u64;
    check("%d", &[minus], "-5");
    check("%d", &[0xffff_ffff], "-1");
    check("%i", &[0x1_0000_0007], "7");
    check("%u", &[minus], "4294967291");
    check("%x %X", &[0xabcd, 0xabcd], "abcd ABCD");
    check("%x", &[0x1_0000_00ff], "ff");
    check("%ld %lu", &[minus, minus], "-5 18446744073709551611");
    check("%lld %llu", &[minus, minus], "-5 18446744073709551611");
    check(
        "%lx %llX",
        &[0x1_0000_00ff, 0xab_0000_0000],
        "1000000ff AB00000000",
    );
    check("%lld", &[i64::MIN as u64], "-9223372036854775808");
    check("%d", &[0], "0");
}

#[test]
fn flags_and_widths() {
    check("[%5d][%-5d][%05d]", &[42, 42, 42], "[   42][42   ][00042]");
    check("[%05d][%-05d]", &[-7i64 as u64, 7], "[-0007][7    ]");
    check("[%+d][% d][%+d]", &[7, 7, -7i64 as u64], "[+7][ 7][-7]");
    check(
        "[%#x][%#010x][%#X]",
        &[255, 255, 255],
        "[0xff][0x000000ff][0XFF]",
    );
    check("[%2d]", &[12345], "[12345]");
    check("[%99999999999999999999d]", &[1], &format!("[{:>255}]", 1));
}

#[test]
fn characters_pointers_and_percent_signs() {
    check("%c%c", &[0x41, 0x1_42], "AB");
    check(
        "%p %px %pK",
        &[0x1000, 0x1000, 0x1000],
        "0x1000 0x1000 0x1000",
    );
    check("100%% of %d", &[5], "100% of 5");
}

#[test]
fn strings() {
    let record = PrintkRecord::new(
        b"%s, %d, [%6s][%-6s]\0",
        &[1, 2, 3, 4],
        b"one\0two\0three\0",
    );
    assert_eq!(record.to_string(), "one, 2, [   two][three ]");
    assert_eq!(record.args(), [1, 2, 3, 4]);
    assert_eq!(record.format(), b"%s, %d, [%6s][%-6s]");
    let record = PrintkRecord::new(b"%s", &[1], b"\xffx\0");
    assert_eq!(record.to_string(), "\u{fffd}x");
}

#[test]
fn what_is_wrong_appears_as_it_is() {
    check("%d %d", &[1], "1 (missing)");
    check("%y", &[1], "%y");
    check("%", &[1], "%");
    check("a %l", &[1], "a %l");
    check("%-08", &[1], "%-08");
    check("%ls", &[1], "%ls");
    check("%5%", &[], "%5%");
}

proptest! {
    #[test]
    fn no_format_panics(
        format in prop::collection::vec(any::<u8>(), 0..64),
        args in prop::collection::vec(any::<u64>(), 0..4),
        text in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        let _ = PrintkRecord::new(&format, &args, &text).to_string();
    }

    #[test]
    fn no_conversion_panics(
        format in "(%[-+ 0#]{0,3}[0-9]{0,4}(l|ll|h)?[diuxXcsp%o]?){0,5}",
        args in prop::collection::vec(any::<u64>(), 0..4),
    ) {
        let _ = PrintkRecord::new(format.as_bytes(), &args, b"").to_string();
    }
}
