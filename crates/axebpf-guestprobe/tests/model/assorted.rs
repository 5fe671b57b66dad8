//! What the guest does on its own: interrupts, its own traps, debugging; and what the hypervisor does not offer.

use std::sync::{Arc, Mutex};

use axebpf_guestprobe::{
    Capabilities, GuestProbe, GuestProbeError, GuestProbeHandler, GuestProbeHit, ModeUnavailable,
    ProbeKind, ProbeMode, StackStart, Stage1, SystemRegister,
};
use axebpf_platform::GuestVirt;
use proptest::prelude::*;

use crate::asm::*;
use crate::machine::Model;
use crate::program::*;

#[test]
fn interrupts_during_steps_change_nothing() {
    for capabilities in [
        Capabilities::all(),
        Capabilities::all() - Capabilities::HOLD_INTERRUPTS,
    ] {
        let model = Model::with(2, 21, 2, capabilities);
        load(&model, 2);
        // One that is stepped.
        let at = MIX + 8;
        let (link, _) = attach(&model, at, ProbeKind::Entry, ProbeMode::HiddenBrk).unwrap();
        let early = executed(&model, 2, at) - model.probes.counts(link).unwrap().retired;
        for _ in 0..60 {
            model.run_for(15);
            (0..2).for_each(|id| model.vcpu(id).interrupts += 1);
        }
        model.run();
        assert_eq!(results(&model, 2), expected(2));
        let counts = model.probes.counts(link).unwrap();
        let times = executed(&model, 2, at) - early;
        assert_eq!(counts.retired, times);
        if capabilities == Capabilities::all() {
            assert_eq!(counts.hits, times);
        } else {
            // A step that an interrupt ends is begun once more.
            assert!(counts.hits > times);
        }
    }
}

#[test]
fn the_guest_keeps_its_own_traps() {
    let model = Model::new(1, 2, 0);
    load(&model, 1);
    let (_link, counter) = attach(&model, MIX, ProbeKind::Entry, ProbeMode::HiddenBrk).unwrap();
    // Ours by its immediate, but not where we have put one.
    let forged = 0xd420_0000 | 0xebbf << 5;
    for word in [GUEST_BRK, forged] {
        model.machine.store(LEAF + 0x1000, &word.to_le_bytes());
        let mut vcpu = model.vcpu(0);
        vcpu.delivered.clear();
        vcpu.start(LEAF + 0x1000);
        drop(vcpu);
        // The vector returns to the trap, so this goes on until somebody stops it.
        model.run_for(2);
        let vcpu = model.vcpu(0);
        let esr = 0x3c << 26 | 1 << 25 | u64::from(word >> 5 & 0xffff);
        assert_eq!(vcpu.delivered.first(), Some(&(esr, LEAF + 0x1000)));
    }
    assert_eq!(counter.count(), 0);
}

#[test]
fn a_guest_that_debugs_itself_is_left_alone() {
    let model = Model::new(2, 2, 0);
    load(&model, 2);
    let (link, _) = attach(&model, LEAF, ProbeKind::Entry, ProbeMode::HiddenBrk).unwrap();
    model.vcpu(1).debugs = true;
    model.run();
    assert_eq!(results(&model, 2), expected(2));
    let counts = model.probes.counts(link).unwrap();
    // One exit of its own is what it takes to notice.
    assert!(counts.hits >= executed(&model, 1, LEAF));
    assert!(counts.hits <= executed(&model, 1, LEAF) + 1);
    assert_eq!(model.probes.statistics().suspended, 1);
}

