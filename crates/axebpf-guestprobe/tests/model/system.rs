//! What is seen of the guest's system, and links that are there without it.

use axebpf_guestprobe::{
    GuestProbeError, GuestStage, LinkState, ProbeKind, SystemRegister, WalkFault, WalkProblem,
};
use axebpf_platform::VcpuId;

use crate::machine::Model;
use crate::program::*;
use crate::vcpu::EL1H;

/// Where the guest only leaves.
const LEAVE: u64 = 0x5000;
/// `hvc #0`.
const HALT: u32 = 0xd400_0002;
const HIGH_VECTORS: u64 = 0xffff_8000_0808_1800;
const USER: u64 = 0;

/// Has the vCPU leave the guest, and enter it again with `pstate`.
fn enter(model: &Model, pstate: u64, sctlr: u64, vectors: u64) -> GuestStage {
    model.machine.store(LEAVE, &HALT.to_le_bytes());
    {
        let mut vcpu = model.vcpu(0);
        vcpu.system.insert(SystemRegister::SctlrEl1, sctlr);
        vcpu.system.insert(SystemRegister::VbarEl1, vectors);
        vcpu.start(LEAVE);
        vcpu.regs.pstate = pstate;
    }
    model.run();
    model.probes.stage()
}

#[test]
fn the_stage_is_what_vcpus_have_shown() {
    let model = Model::new(1, 3, 0);
    assert_eq!(model.probes.stage(), GuestStage::Off);
    for _ in 0..2 {
        // Without translation, with the vectors of a boot loader, and at EL0 before there is a kernel.
        for (pstate, sctlr, vectors) in [
            (EL1H, 0, HIGH_VECTORS),
            (EL1H, 1, 0x4008_0000),
            (USER, 1, HIGH_VECTORS),
        ] {
            assert_eq!(enter(&model, pstate, sctlr, vectors), GuestStage::Off);
        }
        assert_eq!(enter(&model, EL1H, 1, HIGH_VECTORS), GuestStage::Kernel);
        assert_eq!(enter(&model, USER, 0, HIGH_VECTORS), GuestStage::Kernel);
        // AArch32's supervisor mode is no program, though its number looks like it.
        let supervisor = 0b1_0011;
        assert_eq!(
            enter(&model, supervisor, 1, HIGH_VECTORS),
            GuestStage::Kernel
        );
        assert_eq!(enter(&model, USER, 1, HIGH_VECTORS), GuestStage::User);
        assert_eq!(enter(&model, EL1H, 0, 0), GuestStage::User);
        assert!(model.probes.stage1().is_some());
        // A processor that is switched on anew says nothing of the system.
        model.probes.reset_vcpu(VcpuId::new(0));
        assert_eq!(model.probes.stage(), GuestStage::User);
        model.probes.disarm_all().unwrap();
        assert_eq!(model.probes.stage(), GuestStage::Off);
        assert_eq!(model.probes.stage1(), None);
    }
}

#[test]
fn the_stage_is_seen_while_there_are_probes() {
    let model = Model::new(1, 3, 0);
    load(&model, 1);
    for mode in MODES {
        let (link, _) = attach(&model, MIX, ProbeKind::Entry, mode).unwrap();
        assert_eq!(enter(&model, EL1H, 1, HIGH_VECTORS), GuestStage::Kernel);
        assert_eq!(enter(&model, 0b1_0000, 1, HIGH_VECTORS), GuestStage::User);
        model.probes.disarm_all().unwrap();
        model.probes.detach(link).unwrap();
        assert!(model.is_clean());
    }
}

#[test]
fn links_are_detached_while_the_guest_is_off() {
    for mode in MODES {
        let model = Model::new(2, 3, 0);
        load(&model, 2);
        let (entry, counter) = attach(&model, MIX, ProbeKind::Entry, mode).unwrap();
        let (ret, _) = attach(&model, LEAF, ProbeKind::Return, mode).unwrap();
        model.run_for(60);
        model.probes.run_deferred().unwrap();
        model.run_for(60);
        model.probes.disarm_all().unwrap();
        assert!(model.is_clean());
        let hits = counter.count();
        for link in [entry, ret] {
            let state = model.probes.link_state(link);
            assert!(matches!(state, Ok(LinkState::Suspended { .. })));
        }
        assert_eq!(model.probes.detach(entry).unwrap().hits, hits);
        // Attached and detached again, in a guest that is off.
        let (again, _) = attach(&model, MIX, ProbeKind::Entry, mode).unwrap();
        model.probes.detach(again).unwrap();
        model.probes.detach(ret).unwrap();
        assert!(model.probes.links().is_empty());
        assert_eq!(
            model.probes.detach(ret),
            Err(GuestProbeError::NoLink { id: ret })
        );
        assert!(model.is_clean());
        // What was forgotten is not missed.
        load(&model, 2);
        model.run();
        assert_eq!(results(&model, 2), expected(2));
        assert_eq!(counter.count(), hits);
    }
}

#[test]
fn an_address_that_leads_nowhere_is_named() {
    let model = Model::new(1, 3, 0);
    load(&model, 1);
    let (link, _) = attach(&model, MIX, ProbeKind::Entry, MODES[0]).unwrap();
    model.probes.disarm_all().unwrap();
    // Tables of a guest that is started anew: nothing is in them yet.
    let stage1 = axebpf_guestprobe::Stage1 {
        ttbr0: 0x3_f000,
        tcr: 16 << 16 | 16,
        sctlr: 1,
        ..Default::default()
    };
    let at = axebpf_platform::GuestVirt::new(MIX);
    let expected = GuestProbeError::Walk(WalkFault {
        at,
        problem: WalkProblem::Invalid { level: 0 },
    });
    assert_eq!(model.probes.arm_all(&stage1), Err(expected));
    let probe =
        axebpf_guestprobe::GuestProbe::new(crate::machine::VM, at, ProbeKind::Entry, MODES[0]);
    let result = model.probes.attach(
        &stage1,
        &probe.unwrap(),
        std::sync::Arc::<Counter>::default(),
    );
    assert_eq!(result, Err(expected));
    assert_eq!(model.probes.links(), [link]);
    assert!(model.is_clean());
    model.probes.detach(link).unwrap();
}
