//! Instructions that fault and are executed again.

use axebpf_guestprobe::{Capabilities, GuestCounts, ProbeKind, ProbeMode};

use crate::asm::*;
use crate::hidden::{HALT, place};
use crate::machine::{Model, PAGE};
use crate::program::attach;
use crate::tables;
use crate::vcpu::VECTORS;

/// No steps: faults are found by the simulation, and delivered.
const FEW: Capabilities = Capabilities::FENCE
    .union(Capabilities::GUEST_TEXT)
    .union(Capabilities::TRAP_BRK)
    .union(Capabilities::WRITE_GUEST);
const CODE: u64 = 0x5000;
/// The page of the stack, which is not there at first.
const STACK: u64 = 0x18;

#[test]
fn an_instruction_that_faults_and_restarts_is_hit_twice_and_retired_once() {
    for mode in [ProbeMode::Brk, ProbeMode::Hvc] {
        let model = Model::with(1, 3, 0, FEW);
        tables::build(&model);
        tables::put(&model, STACK, 0);
        place(&model, CODE, &[PUSH_FRAME, HALT]);
        // The guest's handler maps the page and goes back.
        place(&model, VECTORS + 0x200, &[str(9, 10, 0), ERET]);
        {
            let mut vcpu = model.vcpu(0);
            tables::enable(&mut vcpu);
            vcpu.regs.regs[9] = STACK << 12 | tables::AF | 3;
            vcpu.regs.regs[10] = tables::TABLES + 3 * PAGE + 8 * STACK;
            vcpu.regs.regs[30] = 0x7777;
            vcpu.start(CODE);
            vcpu.regs.sp = (STACK + 1) * PAGE;
        }
        let (link, counter) = attach(&model, CODE, ProbeKind::Entry, mode).unwrap();
        model.run();
        assert_eq!(counter.count(), 2, "{mode}");
        let counts = model.probes.counts(link).unwrap();
        let wanted = GuestCounts {
            hits: 2,
            retired: 1,
            missed: 0,
        };
        assert_eq!(counts, wanted, "{mode}");
        assert_eq!(model.read_word((STACK + 1) * PAGE - 8), 0x7777);
        assert_eq!(model.vcpu(0).regs.sp, (STACK + 1) * PAGE - 16);
    }
}
