//! What could go wrong at somebody else's cost: pages that the guest uses for more, and links that come late.

use axebpf_guestprobe::{GuestProbeError, LinkState, ProbeKind, ProbeMode, Stage1};
use axebpf_platform::GuestVirt;

use crate::asm::*;
use crate::machine::Model;
use crate::program::*;
use crate::vcpu::VECTORS;

/// Where a second program is.
const OTHER: u64 = 0x5000;
/// The immediate of traps of the probes.
const OURS: u32 = 0xd420_0000 | 0xebbf << 5;
const HALT: u32 = 0xd400_0002;
/// The processor state of a program.
const PROGRAM: u64 = 0;

fn place(model: &Model, at: u64, words: &[u32]) {
    for (index, word) in (0..).zip(words) {
        model.machine.store(at + 4 * index, &word.to_le_bytes());
    }
}

/// Makes vCPU `id` run from `at` with `registers` until all have halted.
fn run_at(model: &Model, id: usize, at: u64, registers: &[(usize, u64)]) {
    {
        let mut vcpu = model.vcpu(id);
        for (register, value) in registers {
            vcpu.regs.regs[*register] = *value;
        }
        vcpu.start(at);
    }
    model.run();
}

#[test]
fn a_program_passes_a_trap_in_a_page_that_it_shares_with_the_kernel() {
    for mode in [ProbeMode::HiddenBrk, ProbeMode::Brk] {
        let model = Model::new(1, 3, 0);
        place(
            &model,
            OTHER,
            &[add_imm(20, 20, 7), add_imm(20, 20, 9), HALT],
        );
        let (link, counter) = attach(&model, OTHER + 4, ProbeKind::Entry, mode).unwrap();
        {
            let mut vcpu = model.vcpu(0);
            vcpu.start(OTHER);
            vcpu.regs.pstate = PROGRAM;
        }
        model.run();
        assert!(model.vcpu(0).delivered.is_empty());
        assert_eq!(model.vcpu(0).regs.regs[20], 16, "{mode}");
        assert_eq!(counter.count(), 0);
        assert_eq!(model.probes.detach(link).unwrap(), Default::default());
    }
}

#[test]
fn a_program_gets_a_trap_of_ours_that_is_its_own() {
    let model = Model::new(1, 3, 0);
    place(&model, OTHER, &[OURS, HALT]);
    place(&model, VECTORS + 0x400, &[HALT]);
    load(&model, 1);
    let _link = attach(&model, MIX, ProbeKind::Entry, ProbeMode::HiddenBrk).unwrap();
    {
        let mut vcpu = model.vcpu(0);
        vcpu.start(OTHER);
        vcpu.regs.pstate = PROGRAM;
    }
    model.run();
    assert_eq!(
        model.vcpu(0).delivered.last().map(|trap| trap.1),
        Some(OTHER)
    );
}

#[test]
fn a_trap_that_the_guest_puts_where_a_probe_was_is_its_own() {
    let model = Model::new(1, 3, 0);
    place(&model, OTHER, &[add_imm(20, 20, 7), HALT]);
    place(&model, VECTORS + 0x200, &[HALT]);
    let (link, counter) = attach(&model, OTHER, ProbeKind::Entry, ProbeMode::HiddenBrk).unwrap();
    let writer = OTHER + 0x1000;
    place(&model, writer, &[str_w(3, 1, 0), HALT]);
    run_at(&model, 0, writer, &[(1, OTHER), (3, OURS.into())]);
    run_at(&model, 0, OTHER, &[]);
    assert_eq!(
        model.vcpu(0).delivered.last().map(|trap| trap.1),
        Some(OTHER)
    );
    assert_eq!(counter.count(), 0);
    let state = model.probes.link_state(link).unwrap();
    assert!(matches!(
        state,
        LinkState::Suspended {
            word: OURS,
            why: Some(_)
        }
    ));
}

