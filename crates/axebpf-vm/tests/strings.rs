//! The helpers for strings: reading them, comparing them, and making text.

mod support;

use axebpf_hit as _;
use axebpf_vm::{Context, Insn, RunError};
use proptest::prelude::*;
use support::{EXIT, add, call, insn, lddw, mov, mov_reg, program, run_on, then};

const EFAULT: u64 = -14i64 as u64;
const EINVAL: u64 = -22i64 as u64;

fn address(bytes: &[u8]) -> u64 {
    bytes.as_ptr().expose_provenance() as u64
}

/// Runs a program on `memory`, which `r6` and `r1` point to at its start.
fn on(memory: &mut [u8], insns: &[Insn]) -> Result<u64, RunError> {
    let program = program(&then(vec![mov_reg(6, 1)], insns)).expect("an acceptable program");
    run_on(&program, Context::writable(memory))
}

/// Reads a string of up to `size` bytes from `from` to memory full of 0xff.
fn probe(id: i32, from: u64, size: i32) -> (u64, Vec<u8>) {
    let mut memory = vec![0xff; 128];
    let [low, high] = lddw(3, from);
    let result = on(&mut memory, &[mov(2, size), low, high, call(id), EXIT]);
    (result.expect("a run to the end"), memory)
}

#[test]
fn a_string_is_read_up_to_its_end_or_to_the_size() {
    for id in [45, 115] {
        let text = b"a string of the hypervisor\0and what is behind it";
        let (result, memory) = probe(id, address(text), 128);
        assert_eq!(result, 27);
        assert_eq!(&memory[..27], &text[..27]);
        assert!(memory[27..].iter().all(|byte| *byte == 0xff));

        let (result, memory) = probe(id, address(text), 9);
        assert_eq!(result, 9);
        assert_eq!(&memory[..10], b"a string\0\xff");

        assert_eq!(probe(id, address(text), 0), (0, vec![0xff; 128]));
        assert_eq!(probe(id, address(b"\0"), 8).0, 1);
    }
}

#[test]
fn a_string_that_cannot_be_read_is_zeroes() {
    for from in [0, 8, u64::MAX - 2] {
        let (result, memory) = probe(115, from, 100);
        assert_eq!(result, EFAULT);
        assert!(memory[..100].iter().all(|byte| *byte == 0));
        assert_eq!(memory[100], 0xff);
    }
}

#[test]
fn a_string_is_not_read_to_where_the_program_may_not_write() {
    let mut memory = [0; 16];
    let [low, high] = lddw(3, address(b"short\0"));
    let result = on(&mut memory, &[mov(2, 17), low, high, call(115), EXIT]);
    assert!(
        matches!(result, Err(RunError::OutOfBounds { len: 17, .. })),
        "{result:?}"
    );
}

/// Compares `first`, of that size, with `second`; both lie in the context.
fn compare(first: &[u8], size: i32, second: &[u8]) -> i64 {
    let mut memory = [first, second].concat();
    let insns = [
        mov(2, size),
        mov_reg(3, 6),
        add(3, first.len() as i32),
        call(182),
        EXIT,
    ];
    on(&mut memory, &insns).expect("a run to the end") as i64
}

#[test]
fn strings_are_compared() {
    assert_eq!(compare(b"abc\0", 4, b"abc\0"), 0);
    assert_eq!(compare(b"abc", 3, b"abcdef\0"), 0);
    assert_eq!(compare(b"abc\0xyz", 7, b"abc\0"), 0);
    assert!(compare(b"abd\0", 4, b"abc\0") > 0);
    assert!(compare(b"ab\0c", 4, b"abc\0") < 0);
    assert!(compare(b"\x80\0", 2, b"\x01\0") > 0, "bytes have no sign");
    assert_eq!(compare(b"abc", 0, b"xyz\0"), 0);
}

/// Formats into `size` bytes: the format and the values lie in the context before the result.
fn format(format: &[u8], values: &[u64], size: i32) -> (u64, Vec<u8>) {
    let data: Vec<u8> = values
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let mut memory = [&data, format, &[0xee; 700]].concat();
    let at = (data.len() + format.len()) as i32;
    let insns = [
        add(1, at),
        mov(2, size),
        mov_reg(3, 6),
        add(3, data.len() as i32),
        mov_reg(4, 6),
        mov(5, data.len() as i32),
        call(165),
        EXIT,
    ];
    let result = on(&mut memory, &insns).expect("a run to the end");
    (result, memory.split_off(at as usize))
}