#[test]
fn what_is_missing_is_named() {
    let all = Capabilities::all();
    let missing = |mode, without| ModeUnavailable {
        mode,
        missing: without,
    };
    for (mode, without) in [
        (ProbeMode::HiddenBrk, Capabilities::SHADOW_PAGES),
        (ProbeMode::HiddenBrk, Capabilities::ORIGINAL_VIEW),
        (ProbeMode::HiddenBrk, Capabilities::KICK),
        (ProbeMode::Brk, Capabilities::TRAP_BRK),
        (ProbeMode::Brk, Capabilities::GUEST_TEXT),
        (ProbeMode::Hvc, Capabilities::STAGE2),
        (ProbeMode::Stage2Fault, Capabilities::WINDOW_VIEW),
    ] {
        let model = Model::with(1, 2, 0, all - without);
        load(&model, 1);
        let error = attach(&model, MIX, ProbeKind::Entry, mode)
            .map(drop)
            .unwrap_err();
        assert_eq!(error, GuestProbeError::Mode(missing(mode, without)));
        assert!(model.is_clean());
    }
    let model = Model::with(1, 2, 0, all - Capabilities::KICK);
    let error = attach(&model, MIX, ProbeKind::Entry, ProbeMode::Hvc)
        .map(drop)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "hvc probes need what this hypervisor does not offer: kicking vCPUs out"
    );
    assert_eq!(all.best_mode(), Ok(ProbeMode::HiddenBrk));
    let none = Capabilities::FENCE | Capabilities::GUEST_TEXT;
    assert_eq!(none.best_mode(), Ok(ProbeMode::Hvc));
    assert_eq!(
        (none | Capabilities::TRAP_BRK).best_mode(),
        Ok(ProbeMode::Brk)
    );
    assert!(Capabilities::empty().best_mode().is_err());
}

#[test]
fn without_steps_only_what_is_simulated_is_probed() {
    let few = Capabilities::FENCE
        | Capabilities::GUEST_TEXT
        | Capabilities::TRAP_BRK
        | Capabilities::WRITE_GUEST;
    for mode in [ProbeMode::Brk, ProbeMode::Hvc] {
        let model = Model::with(2, 2, 3, few);
        load(&model, 2);
        let refused = attach(&model, GUARDED, ProbeKind::Entry, mode).map(drop);
        assert!(matches!(refused, Err(GuestProbeError::NeedsStep { .. })));
        let (link, _) = attach(&model, MIX, ProbeKind::Entry, mode).unwrap();
        let early = executed(&model, 2, MIX) - model.probes.counts(link).unwrap().retired;
        model.run();
        assert_eq!(results(&model, 2), expected(2));
        let retired = model.probes.counts(link).unwrap().retired;
        assert_eq!(retired + early, executed(&model, 2, MIX));
        model.probes.detach(link).unwrap();
        assert!(model.is_clean());
    }
}

#[test]
fn a_page_has_probes_of_one_mode() {
    let model = Model::new(1, 2, 0);
    load(&model, 1);
    let (link, _) = attach(&model, MIX, ProbeKind::Entry, ProbeMode::Brk).unwrap();
    let error = attach(&model, LEAF, ProbeKind::Entry, ProbeMode::HiddenBrk).map(drop);
    assert!(matches!(
        error,
        Err(GuestProbeError::PageMode {
            mode: ProbeMode::Brk,
            ..
        })
    ));
    model.probes.detach(link).unwrap();
    assert!(attach(&model, LEAF, ProbeKind::Entry, ProbeMode::HiddenBrk).is_ok());
}

#[test]
fn failed_attaches_leave_nothing_behind() {
    for mode in MODES {
        let model = Model::new(1, 2, 0);
        load(&model, 1);
        for at in [MIX + 2, 0x10_0000] {
            assert!(attach(&model, at, ProbeKind::Entry, mode).is_err());
        }
        model.machine.store(LEAF, &ERET.to_le_bytes());
        assert!(matches!(
            attach(&model, LEAF, ProbeKind::Entry, mode).map(drop),
            Err(GuestProbeError::Refused { .. })
        ));
        assert!(model.is_clean());
        assert!(model.probes.links().is_empty());
    }
}

#[test]
fn sequences_of_exclusives_are_not_interrupted() {
    // 1: ldxr x8, [x0]; add x8, x8, #1; stxr w9, x8, [x0]; cbnz w9, 1b; ret
    let sequence = [0xc85f_7c08_u32, 0x9100_0508, 0xc809_7c08, 0x35ff_ffa9, RET];
    for mode in MODES {
        let model = Model::new(1, 2, 0);
        load(&model, 1);
        for (index, word) in (0..).zip(sequence) {
            model.machine.store(LEAF + 4 * index, &word.to_le_bytes());
        }
        let inside = attach(&model, LEAF + 4, ProbeKind::Entry, mode).map(drop);
        assert!(
            matches!(inside, Err(GuestProbeError::InExclusive { .. })),
            "{mode}"
        );
        assert!(attach(&model, LEAF, ProbeKind::Entry, mode).is_err());
        assert!(attach(&model, LEAF + 12, ProbeKind::Entry, mode).is_ok());
    }
}

