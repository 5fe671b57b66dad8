//! Exceptions that the guest's kernel takes because the hypervisor says so.

use axebpf_guestprobe::{Capabilities, ProbeKind, ProbeMode, Syndrome, SystemRegister};

use crate::asm::PUSH_FRAME;
use crate::machine::Model;
use crate::program::*;
use crate::tables;
use crate::vcpu::{EL1H, ModelVcpu, VECTORS};

const FEW: Capabilities = Capabilities::FENCE
    .union(Capabilities::GUEST_TEXT)
    .union(Capabilities::TRAP_BRK)
    .union(Capabilities::WRITE_GUEST);

/// Makes one page not mapped, one read-only and one the programs'.
fn build_tables(model: &Model) {
    tables::put(model, NOTHING, 0);
    tables::set(model, READ_ONLY, 1 << 7);
    tables::set(model, USER, 1 << 6);
}

const NOTHING: u64 = 0x18;
const READ_ONLY: u64 = 0x1a;
const USER: u64 = 0x1c;

/// Has a vCPU execute `stp x29, x30, [sp, #-16]!` at a probe, with the stack pointer `sp`.
fn push_at(sp: u64, pan: u64) -> (Model, u64) {
    let model = Model::with(1, 2, 0, FEW);
    load(&model, 1);
    build_tables(&model);
    {
        let mut vcpu = model.vcpu(0);
        vcpu.start(MIX);
        vcpu.regs.sp = sp;
        vcpu.regs.pstate = EL1H | pan | 1 << 31;
        vcpu.system.insert(SystemRegister::FarEl1, 0x5555);
    }
    let (link, _) = attach(&model, MIX, ProbeKind::Entry, ProbeMode::Brk).unwrap();
    model.run_for(1);
    // What is at the vector is not executed yet, unless the instruction was.
    let counts = model.probes.counts(link).unwrap();
    assert_eq!(counts.hits, 1);
    (model, counts.retired)
}

fn taken(model: &Model) -> (u64, u64) {
    let vcpu = model.vcpu(0);
    assert_eq!(vcpu.regs.pc, VECTORS + 0x200);
    assert_eq!(vcpu.system[&SystemRegister::ElrEl1], MIX);
    assert_eq!(
        vcpu.system[&SystemRegister::SpsrEl1] & 0x8000_0005,
        0x8000_0005
    );
    // Everything masked, and the flags kept.
    assert_eq!(vcpu.regs.pstate & 0x8000_03df, 0x8000_03c5);
    (
        vcpu.system[&SystemRegister::EsrEl1],
        vcpu.system[&SystemRegister::FarEl1],
    )
}

const WRITE: u64 = 1 << 6;
const IL: u64 = 1 << 25;

#[test]
fn a_simulated_store_faults_as_the_guests_tables_say() {
    let (model, retired) = push_at(0x2_0000, 0);
    assert_eq!(retired, 1);
    assert_eq!(model.vcpu(0).regs.pc, MIX + 4);
    // There is one model at a time.
    drop(model);
    for (page, pan, status) in [
        (NOTHING, 0, 0b00_0111),
        (READ_ONLY, 0, 0b00_1111),
        (USER, 1 << 22, 0b00_1111),
        // There are no tables beyond 2 MiB.
        (0x200, 0, 0b00_0110),
    ] {
        let sp = (page << 12) + 0x1000;
        let (model, retired) = push_at(sp, pan);
        assert_eq!(retired, 0);
        let expected = (0x25 << 26 | IL | WRITE | status, sp - 16);
        assert_eq!(taken(&model), expected, "{page:#x}");
        assert_eq!(model.vcpu(0).regs.sp, sp);
    }
    // The programs' page is the kernel's, too, as long as it says so.
    assert_eq!(push_at((USER << 12) + 0x1000, 0).1, 1);
}

#[test]
fn a_stack_pointer_that_is_not_aligned_is_the_guests_fault() {
    let (model, retired) = push_at(0x2_0008, 0);
    assert_eq!(retired, 0);
    assert_eq!(taken(&model), (0x26 << 26 | IL, 0x5555));
    let mut word = [0; 4];
    axebpf_guestprobe::GuestMemory::read_guest(
        &*model.machine,
        axebpf_platform::GuestPhys::new(MIX),
        &mut word,
    )
    .unwrap();
    assert_ne!(u32::from_le_bytes(word), PUSH_FRAME);
}

#[test]
fn debug_exceptions_are_handed_on() {
    // From a program, from the kernel on the program's stack, and on its own.
    for (pstate, offset) in [
        (0_u64, 0x400),
        (0b0100, 0),
        (EL1H, 0x200),
        (0b1_0000, 0x600),
    ] {
        for (class, seen) in [
            (0x3c_u64, 0x3c),
            (0x32, if pstate & 4 == 4 { 0x33 } else { 0x32 }),
        ] {
            let mut vcpu = ModelVcpu::new(0);
            vcpu.regs.pc = 0x1234;
            vcpu.regs.sp = 0x9990;
            vcpu.regs.pstate = pstate | 1 << 21;
            vcpu.system.insert(SystemRegister::SpEl1, 0x7770);
            vcpu.deliver(&Syndrome {
                esr: class << 26 | IL | 4,
                ..Syndrome::default()
            });
            assert_eq!(vcpu.regs.pc, VECTORS + offset);
            assert_eq!(vcpu.system[&SystemRegister::EsrEl1], seen << 26 | IL | 4);
            assert_eq!(vcpu.system[&SystemRegister::ElrEl1], 0x1234);
            assert_eq!(vcpu.system[&SystemRegister::SpsrEl1], pstate);
            let own = pstate == EL1H;
            assert_eq!(vcpu.regs.sp, if own { 0x9990 } else { 0x7770 });
            // SCTLR_EL1.SPAN is clear.
            assert_eq!(vcpu.regs.pstate & (1 << 22 | 1 << 21), 1 << 22);
        }
    }
}
