//! Exits that come at a bad moment.

use axebpf_guestprobe::{
    GuestStage, LinkState, ProbeKind, ProbeMode, Syndrome, SystemRegister, View,
};

use crate::asm::*;
use crate::hidden::{HALT, OTHER, place};
use crate::machine::{Model, PAGE};
use crate::program::attach;
use crate::tables;
use crate::vcpu::{EL1H, VECTORS};

const TEXT: u64 = 0x6000;

/// A fetch of what is mapped nowhere in stage 2, on level 3.
fn no_page(at: u64) -> Syndrome {
    Syndrome {
        esr: 0x20 << 26 | 1 << 25 | 0b00_0111,
        far: at,
        hpfar: (at / PAGE) << 4,
    }
}

#[test]
fn a_fetch_fault_within_a_step_is_no_hit() {
    let model = Model::new(1, 5, 0);
    place(&model, OTHER, &[ldr(3, 1, 0x100), HALT]);
    place(&model, TEXT, &[NOP, RET]);
    let mode = ProbeMode::Stage2Fault;
    let (link, counter) = attach(&model, OTHER, ProbeKind::Entry, mode).unwrap();
    {
        let mut vcpu = model.vcpu(0);
        vcpu.regs.regs[1] = 0x8000;
        vcpu.start(OTHER);
    }
    while !model.vcpu(0).is_stepping {
        model.run_for(1);
    }
    // Mappings beside it are changed, and the block that it is in may be split.
    attach(&model, TEXT, ProbeKind::Entry, mode).unwrap();
    assert!(model.vcpu(0).is_stepping);
    model.vcpu(0).inject(&model.probes, no_page(OTHER));
    model.run();
    assert_eq!(counter.count(), 1);
    let counts = model.probes.counts(link).unwrap();
    assert_eq!((counts.hits, counts.retired), (1, 1));
}

#[test]
#[should_panic(expected = "exit 0x20")]
fn a_page_that_the_hypervisor_has_taken_is_its_own_matter() {
    let model = Model::new(1, 5, 0);
    place(&model, OTHER, &[NOP, NOP, NOP, HALT]);
    attach(&model, OTHER, ProbeKind::Entry, ProbeMode::Stage2Fault).unwrap();
    model.vcpu(0).start(OTHER + 4);
    while model.vcpu(0).view != View::Window {
        model.run_for(1);
    }
    // The model panics at what is not of probes.
    for _ in 0..3 {
        model.vcpu(0).inject(&model.probes, no_page(OTHER + 4));
    }
}

#[test]
fn a_vcpu_that_debugs_itself_since_before_the_first_probe_is_not_stepped() {
    for mode in [ProbeMode::Stage2Fault, ProbeMode::HiddenBrk] {
        let model = Model::new(1, 5, 0);
        place(&model, OTHER, &[ldr(3, 1, 0x100), HALT]);
        {
            let mut vcpu = model.vcpu(0);
            vcpu.debugs = true;
            vcpu.regs.regs[1] = 0x8000;
            vcpu.start(OTHER);
        }
        attach(&model, OTHER, ProbeKind::Entry, mode).unwrap();
        for _ in 0..50 {
            model.run_for(1);
            assert!(!model.vcpu(0).is_stepping && !model.vcpu(0).holds, "{mode}");
        }
        assert!(model.vcpu(0).halted);
    }
}

#[test]
fn what_runs_without_probes_may_write_the_page_that_it_is_in() {
    for mode in [ProbeMode::HiddenBrk, ProbeMode::Brk] {
        let model = Model::new(2, 5, 0);
        place(&model, TEXT, &[GUEST_BRK]);
        // br x5, to what stores beside itself.
        place(
            &model,
            VECTORS + 0x200,
            &[movz(5, OTHER as u16), 0xd61f_00a0],
        );
        let words = [movz(4, 1), movz(3, 7), str(3, 1, 0x100), NOP, HALT];
        place(&model, OTHER, &words);
        let (link, _) = attach(&model, OTHER, ProbeKind::Entry, mode).unwrap();
        {
            let mut vcpu = model.vcpu(0);
            vcpu.debugs = true;
            vcpu.regs.regs[1] = OTHER;
            vcpu.start(TEXT);
        }
        model.run_for(1000);
        assert!(model.vcpu(0).halted, "{mode}");
        assert_eq!(model.read_word(OTHER + 0x100), 7);
        let is_patched = mode == ProbeMode::Brk;
        assert_eq!(model.probes.statistics().withdrawn, u64::from(is_patched));
        if is_patched {
            let state = model.probes.link_state(link).unwrap();
            assert!(matches!(state, LinkState::Suspended { why: None, .. }));
        }
        // Others in the page are armed as ever, and seen by who does not debug itself.
        let (next, counter) = attach(&model, OTHER + 12, ProbeKind::Entry, mode).unwrap();
        model.vcpu(1).start(OTHER + 12);
        model.run();
        assert_eq!(counter.count(), 1, "{mode}");
        model.vcpu(0).start(OTHER + 12);
        model.run();
        assert_eq!(counter.count(), 1, "{mode}");
        for link in [link, next] {
            model.probes.detach(link).unwrap();
        }
        assert!(model.is_clean());
    }
}

#[test]
fn tables_that_map_no_stack_are_not_the_kernels() {
    const KERNEL: u64 = 0xffff_8000_0808_1800;
    let model = Model::new(1, 3, 0);
    tables::build(&model);
    place(&model, OTHER, &[HALT]);
    let enter = |pstate: u64, ttbr1: u64| {
        {
            let mut vcpu = model.vcpu(0);
            tables::enable(&mut vcpu);
            vcpu.system.insert(SystemRegister::VbarEl1, KERNEL);
            vcpu.system.insert(SystemRegister::Ttbr1El1, ttbr1);
            vcpu.start(OTHER);
            vcpu.regs.sp = 0xffff_0000_0002_0000;
            vcpu.regs.pstate = pstate;
        }
        model.run();
        model.probes.stage1().map(|stage1| stage1.ttbr1)
    };
    // With nothing in them.
    let trampoline = 0x3_f000;
    let kernel = tables::TABLES;
    let other_asid = kernel | 1 << 48;
    assert_eq!(enter(EL1H, kernel), Some(kernel));
    assert_eq!(enter(0, kernel), Some(kernel));
    assert_eq!(model.probes.stage(), GuestStage::User);
    assert_eq!(enter(EL1H, trampoline), Some(kernel));
    assert_eq!(enter(EL1H, other_asid), Some(other_asid));
    // Another kernel, in which there is a stack.
    let next = 0x3_8000;
    let root = model.read_word(kernel);
    model.machine.store(next, &root.to_le_bytes());
    assert_eq!(enter(EL1H, next), Some(next));
}
