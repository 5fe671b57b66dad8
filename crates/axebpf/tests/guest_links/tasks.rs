//! Who runs in a guest, as its kernel and as a program of it say.

use axebpf::LoadOptions;
use axebpf::platform::mock::set_mock_vcpu;

use crate::Bench;
use crate::kernel::{write_symbols, write_types};
use crate::machine::{LINKED, TEXT};

const NAMES: &[u8] = include_bytes!("../objects/guest_names.bpf.o");
/// Where something like a task is, from the start of the text on.
const TASK: u64 = 0x9000;

/// Writes a task with the number 9 of the process 7, whose name is `init`.
fn write_task(bench: &Bench) {
    let machine = &bench.guest.machine;
    machine.write(TEXT + TASK + 0x40, &9_u32.to_le_bytes());
    machine.write(TEXT + TASK + 0x44, &7_u32.to_le_bytes());
    machine.write(TEXT + TASK + 0x100, b"init\0\0\0\0\0\0\0\0\0\0\0\0");
}

#[test]
fn what_a_program_leaves_in_its_stack_pointer_is_no_task() {
    let mut bench = Bench::new();
    set_mock_vcpu(1, 0);
    bench.boot(0);
    write_symbols(&bench.guest.machine, LINKED);
    write_types(&bench.guest.machine, 0x44);
    write_task(&bench);
    bench.guest.start_kernel();
    bench.guest.start_programs();
    let object = bench.root.load("names", NAMES, &LoadOptions::default());
    let program = bench.root.object(object.unwrap()).unwrap().programs[0];
    bench.attach(program, "kprobe:vm1:work_3");
    // A program can make its memory look like a task.
    let program_task = (LINKED + TASK) & 0xffff_ffff_ffff;
    let nobody = [0, u64::MAX, u64::from_le_bytes(*b"vm1/vcpu")];
    let init = u64::from_le_bytes(*b"init\0\0\0\0");
    let known = [LINKED + TASK, 7 << 32 | 9, init];
    for (sp_el0, expected) in [(program_task, nobody), (LINKED + TASK, known), (0, nobody)] {
        bench.guest.set_task(sp_el0);
        bench.guest.call(3, 0);
        let seen = [0, 1, 2].map(|slot| bench.value("caller", slot));
        assert_eq!(seen, expected, "{sp_el0:#x}");
    }
}
