//! Call chains of a guest's kernel.

use axebpf::LoadOptions;
use axebpf::symbols::Slide;

use crate::Bench;
use crate::machine::{FUNCTION, LINKED, TEXT, VM};
use crate::shell::run;

const NAMES: &[u8] = include_bytes!("../objects/guest_names.bpf.o");
/// Where the kernel's stack is, from the start of the text on.
const STACK: u64 = 0x9000;

/// Boots a kernel whose numbers have the bytes that `bytes` gives them, calls a function of it with two frame records
/// on the stack, and returns what the shell shows of the chain.
fn chain(bench: &mut Bench, bytes: fn(u64) -> [u8; 8]) -> String {
    let lines =
        (0..8).map(|number| format!("{:016x} T work_{number}\n", LINKED + FUNCTION * number));
    let text: String = lines.collect();
    bench
        .root
        .set_guest_symbols(VM, text.as_bytes(), Some(Slide::ZERO))
        .unwrap();
    let object = bench.root.load("names", NAMES, &LoadOptions::default());
    let object = bench.root.object(object.unwrap()).unwrap();
    bench.attach(object.programs[0], "kprobe:vm1:work_3");
    let outer = LINKED + STACK + 0x20;
    for (at, word) in [
        (0, outer),
        (8, LINKED + 5 * FUNCTION + 8),
        (0x20, 0),
        (0x28, LINKED + 6 * FUNCTION + 12),
    ] {
        bench.guest.machine.write(TEXT + STACK + at, &bytes(word));
    }
    bench.guest.set_frame(LINKED + STACK);
    bench.guest.call(3, 0);
    let mut maps = object.maps.iter().map(|id| bench.root.map(*id).unwrap());
    let chains = maps.find(|info| info.map.name() == "chains").unwrap();
    run(bench, &format!("map dump {}", chains.id))
}

#[track_caller]
fn check(chain: &str) {
    for place in ["work_3+0x0/0x40", "work_5+0x8/0x40", "work_6+0xc/0x40"] {
        assert!(chain.contains(&format!(" {place}\n")), "{place}: {chain}");
    }
}

#[test]
fn frame_records_have_the_byte_order_of_the_guest() {
    let mut bench = Bench::new();
    bench.boot(0);
    bench.guest.start_kernel();
    bench.guest.start_programs();
    check(&chain(&mut bench, u64::to_le_bytes));
}

#[test]
fn frame_records_of_a_big_endian_guest_are_followed() {
    let mut bench = Bench::new();
    bench.boot(0);
    bench.guest.turn_big_endian();
    bench.guest.start_kernel();
    bench.guest.start_programs();
    check(&chain(&mut bench, u64::to_be_bytes));
}
