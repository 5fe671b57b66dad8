//! Management on one thread while vCPUs run on another: what happens in between what the others let vCPUs do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use axebpf_guestprobe::{ProbeKind, ProbeMode};
use axebpf_platform::mock::set_mock_cpu_id;

use crate::asm::*;
use crate::machine::{Machine, Model};
use crate::program::*;

/// Where the program is that writes text.
const WRITER: u64 = 0x5000;
/// Where it leaves its result.
const TARGET: u64 = 0x8800;

/// Runs the vCPUs on a thread of their own for as long as `work` takes.
fn beside(model: &Model, work: impl FnOnce()) {
    let is_over = Arc::new(AtomicBool::new(false));
    let (machine, ends): (Arc<Machine>, _) = (model.machine.clone(), is_over.clone());
    let vcpus = std::thread::spawn(move || {
        set_mock_cpu_id(15);
        while !ends.load(Ordering::Relaxed) {
            machine.step_some_vcpu();
        }
    });
    // Also if the work panics, because the thread has the machine.
    struct Stop(Arc<AtomicBool>);
    impl Drop for Stop {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let stop = Stop(is_over);
    work();
    drop(stop);
    vcpus.join().unwrap();
}

#[test]
fn probes_come_and_go_in_a_page_that_is_written() {
    for mode in MODES {
        let model = Model::new(2, 1, 0);
        model.machine.run_beside();
        load(&model, 2);
        // Calls a function of the page, and writes to it what nobody executes; for ever.
        let words = [
            str_w(3, 1, 0x200),
            bl(WRITER + 4, LEAF),
            ldr(4, 1, 0x200),
            str(4, 2, 0),
            bl(WRITER + 16, WRITER),
        ];
        for (index, word) in (0..).zip(words) {
            model.machine.store(WRITER + 4 * index, &word.to_le_bytes());
        }
        {
            let mut vcpu = model.vcpu(1);
            (vcpu.regs.regs[1], vcpu.regs.regs[2]) = (MIX, TARGET);
            vcpu.regs.regs[3] = 0x1234_5678;
            vcpu.start(WRITER);
        }
        model.vcpu(0).regs.regs[19] = u64::MAX;
        let (stays, _) = attach(&model, LEAF + 4, ProbeKind::Entry, mode).unwrap();
        let rounds = if mode == ProbeMode::HiddenBrk {
            600
        } else {
            150
        };
        beside(&model, || {
            for round in 0..rounds {
                let at = [MIX, LEAF, MIX + 8, GUARDED][round % 4];
                let (link, _) = attach(&model, at, ProbeKind::Entry, mode).unwrap();
                let counts = model.probes.detach(link).unwrap();
                assert!(counts.retired <= counts.hits);
                if round % 16 == 0 {
                    // The last one in the page, and the first one.
                    model.probes.disarm_all().unwrap();
                    assert!(model.is_clean());
                    let stage1 = axebpf_guestprobe::Stage1::default();
                    assert_eq!(model.probes.arm_all(&stage1), Ok(1));
                }
            }
        });
        for id in 0..2 {
            assert_eq!(model.vcpu(id).delivered, [], "{mode}");
        }
        assert_eq!(model.read_word(TARGET) as u32, 0x1234_5678);
        let statistics = model.probes.statistics();
        assert_eq!(statistics.errors, 0);
        if mode == ProbeMode::HiddenBrk {
            assert!(statistics.closed > 10);
        }
        model.probes.detach(stays).unwrap();
        assert!(model.is_clean());
    }
}
