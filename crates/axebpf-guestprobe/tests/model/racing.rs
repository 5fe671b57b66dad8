//! Management on one thread while vCPUs run on another: what happens in between what the others let vCPUs do.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
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

/// The system's allocator, but for the thread that wants others to run whenever it allocates: management does so
/// between one change and the next.
struct Yielding;

thread_local! {
    static YIELDS: Cell<bool> = const { Cell::new(false) };
}

#[global_allocator]
static ALLOCATOR: Yielding = Yielding;

#[allow(unsafe_code, reason = "an allocator is one")]
// SAFETY: all calls are handed on as they are.
unsafe impl GlobalAlloc for Yielding {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if YIELDS.try_with(Cell::get) == Ok(true) {
            std::thread::yield_now();
        }
        // SAFETY: the caller keeps the contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract, which is the same, and what it frees comes from there.
        unsafe { System.dealloc(at, layout) }
    }
}

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
    YIELDS.set(true);
    work();
    YIELDS.set(false);
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
        let is_hidden = mode == ProbeMode::HiddenBrk;
        let rounds = if is_hidden { 100 } else { 20 };
        // Until vCPUs have got on, too, which is for the system to decide.
        let goes_on = |round: usize| {
            let closed = model.probes.statistics().closed;
            let has_written = model.read_word(TARGET) != 0 && (!is_hidden || closed > 50);
            round < rounds || !has_written && round < 1_000_000
        };
        beside(&model, || {
            for round in (0..).take_while(|round| goes_on(*round)) {
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
            // A trap that was taken away is not the guest's.
            assert!(model.vcpu(id).delivered.is_empty(), "{mode}");
        }
        assert_eq!(model.read_word(TARGET) as u32, 0x1234_5678);
        assert_eq!(model.probes.statistics().errors, 0);
        model.probes.detach(stays).unwrap();
        assert!(model.is_clean());
    }
}
