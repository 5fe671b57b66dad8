//! Instructions in words, in the syntax of LLVM's and the kernel's listings.

use alloc::{format, string::String};

use axebpf_vm::{
    Helper, Insn,
    insn::{CALL, CALLX, EXIT, GOTOL, JA, LDDW, call, class, lddw},
};

/// Writes the instruction at slot `at`; `second` is the slot after it. Returns nothing for the
/// second slot of a 64-bit load, which `second` of the slot before has shown.
pub(crate) fn text(at: usize, insn: Insn, second: Option<Insn>) -> String {
    match (insn.opcode, insn.class()) {
        (LDDW, _) => load_wide(insn, second),
        (CALL, _) => call_text(at, insn),
        (CALLX, _) => format!("callx r{}", insn.dst),
        (EXIT, _) => "exit".into(),
        (JA, _) => format!("goto {}", slot(at, insn.off.into())),
        (GOTOL, _) => format!("gotol {}", slot(at, insn.imm.into())),
        (_, class::ALU | class::ALU64) => arithmetic(insn),
        (_, class::JMP | class::JMP32) => jump(at, insn),
        (_, class::LDX) => load(insn),
        (_, class::ST | class::STX) => store(insn),
        (opcode, _) => format!("(unknown {opcode:#04x})"),
    }
}

fn slot(at: usize, distance: i64) -> i64 {
    at as i64 + 1 + distance
}

fn load_wide(insn: Insn, second: Option<Insn>) -> String {
    let high = second.map_or(0, |second| second.imm.cast_unsigned());
    let value = u64::from(high) << 32 | u64::from(insn.imm.cast_unsigned());
    match insn.src {
        lddw::MAP_FD | lddw::MAP_INDEX => format!("r{} = map {}", insn.dst, insn.imm),
        lddw::MAP_FD_VALUE | lddw::MAP_INDEX_VALUE => {
            format!("r{} = map {} value + {high}", insn.dst, insn.imm)
        }
        lddw::CODE => format!("r{} = code {:+}", insn.dst, insn.imm),
        _ => format!("r{} = {value:#x} ll", insn.dst),
    }
}

fn call_text(at: usize, insn: Insn) -> String {
    match (insn.src, Helper::from_id(insn.imm)) {
        (call::LOCAL, _) => format!("call {}", slot(at, insn.imm.into())),
        (_, Some(helper)) => format!("call {}", helper.name()),
        _ => format!("call helper {}", insn.imm),
    }
}

/// The register of a class of arithmetic or jumps: `w` for the 32-bit ones.
fn register(insn: Insn) -> char {
    if matches!(insn.class(), class::ALU | class::JMP32) {
        'w'
    } else {
        'r'
    }
}

/// The second operand: a register or a number.
fn operand(insn: Insn) -> String {
    if insn.opcode & 0x08 != 0 {
        format!("{}{}", register(insn), insn.src)
    } else {
        format!("{}", insn.imm)
    }
}

fn arithmetic(insn: Insn) -> String {
    let (kind, dst) = (register(insn), insn.dst);
    let signed = if insn.off == 1 { "s" } else { "" };
    let operator = match insn.opcode & 0xf0 {
        0x00 => "+",
        0x10 => "-",
        0x20 => "*",
        0x30 => "/",
        0x40 => "|",
        0x50 => "&",
        0x60 => "<<",
        0x70 => ">>",
        0x80 => return format!("{kind}{dst} = -{kind}{dst}"),
        0x90 => "%",
        0xa0 => "^",
        0xb0 if insn.off != 0 => {
            return format!("{kind}{dst} = (s{}){}", insn.off, operand(insn));
        }
        0xb0 => return format!("{kind}{dst} = {}", operand(insn)),
        0xc0 => "s>>",
        0xd0 => return swap(insn),
        _ => return format!("(unknown {:#04x})", insn.opcode),
    };
    let signed = if matches!(operator, "/" | "%") {
        signed
    } else {
        ""
    };
    format!("{kind}{dst} {signed}{operator}= {}", operand(insn))
}

fn swap(insn: Insn) -> String {
    let order = match (insn.class(), insn.opcode & 0x08) {
        (class::ALU64, _) => "bswap",
        (_, 0) => "le",
        _ => "be",
    };
    format!("r{0} = {order}{1} r{0}", insn.dst, insn.imm)
}

fn jump(at: usize, insn: Insn) -> String {
    let comparison = match insn.opcode & 0xf0 {
        0x10 => "==",
        0x20 => ">",
        0x30 => ">=",
        0x40 => "&",
        0x50 => "!=",
        0x60 => "s>",
        0x70 => "s>=",
        0xa0 => "<",
        0xb0 => "<=",
        0xc0 => "s<",
        0xd0 => "s<=",
        _ => return format!("(unknown {:#04x})", insn.opcode),
    };
    let left = format!("{}{}", register(insn), insn.dst);
    format!(
        "if {left} {comparison} {} goto {}",
        operand(insn),
        slot(at, insn.off.into())
    )
}

