//! What a Linux kernel knows of itself, as it lies in a guest's memory.

use axebpf::platform::mock::set_mock_time;

use crate::machine::{FUNCTION, Machine, RAM};

/// Where the symbols are.
const SYMBOLS: u64 = RAM + 0x8_0000;
/// Where the types are.
const TYPES: u64 = RAM + 0x4_0000;

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(8), 0);
}

/// Writes the symbols as Linux 6.4 and later have them: `work_0` to `work_7`, and data, all relative to `base`.
pub(crate) fn write_symbols(machine: &Machine, base: u64) {
    let functions = (0..8).map(|number| (FUNCTION as u32 * number, format!("Twork_{number}")));
    let data = (0..300).map(|number| (0x1_0000 + 8 * number, format!("dvalue_{number}")));
    let symbols: Vec<(u32, String)> = functions.chain(data).collect();
    let (mut names, mut markers) = (Vec::new(), Vec::new());
    for (index, (_, name)) in symbols.iter().enumerate() {
        if index % 256 == 0 {
            markers.extend((names.len() as u32).to_le_bytes());
        }
        names.push(name.len() as u8);
        names.extend(name.bytes());
    }
    // Each character stands for itself.
    let (mut tokens, mut starts) = (Vec::new(), Vec::new());
    for token in 0..=255_u8 {
        starts.extend((tokens.len() as u16).to_le_bytes());
        tokens.extend(token.is_ascii_graphic().then_some(token));
        tokens.push(0);
    }
    let count = (symbols.len() as u64).to_le_bytes().to_vec();
    let offsets = symbols.iter().flat_map(|symbol| symbol.0.to_le_bytes());
    let mut out = Vec::new();
    for part in [count, names, markers, tokens, starts, offsets.collect()] {
        pad(&mut out);
        out.extend(part);
    }
    pad(&mut out);
    out.extend(base.to_le_bytes());
    machine.write(SYMBOLS, &out);
}

/// Writes types of which `task_struct` has `tgid` at `offset`.
pub(crate) fn write_types(machine: &Machine, offset: u32) {
    const STRUCT: u32 = 4 << 24;
    let strings = b"\0int\0task_struct\0pid\0tgid\0comm\0";
    let of = |name: &str| {
        let text = strings.windows(name.len());
        text.clone()
            .position(|part| part == name.as_bytes())
            .unwrap() as u32
    };
    let mut types = vec![of("task_struct"), STRUCT | 3, 0x400];
    types.extend([of("pid"), 2, 8 * (offset - 4)]);
    types.extend([of("tgid"), 2, 8 * offset]);
    types.extend([of("comm"), 2, 8 * 0x100]);
    // A kernel has many types, by which its information is told from that of modules.
    for _ in 0..0x1100 {
        types.extend([of("int"), 1 << 24, 4, 1 << 24 | 32]);
    }
    let len = 4 * types.len() as u32;
    let header = [0x0001_eb9f, 24, 0, len, len, strings.len() as u32];
    let words = header.into_iter().chain(types);
    let mut out: Vec<u8> = words.flat_map(u32::to_le_bytes).collect();
    out.extend(strings);
    machine.write(TYPES, &out);
}

/// Damages the types: the kernel's structure leads to itself by several ways, none of which has a name.
pub(crate) fn write_entangled_types(machine: &Machine) {
    write_types(machine, 0x44);
    for member in 0..3 {
        let at = TYPES + 24 + 12 + 12 * member;
        let anonymous = [0_u32, 1, 0];
        let bytes: Vec<u8> = anonymous.into_iter().flat_map(u32::to_le_bytes).collect();
        machine.write(at, &bytes);
    }
}

/// Lets the time come at which everything that waits is tried again.
pub(crate) fn later(minutes: u64) {
    set_mock_time(minutes * 60_000_000_000);
}