#[test]
fn a_link_that_comes_during_a_step_has_not_been_hit() {
    for mode in MODES {
        let model = Model::new(1, 3, 0);
        load(&model, 1);
        // Stepped, not simulated.
        let at = GUARDED;
        let (first, _) = attach(&model, at, ProbeKind::Entry, mode)
            .unwrap_or_else(|_| attach(&model, MIX + 8, ProbeKind::Entry, mode).unwrap());
        while !model.vcpu(0).is_stepping {
            model.run_for(1);
        }
        let at = model.vcpu(0).regs.pc;
        let (late, counter) = attach(&model, at, ProbeKind::Entry, mode).unwrap();
        model.run_for(1);
        let counts = model.probes.counts(late).unwrap();
        assert_eq!((counts.hits, counts.retired), (0, 0), "{mode}");
        assert_eq!(model.probes.counts(first).unwrap().retired, 1);
        // The first one goes and comes again in the middle of a step, too.
        while !model.vcpu(0).is_stepping {
            model.run_for(1);
        }
        model.probes.detach(first).unwrap();
        let hits = model.probes.detach(late).unwrap().hits;
        assert_eq!(counter.count(), hits);
        let (last, _) = attach(&model, at, ProbeKind::Entry, mode).unwrap();
        model.run();
        assert_eq!(results(&model, 1), expected(1));
        let counts = model.probes.detach(last).unwrap();
        assert_eq!(counts.hits, counts.retired);
    }
}

#[test]
fn a_step_goes_on_after_a_pause_whatever_happens_meanwhile() {
    for mode in MODES {
        for detaches in [false, true] {
            let model = Model::new(2, 3, 0);
            load(&model, 2);
            let (link, _) = attach(&model, MIX + 8, ProbeKind::Entry, mode).unwrap();
            // In the last mode the place is reached from within its page, and nothing is to be seen.
            let mut patience = 2000;
            while !model.vcpu(0).is_stepping && patience > 0 {
                patience -= 1;
                model.run_for(1);
            }
            // Out of the guest for as long as it takes to do all this.
            let (other, _) = attach(&model, LEAF, ProbeKind::Entry, mode).unwrap();
            if detaches {
                model.probes.detach(link).unwrap();
                model.probes.detach(other).unwrap();
                assert!(model.is_clean());
            }
            model.run();
            assert_eq!(results(&model, 2), expected(2), "{mode}");
            assert!(!model.vcpu(0).is_stepping && !model.vcpu(0).holds);
        }
    }
}

#[test]
fn one_instruction_has_one_virtual_address() {
    let model = Model::new(1, 3, 0);
    load(&model, 1);
    // Level 0 to 3, and two entries of the last level that lead to the same page.
    let tables = 0x3_0000_u64;
    for level in 0..3 {
        let next = (tables + 0x1000 * (level + 1)) | 3;
        model
            .machine
            .store(tables + 0x1000 * level, &next.to_le_bytes());
    }
    for page in [2, 9] {
        let entry = 0x2000 | 1_u64 << 10 | 3;
        model
            .machine
            .store(tables + 0x3000 + 8 * page, &entry.to_le_bytes());
    }
    let stage1 = Stage1 {
        ttbr0: tables,
        tcr: 5 << 32 | 2 << 30 | 16 << 16 | 16,
        sctlr: 1,
        ..Stage1::default()
    };
    let attach = |at: u64| {
        let (vm, at) = (crate::machine::VM, GuestVirt::new(at));
        let probe = axebpf_guestprobe::GuestProbe::new(vm, at, ProbeKind::Entry, MODES[0]);
        let handler = std::sync::Arc::<Counter>::default();
        model.probes.attach(&stage1, &probe.unwrap(), handler)
    };
    let link = attach(MIX).unwrap();
    let (at, known) = (GuestVirt::new(0x9000), GuestVirt::new(MIX));
    assert_eq!(attach(0x9000), Err(GuestProbeError::Alias { at, known }));
    assert_eq!(attach(0x9004).map(drop), Ok(()));
    assert_eq!(model.probes.links().len(), 2);
    model.probes.detach(link).unwrap();
    assert!(attach(0x9000).is_ok());
}