/// The type that a load or store accesses.
fn width(opcode: u8) -> &'static str {
    match opcode & 0x18 {
        0x00 => "u32",
        0x08 => "u16",
        0x10 => "u8",
        _ => "u64",
    }
}

fn place(insn: Insn, base: u8) -> String {
    format!("*({} *)(r{base} {:+})", width(insn.opcode), insn.off)
}

fn load(insn: Insn) -> String {
    // Mode 0x80 extends the sign.
    let place = place(insn, insn.src);
    let place = if insn.opcode & 0xe0 == 0x80 {
        place.replacen('u', "s", 1)
    } else {
        place
    };
    format!("r{} = {place}", insn.dst)
}

fn store(insn: Insn) -> String {
    let place = place(insn, insn.dst);
    match (insn.class(), insn.opcode & 0xe0) {
        (class::ST, _) => format!("{place} = {}", insn.imm),
        (_, 0xc0) => atomic(insn, &place),
        _ => format!("{place} = r{}", insn.src),
    }
}

fn atomic(insn: Insn, place: &str) -> String {
    let operator = match insn.imm & 0xf0 {
        0x00 => "add",
        0x40 => "or",
        0x50 => "and",
        0xa0 => "xor",
        0xe0 => return format!("r{} = xchg({place}, r{0})", insn.src),
        0xf0 => return format!("r0 = cmpxchg({place}, r0, r{})", insn.src),
        _ => return format!("(unknown atomic {:#x})", insn.imm),
    };
    if insn.imm & 1 != 0 {
        format!("r{} = fetch_{operator}({place}, r{0})", insn.src)
    } else {
        format!("lock {operator}({place}, r{})", insn.src)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(bytes: [u8; 8]) -> String {
        text(4, Insn::from_bytes(bytes), None)
    }

    #[test]
    fn instructions_read_as_in_other_listings() {
        for (bytes, expected) in [
            ([0xb7, 0, 0, 0, 0, 0, 0, 0], "r0 = 0"),
            ([0xbf, 0x21, 0, 0, 0, 0, 0, 0], "r1 = r2"),
            ([0xbc, 0x21, 0, 0, 0, 0, 0, 0], "w1 = w2"),
            ([0x07, 2, 0, 0, 0xfc, 0xff, 0xff, 0xff], "r2 += -4"),
            ([0x37, 2, 1, 0, 3, 0, 0, 0], "r2 s/= 3"),
            ([0x87, 3, 0, 0, 0, 0, 0, 0], "r3 = -r3"),
            ([0xbf, 0x21, 8, 0, 0, 0, 0, 0], "r1 = (s8)r2"),
            ([0xdc, 3, 0, 0, 16, 0, 0, 0], "r3 = be16 r3"),
            ([0x61, 0x12, 8, 0, 0, 0, 0, 0], "r2 = *(u32 *)(r1 +8)"),
            ([0x91, 0x12, 8, 0, 0, 0, 0, 0], "r2 = *(s8 *)(r1 +8)"),
            (
                [0x7b, 0x1a, 0xf8, 0xff, 0, 0, 0, 0],
                "*(u64 *)(r10 -8) = r1",
            ),
            ([0x62, 0x0a, 0xfc, 0xff, 7, 0, 0, 0], "*(u32 *)(r10 -4) = 7"),
            (
                [0xdb, 0x10, 0, 0, 0, 0, 0, 0],
                "lock add(*(u64 *)(r0 +0), r1)",
            ),
            ([0x15, 0, 3, 0, 0, 0, 0, 0], "if r0 == 0 goto 8"),
            ([0xae, 0x21, 0xfe, 0xff, 0, 0, 0, 0], "if w1 < w2 goto 3"),
            ([0x05, 0, 1, 0, 0, 0, 0, 0], "goto 6"),
            ([0x85, 0, 0, 0, 1, 0, 0, 0], "call map_lookup_elem"),
            ([0x85, 0x10, 0, 0, 2, 0, 0, 0], "call 7"),
            ([0x95, 0, 0, 0, 0, 0, 0, 0], "exit"),
            ([0xff, 0, 0, 0, 0, 0, 0, 0], "(unknown 0xff)"),
        ] {
            assert_eq!(shown(bytes), expected);
        }
        let wide = Insn::from_bytes([0x18, 1, 0, 0, 2, 0, 0, 0]);
        let second = Insn::from_bytes([0, 0, 0, 0, 1, 0, 0, 0]);
        assert_eq!(text(0, wide, Some(second)), "r1 = 0x100000002 ll");
    }

    #[test]
    fn every_opcode_has_some_text() {
        for opcode in 0..=u8::MAX {
            assert!(!shown([opcode, 0x21, 1, 0, 1, 0, 0, 0]).is_empty());
        }
    }
}
