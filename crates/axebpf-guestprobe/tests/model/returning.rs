//! Probes on returns.

use axebpf_guestprobe::{Entered, ProbeKind, ProbeMode};
use axebpf_platform::mock::set_mock_time;
use std::sync::atomic::Ordering;

use crate::machine::Model;
use crate::program::*;

#[test]
fn returns_are_seen_once_their_site_is_armed() {
    for mode in [ProbeMode::HiddenBrk, ProbeMode::Brk, ProbeMode::Hvc] {
        let model = Model::new(2, 77, 3);
        load(&model, 2);
        let (link, counter) = attach(&model, MIX, ProbeKind::Return, mode).unwrap();
        let before = executed(&model, 2, MIX);
        model.run_for(200);
        assert_eq!(counter.count(), 0);
        let missed = model.probes.counts(link).unwrap().missed;
        assert!(missed > 0);
        assert!(model.probes.has_deferred());
        assert_eq!(model.probes.run_deferred(), Ok(1));
        let missed = model.probes.counts(link).unwrap().missed;
        model.run();
        let counts = model.probes.counts(link).unwrap();
        let calls = executed(&model, 2, MIX) - before;
        assert_eq!(counts.missed, missed);
        assert_eq!(counts.hits + counts.missed, calls, "{mode}");
        assert_eq!(counter.count(), counts.hits);
        assert_eq!(counter.at.load(Ordering::Relaxed), MAIN + 8);
        assert_eq!(results(&model, 2), expected(2));
        model.probes.detach(link).unwrap();
        assert!(model.is_clean());
    }
}

#[test]
fn each_function_has_its_own_returns_even_from_one_place() {
    // `leaf` is called from two places, and `mix` calls it before it returns itself.
    let model = Model::new(2, 5, 2);
    load(&model, 2);
    let (leaf, seen_leaf) = attach(&model, LEAF, ProbeKind::Return, ProbeMode::HiddenBrk).unwrap();
    let (mix, seen_mix) = attach(&model, MIX, ProbeKind::Return, ProbeMode::HiddenBrk).unwrap();
    let before = [LEAF, MIX].map(|at| executed(&model, 2, at));
    let missed_before = [leaf, mix].map(|link| model.probes.counts(link).unwrap().missed);
    while model.probes.counts(leaf).unwrap().missed < 4 {
        model.run_for(20);
        model.probes.run_deferred().unwrap();
    }
    model.run_for(200);
    model.probes.run_deferred().unwrap();
    model.run();
    let counts = [leaf, mix].map(|link| model.probes.counts(link).unwrap());
    assert_eq!(
        counts[0].hits + counts[0].missed - missed_before[0],
        executed(&model, 2, LEAF) - before[0]
    );
    assert_eq!(
        counts[1].hits + counts[1].missed - missed_before[1],
        executed(&model, 2, MIX) - before[1]
    );
    assert_eq!(seen_leaf.count(), counts[0].hits);
    assert_eq!(seen_mix.count(), counts[1].hits);
    assert!(counts[0].hits > counts[1].hits);
    assert_eq!(results(&model, 2), expected(2));
    model.probes.detach(leaf).unwrap();
    model.probes.detach(mix).unwrap();
    assert!(model.is_clean());
}

#[test]
fn entries_and_returns_share_places() {
    let model = Model::new(1, 5, 2);
    load(&model, 1);
    let (entry, _) = attach(&model, MAIN + 8, ProbeKind::Entry, ProbeMode::HiddenBrk).unwrap();
    let (ret, _) = attach(&model, MIX, ProbeKind::Return, ProbeMode::HiddenBrk).unwrap();
    let early = executed(&model, 1, MAIN + 8) - model.probes.counts(entry).unwrap().retired;
    model.run_for(30);
    model.probes.run_deferred().unwrap();
    model.run();
    let hits = model.probes.counts(entry).unwrap().hits;
    assert_eq!(hits + early, ROUNDS.into());
    assert!(model.probes.counts(ret).unwrap().hits > 40);
    model.probes.detach(ret).unwrap();
    // The entry is still armed.
    load(&model, 1);
    model.run();
    let counts = model.probes.detach(entry).unwrap();
    assert_eq!(counts.hits - hits, ROUNDS.into());
    assert!(model.is_clean());
}

#[test]
fn calls_that_never_return_make_room() {
    let model = Model::new(1, 5, 0);
    load(&model, 1);
    let (link, counter) = attach(&model, MIX, ProbeKind::Return, ProbeMode::HiddenBrk).unwrap();
    model.run_for(40);
    assert_eq!(model.probes.run_deferred(), Ok(1));
    let missed = || model.probes.counts(link).unwrap().missed;
    let before = missed();
    // Tasks enter and are never seen again.
    const TASKS: u64 = 1000;
    for task in 0..TASKS {
        set_mock_time(task);
        load(&model, 1);
        let sp_el0 = axebpf_guestprobe::SystemRegister::SpEl0;
        model
            .vcpu(0)
            .system
            .insert(sp_el0, 0x90_0000 + 0x1000 * task);
        while model.vcpu(0).regs.pc != MIX + 4 {
            model.run_for(1);
        }
    }
    // There is room for four times 128, some of which is not used.
    let displaced = missed() - before;
    assert!(
        (TASKS - 512..TASKS - 256).contains(&displaced),
        "{displaced}"
    );
    load(&model, 1);
    let hits = counter.count();
    model.run();
    // The task that has called last calls anew, and so has not returned.
    assert_eq!(missed() - before, displaced + 1);
    assert_eq!(counter.count() - hits, ROUNDS.into());
    set_mock_time(0);
}

#[test]
fn a_return_knows_of_its_call() {
    let model = Model::new(1, 5, 0);
    load(&model, 1);
    let (entry, at_entry) = attach(&model, MIX, ProbeKind::Entry, ProbeMode::HiddenBrk).unwrap();
    let (link, counter) = attach(&model, MIX, ProbeKind::Return, ProbeMode::HiddenBrk).unwrap();
    model.run_for(40);
    assert_eq!(model.probes.run_deferred(), Ok(1));
    assert_eq!(*counter.entered.lock().unwrap(), None);
    for round in 1..4_u64 {
        load(&model, 1);
        for (register, value) in (0..8).zip(100 * round..) {
            model.vcpu(0).regs.regs[register] = value;
        }
        let hits = counter.count();
        set_mock_time(1_000 * round);
        while model.vcpu(0).regs.pc != MIX + 4 {
            model.run_for(1);
        }
        // What the function does with its arguments, and how long it takes, changes nothing.
        model.vcpu(0).regs.regs[..8].fill(0);
        set_mock_time(1_000 * round + 77);
        while counter.count() == hits {
            model.run_for(1);
        }
        let expected = Entered {
            time_ns: 1_000 * round,
            arguments: std::array::from_fn(|index| 100 * round + index as u64),
        };
        assert_eq!(*counter.entered.lock().unwrap(), Some(expected));
    }
    assert_eq!(*at_entry.entered.lock().unwrap(), None);
    set_mock_time(0);
    model.probes.detach(link).unwrap();
    model.probes.detach(entry).unwrap();
}