#[test]
fn a_guest_that_debugs_itself_sees_what_was_written_since() {
    for mode in [ProbeMode::Brk, ProbeMode::Hvc, ProbeMode::HiddenBrk] {
        let model = Model::new(2, 3, 2);
        place(
            &model,
            OTHER,
            &[add_imm(20, 20, 1), add_imm(20, 20, 2), HALT],
        );
        let (link, counter) = attach(&model, OTHER, ProbeKind::Entry, mode).unwrap();
        let writer = OTHER + 0x1000;
        place(&model, writer, &[str_w(3, 1, 4), HALT]);
        {
            // One exit of its own is what it takes to notice.
            place(&model, writer + 0x100, &[HALT]);
            model.vcpu(1).debugs = true;
            run_at(&model, 1, writer + 0x100, &[]);
        }
        // HVC needs none of what the guest has taken.
        let is_seen = mode == ProbeMode::Hvc;
        let debugging = LinkState::Partly {
            debugging: 1,
            windows: None,
        };
        let state = if is_seen { LinkState::Armed } else { debugging };
        assert_eq!(model.probes.link_state(link), Ok(state));
        for (id, value) in [(0, 32), (1, 64), (0, 128)] {
            // Also from the view in which the one that debugs itself runs.
            let word = add_imm(20, 20, value);
            run_at(&model, id, writer, &[(1, OTHER), (3, word.into())]);
            run_at(&model, 1, OTHER, &[(20, 0)]);
            assert_eq!(model.vcpu(1).regs.regs[20], u64::from(value) + 1, "{mode}");
            run_at(&model, 0, OTHER, &[(20, 0)]);
            assert_eq!(model.vcpu(0).regs.regs[20], u64::from(value) + 1, "{mode}");
        }
        assert_eq!(counter.count(), if is_seen { 6 } else { 3 }, "{mode}");
        model.vcpu(1).debugs = false;
        run_at(&model, 1, writer + 0x100, &[]);
        assert_eq!(model.probes.link_state(link), Ok(LinkState::Armed));
        model.probes.detach(link).unwrap();
        assert!(model.is_clean());
        assert_eq!(model.probes.statistics().errors, 0);
    }
}

#[test]
fn a_vcpu_that_is_reset_while_it_debugs_itself_is_not_counted_any_more() {
    let model = Model::new(1, 3, 0);
    load(&model, 1);
    let (link, _) = attach(&model, MIX, ProbeKind::Entry, ProbeMode::Brk).unwrap();
    model.vcpu(0).debugs = true;
    model.run();
    assert_ne!(model.probes.link_state(link), Ok(LinkState::Armed));
    model.probes.reset_vcpu(axebpf_platform::VcpuId::new(0));
    assert_eq!(model.probes.link_state(link), Ok(LinkState::Armed));
}

#[test]
fn what_is_stored_from_a_window_is_seen() {
    for mode in [ProbeMode::HiddenBrk, ProbeMode::Brk, ProbeMode::Hvc] {
        let model = Model::new(1, 3, 0);
        let writer = OTHER + 0x1000;
        // Reads the instruction, and writes it and the next one.
        place(
            &model,
            writer,
            &[NOP, ldr(4, 1, 0), str_w(3, 1, 0), str_w(3, 1, 4), HALT],
        );
        place(
            &model,
            OTHER,
            &[add_imm(20, 20, 1), add_imm(20, 20, 2), HALT],
        );
        let (window, _) = attach(&model, writer, ProbeKind::Entry, ProbeMode::Stage2Fault).unwrap();
        let (link, _) = attach(&model, OTHER + 4, ProbeKind::Entry, mode).unwrap();
        let word = add_imm(20, 20, 16);
        run_at(&model, 0, writer, &[(1, OTHER), (3, word.into())]);
        run_at(&model, 0, OTHER, &[(20, 0)]);
        assert_eq!(model.vcpu(0).regs.regs[20], 32, "{mode}");
        let state = model.probes.link_state(window).unwrap();
        assert!(matches!(
            state,
            LinkState::Partly {
                debugging: 0,
                windows: Some(1..)
            }
        ));
        assert!(model.probes.statistics().windows >= 1);
        for link in [window, link] {
            model.probes.detach(link).unwrap();
        }
        assert!(model.is_clean());
    }
}

#[test]
fn a_guest_that_returns_everywhere_takes_bounded_memory() {
    const LIMIT: usize = 4096;
    const TEXT: u64 = 0x1_8000;
    let model = Model::new(1, 3, 0);
    load(&model, 1);
    place(&model, TEXT, &[NOP; LIMIT + 64]);
    let (link, _) = attach(&model, MIX, ProbeKind::Return, ProbeMode::HiddenBrk).unwrap();
    let missed = || model.probes.counts(link).unwrap().missed;
    let (mut armed, mut refused) = (0, 0);
    for call in 0..LIMIT as u64 + 64 {
        {
            let mut vcpu = model.vcpu(0);
            vcpu.regs.regs[30] = TEXT + 4 * call;
            vcpu.start(MIX);
        }
        let before = missed();
        while missed() == before {
            model.run_for(1);
        }
        match model.probes.run_deferred() {
            Ok(sites) => armed += sites,
            Err(error) => {
                assert_eq!(error, GuestProbeError::TooManySites { limit: LIMIT });
                refused += 1;
            }
        }
    }
    assert_eq!((armed, refused), (LIMIT, 64));
    // What was refused is not tried again.
    {
        let mut vcpu = model.vcpu(0);
        vcpu.regs.regs[30] = TEXT + 4 * LIMIT as u64;
        vcpu.start(MIX);
    }
    model.run_for(8);
    assert_eq!(model.probes.run_deferred(), Ok(0));
    model.probes.detach(link).unwrap();
    assert!(model.is_clean());
}

