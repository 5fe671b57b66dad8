//! Attaching, hitting and detaching in every mode, with vCPUs in flight.

use axebpf_guestprobe::{LinkState, ProbeKind, ProbeMode};
use proptest::prelude::*;

use crate::machine::Model;
use crate::program::*;

const VCPUS: usize = 3;

/// Instructions of all kinds: simulated with and without memory, and stepped.
const PLACES: [u64; 6] = [MIX, MIX + 4, MIX + 8, LEAF, GUARDED, GUARDED + 8];

#[test]
fn the_model_computes_what_is_expected_without_probes() {
    let model = Model::new(VCPUS as u32, 1, 0);
    load(&model, VCPUS);
    model.run();
    assert_eq!(results(&model, VCPUS), expected(VCPUS));
    assert_eq!(model.probes.statistics(), Default::default());
}

#[test]
fn each_execution_is_hit_and_retired_once_in_each_mode() {
    for mode in MODES {
        for at in PLACES {
            let model = Model::new(VCPUS as u32, at ^ 5, 4);
            load(&model, VCPUS);
            let (link, counter) = attach(&model, at, ProbeKind::Entry, mode).unwrap();
            let before = executed(&model, VCPUS, at);
            // The guest has run since the trap was there.
            let early = model.probes.counts(link).unwrap().retired;
            model.run();
            assert_eq!(results(&model, VCPUS), expected(VCPUS), "{mode} {at:#x}");
            let times = executed(&model, VCPUS, at) - before + early;
            let counts = model.probes.counts(link).unwrap();
            if mode == ProbeMode::Stage2Fault && at != MIX && at != LEAF && at != GUARDED {
                // Reached from within its own page, which this mode cannot see.
                assert!(counts.hits <= times);
            } else if mode == ProbeMode::Stage2Fault && at == LEAF {
                // `mix` calls it too, from the same page.
                assert!(counts.hits >= times / 2);
            } else {
                assert_eq!(
                    (counts.hits, counts.retired),
                    (times, times),
                    "{mode} {at:#x}"
                );
                assert_eq!(counter.at.load(std::sync::atomic::Ordering::Relaxed), at);
            }
            assert_eq!(counter.count(), counts.hits);
            assert_eq!(counts.missed, 0);
            model.probes.detach(link).unwrap();
            assert!(model.is_clean());
        }
    }
}

#[test]
fn a_link_says_that_it_is_armed() {
    for mode in MODES {
        let model = Model::new(1, 3, 0);
        load(&model, 1);
        let (link, _) = attach(&model, MIX, ProbeKind::Entry, mode).unwrap();
        let state = match mode {
            ProbeMode::Stage2Fault => LinkState::Partly {
                debugging: 0,
                windows: Some(0),
            },
            _ => LinkState::Armed,
        };
        assert_eq!(model.probes.link_state(link), Ok(state));
        assert_eq!(model.probes.links(), [link]);
    }
}

#[test]
fn a_trap_that_is_taken_away_before_it_is_handled_is_tried_again() {
    for mode in MODES {
        let model = Model::new(1, 3, 0);
        load(&model, 1);
        let (link, counter) = attach(&model, MIX, ProbeKind::Entry, mode).unwrap();
        while !model.vcpu(0).has_trapped() {
            model.run_for(1);
        }
        let hits = counter.count();
        model.probes.detach(link).unwrap();
        model.run();
        assert_eq!(results(&model, 1), expected(1));
        assert_eq!(counter.count(), hits, "{mode}");
        let statistics = model.probes.statistics();
        // In that mode, it may have been on its way to something else.
        if mode != ProbeMode::Stage2Fault {
            assert_eq!(statistics.stale, 1, "{mode}");
        }
        assert!(model.vcpu(0).delivered.is_empty());
    }
}

#[test]
fn links_outlive_a_restart_of_the_guest() {
    for mode in MODES {
        let model = Model::new(2, 3, 0);
        load(&model, 2);
        let (link, counter) = attach(&model, MIX, ProbeKind::Entry, mode).unwrap();
        model.run_for(100);
        model.probes.disarm_all().unwrap();
        assert!(model.is_clean());
        assert!(matches!(
            model.probes.link_state(link),
            Ok(LinkState::Suspended { .. })
        ));
        (0..2).for_each(|id| {
            let mut vcpu = model.vcpu(id);
            *vcpu = crate::vcpu::ModelVcpu::new(id as u32);
            model
                .probes
                .reset_vcpu(axebpf_platform::VcpuId::new(id as u32));
        });
        load(&model, 2);
        let stage1 = axebpf_guestprobe::Stage1::default();
        assert_eq!(model.probes.arm_all(&stage1), Ok(1));
        assert_eq!(model.probes.arm_all(&stage1), Ok(0));
        let hits = counter.count();
        model.run();
        assert_eq!(results(&model, 2), expected(2));
        assert_eq!(counter.count() - hits, 2 * u64::from(ROUNDS), "{mode}");
        model.probes.detach(link).unwrap();
        assert!(model.is_clean());
    }
}

#[test]
fn pages_of_all_modes_lie_side_by_side() {
    // Each function returns to, or calls, one in a page of another mode.
    for (mode, other) in MODES
        .iter()
        .flat_map(|mode| MODES.map(|other| (*mode, other)))
    {
        let model = Model::new(2, 13, 3);
        load(&model, 2);
        let (callee, _) = attach(&model, MIX, ProbeKind::Entry, mode).unwrap();
        let (caller, _) = attach(&model, MAIN + 4, ProbeKind::Entry, other).unwrap();
        let before = executed(&model, 2, MAIN + 4);
        model.run();
        assert_eq!(results(&model, 2), expected(2), "{mode} {other}");
        let times = executed(&model, 2, MAIN + 4) - before;
        assert!(times > 100);
        if other != ProbeMode::Stage2Fault {
            assert_eq!(model.probes.counts(caller).unwrap().hits, times);
        }
        model.probes.detach(callee).unwrap();
        model.probes.detach(caller).unwrap();
        assert!(model.is_clean());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn probes_come_and_go_while_the_guest_runs(
        seed: u64,
        unrest in 0_u64..12,
        mode in prop::sample::select(MODES.to_vec()),
        work in prop::collection::vec((0_usize..6, 1_usize..400), 1..16),
    ) {
        let model = Model::new(VCPUS as u32, seed, unrest);
        load(&model, VCPUS);
        let mut links: Vec<Option<_>> = vec![None; PLACES.len()];
        for (index, pause) in work {
            model.run_for(pause);
            match links[index].take() {
                Some(link) => {
                    let counts = model.probes.detach(link).unwrap();
                    prop_assert!(counts.retired <= counts.hits);
                    prop_assert!(model.probes.counts(link).is_err());
                }
                None => {
                    let at = PLACES[index];
                    links[index] = Some(attach(&model, at, ProbeKind::Entry, mode).unwrap().0);
                }
            }
        }
        model.run();
        prop_assert_eq!(results(&model, VCPUS), expected(VCPUS));
        for id in 0..VCPUS {
            // A trap that was taken away in the meantime is not the guest's.
            prop_assert!(model.vcpu(id).delivered.is_empty());
        }
        for link in links.into_iter().flatten() {
            let counts = model.probes.detach(link).unwrap();
            // All vCPUs have halted, so nothing is on its way.
            prop_assert_eq!(counts.hits, counts.retired);
        }
        prop_assert!(model.is_clean());
        prop_assert_eq!(model.probes.statistics().errors, 0);
    }
}