/// Looks at the guest.
#[derive(Default)]
struct Curious {
    stack: Mutex<Vec<u64>>,
    task: Mutex<u64>,
    read: Mutex<[u8; 4]>,
    start: Option<StackStart>,
}

impl GuestProbeHandler for Curious {
    fn hit(&self, hit: &GuestProbeHit<'_>) {
        let mut trace = [0; 8];
        let start = self.start.unwrap_or(StackStart::InFrame);
        let found = hit.guest.stack(hit.regs, start, &mut trace);
        *self.stack.lock().unwrap() = trace[..found].to_vec();
        *self.task.lock().unwrap() = hit.guest.task().get();
        let mut bytes = [1; 4];
        assert!(hit.guest.read(GuestVirt::new(1 << 40), &mut bytes).is_err());
        assert_eq!(bytes, [0; 4]);
        assert!(hit.guest.read_u32(GuestVirt::new(1 << 40)).is_err());
        let at = GuestVirt::new(MAIN + 4);
        hit.guest.read(at, &mut bytes).unwrap();
        let number = hit.guest.read_u32(at).unwrap();
        assert_eq!(number, u32::from_le_bytes(bytes));
        *self.read.lock().unwrap() = bytes;
    }
}

#[test]
fn handlers_see_memory_task_and_stack() {
    let model = Model::new(1, 2, 0);
    load(&model, 1);
    // Two frames, the inner one with a signed return address, and one that leads to itself.
    let signed = 0x2a_0000_0000_1111;
    for (at, words) in [(0x9000_u64, [0x9020, signed]), (0x9020, [0x9020, 0x2222])] {
        for (offset, word) in [(0, words[0]), (8, words[1])] {
            model.machine.store(at + offset, &u64::to_le_bytes(word));
        }
    }
    for (at, start, stack) in [
        (
            MIX,
            StackStart::FunctionEntry,
            vec![MIX, MAIN + 8, 0x1111, 0x2222],
        ),
        (MIX + 4, StackStart::InFrame, vec![MIX + 4, 0x1111, 0x2222]),
    ] {
        let handler = Arc::new(Curious {
            start: Some(start),
            ..Curious::default()
        });
        let vm = crate::machine::VM;
        let probe = GuestProbe::new(
            vm,
            GuestVirt::new(at),
            ProbeKind::Entry,
            ProbeMode::HiddenBrk,
        );
        let stage1 = Stage1::default();
        let link = model
            .probes
            .attach(&stage1, &probe.unwrap(), handler.clone());
        load(&model, 1);
        model.vcpu(0).regs.regs[29] = 0x9000;
        // Frames of a kernel are in the upper half where there is one.
        model.vcpu(0).system.remove(&SystemRegister::SctlrEl1);
        model.run();
        assert_eq!(*handler.stack.lock().unwrap(), stack);
        assert_eq!(*handler.task.lock().unwrap(), 0xffff_0000);
        assert_eq!(
            u32::from_le_bytes(*handler.read.lock().unwrap()),
            bl(MAIN + 4, MIX)
        );
        model.probes.detach(link.unwrap()).unwrap();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn a_guest_that_switches_debugging_on_and_off(
        seed: u64, unrest in 0_u64..6, pauses in prop::collection::vec(1_usize..200, 1..12),
    ) {
        let model = Model::new(2, seed, unrest);
        load(&model, 2);
        let links: Vec<_> = [MIX, MIX + 8, GUARDED]
            .iter()
            .map(|&at| attach(&model, at, ProbeKind::Entry, ProbeMode::HiddenBrk).unwrap().0)
            .collect();
        for (index, pause) in pauses.into_iter().enumerate() {
            model.run_for(pause);
            model.vcpu(index % 2).debugs ^= true;
            model.vcpu(index % 2).interrupts += 1;
        }
        model.run();
        prop_assert_eq!(results(&model, 2), expected(2));
        for link in links {
            let counts = model.probes.detach(link).unwrap();
            prop_assert!(counts.retired <= counts.hits);
        }
        prop_assert!(model.is_clean());
    }
}