#[test]
fn sequences_of_exclusives_do_not_cross_the_border_of_a_page_that_faults() {
    // ldxr x8, [x0]; add x8, x8, #1; stxr w9, x8, [x0]; ret
    let sequence = [0xc85f_7c08_u32, 0x9100_0508, 0xc809_7c08, RET];
    for border in [LEAF & !0xfff, (LEAF & !0xfff) + 0x1000] {
        for before in 0..5_u64 {
            let model = Model::new(1, 3, 0);
            load(&model, 1);
            place(&model, border - 4 * before, &sequence);
            let result = attach(&model, LEAF, ProbeKind::Entry, ProbeMode::Stage2Fault).map(drop);
            if (1..3).contains(&before) {
                assert!(matches!(result, Err(GuestProbeError::InExclusive { .. })));
                assert!(model.is_clean());
            } else {
                assert_eq!(result, Ok(()));
            }
        }
    }
}

#[test]
fn returns_are_seen_though_all_pages_have_faults() {
    let model = Model::new(2, 77, 0);
    load(&model, 2);
    let mode = ProbeMode::Stage2Fault;
    let (link, counter) = attach(&model, MIX, ProbeKind::Return, mode).unwrap();
    model.run_for(60);
    model.probes.run_deferred().unwrap();
    let missed = model.probes.counts(link).unwrap().missed;
    model.run();
    let counts = model.probes.counts(link).unwrap();
    assert_eq!(counts.hits + missed, 2 * u64::from(ROUNDS));
    assert!(missed < 20 && counter.count() == counts.hits);
    assert_eq!(results(&model, 2), expected(2));
}

#[test]
fn probes_that_need_no_debug_registers_are_seen_while_the_guest_has_them() {
    for mode in [ProbeMode::Hvc, ProbeMode::Stage2Fault] {
        let model = Model::new(2, 3, 2);
        load(&model, 2);
        let (simulated, _) = attach(&model, MIX, ProbeKind::Entry, mode).unwrap();
        let early = executed(&model, 2, MIX) - model.probes.counts(simulated).unwrap().retired;
        (0..2).for_each(|id| model.vcpu(id).debugs = true);
        model.run_for(400);
        model.vcpu(0).debugs = false;
        model.run();
        assert_eq!(results(&model, 2), expected(2), "{mode}");
        let counts = model.probes.counts(simulated).unwrap();
        let times = 2 * u64::from(ROUNDS);
        let seen = (counts.hits + early, counts.retired + early);
        assert_eq!(seen, (times, times), "{mode}");
        // A vCPU is left alone with what cannot be simulated, and runs without probes until it leaves the guest.
        let (stepped, _) = attach(&model, GUARDED, ProbeKind::Entry, mode).unwrap();
        model.vcpu(1).debugs = true;
        start(&model, 2);
        model.run();
        assert_eq!(results(&model, 2), expected(2), "{mode}");
        let counts = model.probes.counts(stepped).unwrap();
        let is_right = counts.hits > ROUNDS.into() && counts.retired < counts.hits;
        assert!(is_right, "{mode} {counts:?}");
        assert!(model.probes.statistics().suspended > 0);
        let before = model.probes.counts(simulated).unwrap().hits;
        // Where there is a trap of the other kind, nothing is seen on the vCPU that debugs itself.
        let (brk, _) = attach(&model, MAIN + 8, ProbeKind::Entry, ProbeMode::HiddenBrk).unwrap();
        start(&model, 2);
        model.run();
        let hits = model.probes.counts(simulated).unwrap().hits - before;
        assert!((1..=u64::from(ROUNDS) + 1).contains(&hits));
        let state = model.probes.link_state(simulated).unwrap();
        assert!(matches!(state, LinkState::Partly { debugging: 1, .. }));
        for link in [simulated, stepped, brk] {
            model.probes.detach(link).unwrap();
        }
        assert!(model.is_clean());
    }
}