#[track_caller]
fn formats_as(text: &[u8], values: &[u64], expected: &str) {
    let (len, memory) = format(text, values, 600);
    assert_eq!(len as usize, expected.len() + 1);
    let written = String::from_utf8_lossy(&memory[..expected.len()]);
    assert_eq!(written, expected);
    assert_eq!(memory[expected.len()], 0);
    assert_eq!(memory[expected.len() + 1], 0xee);
}

#[test]
fn text_is_made_as_the_reader_makes_it() {
    formats_as(b"plain\0", &[], "plain");
    formats_as(
        b"%d %5u|%-4x|%#llx\0",
        &[u64::MAX, 7, 0xab, 1 << 40],
        "-1     7|ab  |0x10000000000",
    );
    let name = address(b"vcpu\0");
    formats_as(b"[%6s][%s][%c]%%\0", &[name, 0, 0x41], "[  vcpu][][A]%");
    formats_as(b"%pks %px\0", &[name, 0x1000], "vcpu 0x1000");
    let twelve: Vec<u64> = (1..=12).collect();
    formats_as(b"%d%d%d%d%d%d%d%d%d%d%d%d\0", &twelve, "123456789101112");
}

#[test]
fn addresses_of_networks() {
    let v4 = address(&[127, 0, 10, 255]);
    formats_as(b"%pI4 %pi4\0", &[v4, v4], "127.0.10.255 127.000.010.255");
    let v6: [u8; 16] = std::array::from_fn(|index| (index * 17) as u8);
    let v6 = address(&v6);
    formats_as(
        b"%pI6 %pi6\0",
        &[v6, v6],
        "0011:2233:4455:6677:8899:aabb:ccdd:eeff 00112233445566778899aabbccddeeff",
    );
    formats_as(b"%pI4\0", &[0], "0.0.0.0");
}

#[test]
fn text_is_cut_to_fit() {
    let (len, memory) = format(b"0123456789\0", &[], 5);
    assert_eq!((len, &memory[..6]), (11, &b"0123\0\xee"[..]));
    let (len, memory) = format(b"0123456789\0", &[], 1);
    assert_eq!((len, &memory[..2]), (11, &b"\0\xee"[..]));
    let (len, memory) = format(b"0123456789\0", &[], 0);
    assert_eq!((len, memory[0]), (11, 0xee));
}

#[test]
fn formats_that_linux_refuses() {
    assert_eq!(format(b"%d\0", &[], 8).0, EINVAL, "no value");
    assert_eq!(format(b"%y\0", &[1], 8).0, EINVAL);
    assert_eq!(format(b"x\0", &[0; 13], 8).0, EINVAL, "too many values");
    let endless = [b'x'; 600];
    assert_eq!(format(&endless, &[], 8).0, EINVAL);
    let odd = [
        mov(2, 8),
        mov_reg(3, 6),
        mov_reg(4, 6),
        mov(5, 7),
        call(165),
        EXIT,
    ];
    assert_eq!(on(&mut [0; 32], &odd), Ok(EINVAL));
}

#[test]
fn text_goes_only_where_the_program_may_write() {
    let insns = [
        insn(0xb7, 1, 0, 0, 8),
        mov(2, 8),
        mov_reg(3, 6),
        mov(4, 0),
        mov(5, 0),
        call(165),
        EXIT,
    ];
    let result = on(&mut [0; 32], &insns);
    assert!(
        matches!(
            result,
            Err(RunError::OutOfBounds {
                addr: 8,
                len: 8,
                ..
            })
        ),
        "{result:?}"
    );
}

proptest! {
    #[test]
    fn the_helper_and_the_reader_agree(
        text in "(%[-+ 0#]{0,3}[0-9]{0,2}(l|ll)?[diuxX]|%p|[a-z %]{0,3}){0,6}",
        values in prop::collection::vec(any::<u64>(), 6),
    ) {
        let terminated = [text.as_bytes(), b"\0"].concat();
        let (len, memory) = format(&terminated, &values, 600);
        let expected = axebpf_vm::PrintkRecord::new(text.as_bytes(), &values, b"").to_string();
        if len != EINVAL {
            let written = String::from_utf8_lossy(&memory[..len as usize - 1]);
            prop_assert_eq!(written, expected);
        }
    }
}
