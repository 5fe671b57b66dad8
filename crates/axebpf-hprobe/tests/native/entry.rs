//! Probes on instructions.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axebpf_hprobe::native::{PtRegs, attach, handle_break, handle_fault, list};
use axebpf_hprobe::{Break, HprobeHandler, HprobeHit, LinkOptions, ProbePoint};

use crate::code::{self, INSTRUCTIONS, address, native_counted, native_load, native_refused};
use crate::process::{FAULT_PC, FAULTS, alone};
use crate::{Ignore, Recorder};

#[test]
fn the_entry_of_a_function_fires() {
    let _alone = alone();
    let before = code::text();
    let calls = AtomicU64::new(0);
    let function = address!(native_counted);
    let point = ProbePoint::entry(function, 0).unwrap();
    let recorder = Arc::new(Recorder::default());
    let link = attach(&[point, point], recorder.clone(), LinkOptions::default()).unwrap();
    assert_eq!(link.points().collect::<Vec<_>>(), [&point]);
    assert_ne!(code::text(), before);
    for n in 0..3 {
        assert_eq!(native_counted(&calls, n), n + 1);
    }
    let hits = recorder.take();
    assert_eq!(hits.len(), 3);
    for (n, (regs, data)) in (0..).zip(&hits) {
        assert_eq!(regs.rip, function.get());
        assert_eq!(regs.arg(0), Some(&raw const calls as u64));
        assert_eq!(regs.arg(1), Some(n));
        assert_eq!(*data, None);
    }
    assert_eq!((link.hits(), link.missed()), (3, 0));
    let info = list().unwrap();
    let info = info.iter().find(|info| info.at == function).unwrap();
    assert_eq!(*info.insn, [0x53]);
    assert_eq!((info.links[0].link, info.links[0].hits), (link.id(), 3));

    link.detach().unwrap();
    link.detach().unwrap();
    assert_eq!(code::text(), before);
    assert!(list().unwrap().iter().all(|info| info.at != function));
    assert_eq!(native_counted(&calls, 9), 10);
    assert_eq!((link.hits(), recorder.take().len()), (3, 0));
    assert_eq!(calls.load(Ordering::Relaxed), 4);
}

#[test]
fn each_instruction_is_executed_elsewhere() {
    let _alone = alone();
    let before = code::text();
    let calls = AtomicU64::new(0);
    let function = address!(native_counted);
    // The last one is a return, which is not.
    let offsets = &INSTRUCTIONS[..6];
    let points: Vec<_> = offsets
        .iter()
        .map(|&offset| code::at(function, offset).unwrap())
        .collect();
    for point in &points {
        let link = attach(&[*point], Arc::new(Ignore), LinkOptions::default()).unwrap();
        assert_eq!(native_counted(&calls, 6), 7);
        assert_eq!((link.hits(), link.missed()), (1, 0));
    }
    assert_eq!(code::text(), before);
    let recorder = Arc::new(Recorder::default());
    let link = attach(&points, recorder.clone(), LinkOptions::default()).unwrap();
    assert_eq!(native_counted(&calls, u64::MAX), 0);
    drop(link);
    let pcs: Vec<_> = recorder.take().iter().map(|(regs, _)| regs.rip).collect();
    let expected: Vec<_> = points.iter().map(|point| point.at().get()).collect();
    assert_eq!(pcs, expected);
    assert_eq!(calls.load(Ordering::Relaxed), 7);
    assert_eq!(code::text(), before);
}

#[test]
fn links_share_a_point() {
    let _alone = alone();
    let before = code::text();
    let calls = AtomicU64::new(0);
    let point = ProbePoint::entry(address!(native_counted), 0).unwrap();
    let attach = || attach(&[point], Arc::new(Ignore), LinkOptions::default()).unwrap();
    let first = attach();
    native_counted(&calls, 0);
    let second = attach();
    native_counted(&calls, 0);
    first.detach().unwrap();
    native_counted(&calls, 0);
    assert_eq!((first.hits(), second.hits()), (2, 2));
    drop(second);
    assert_eq!(code::text(), before);
}

/// Passes the point that it is called from again.
struct Nested(AtomicU64);

impl HprobeHandler<PtRegs> for Nested {
    fn hit(&self, _hit: &HprobeHit<'_, PtRegs>) {
        assert_eq!(native_counted(&self.0, 1), 2);
    }
}

#[test]
fn a_hit_in_a_hit_is_missed() {
    let _alone = alone();
    let point = |kind: fn(_) -> _| kind(address!(native_counted));
    let points = [
        point(|at| ProbePoint::entry(at, 0).unwrap()),
        point(|at| ProbePoint::returning(at).unwrap()),
    ];
    let handler = Arc::new(Nested(AtomicU64::new(0)));
    let link = attach(&points, handler.clone(), LinkOptions::default()).unwrap();
    let calls = AtomicU64::new(0);
    assert_eq!(native_counted(&calls, 1), 2);
    link.detach().unwrap();
    // The entry and the return were hit, and each hit missed both.
    assert_eq!((link.hits(), link.missed()), (2, 4));
    assert_eq!(handler.0.load(Ordering::Relaxed), 2);
    assert_eq!(calls.load(Ordering::Relaxed), 1);
}

#[test]
fn a_fault_is_one_of_the_instruction_in_its_place() {
    let _alone = alone();
    let function = address!(native_load);
    let point = ProbePoint::entry(function, 0).unwrap();
    let link = attach(&[point], Arc::new(Ignore), LinkOptions::default()).unwrap();
    // SAFETY: The handler of the fault makes it read something else.
    assert_eq!(unsafe { native_load(std::ptr::null()) }, 77);
    assert_eq!(FAULTS.load(Ordering::Relaxed), 1);
    assert_eq!(FAULT_PC.load(Ordering::Relaxed), function.get());
    // It is executed twice, and so is its probe.
    assert_eq!((link.hits(), link.missed()), (2, 0));
}

/// The interrupt flag, and a flag that means nothing here.
const IF: u64 = 1 << 9;
const OTHER: u64 = 1;

/// The registers after a breakpoint at `at`.
fn trapped(at: u64, rflags: u64) -> PtRegs {
    PtRegs {
        rip: at + 1,
        rflags,
        rbx: 7,
        ..PtRegs::default()
    }
}

/// What a hypervisor's trap handler sees, without a trap.
#[test]
fn interrupts_stay_masked_until_the_instruction_has_been_executed() {
    let _alone = alone();
    let at = address!(native_counted).get() + 1;
    let point = code::at(address!(native_counted), 1).unwrap();
    let link = attach(&[point], Arc::new(Ignore), LinkOptions::default()).unwrap();
    for flags in [OTHER | IF, OTHER] {
        let mut regs = trapped(at, flags);
        assert_eq!(handle_break(&mut regs), Break::Handled);
        assert_eq!(regs.rflags, OTHER);
        let slot = regs.rip;
        assert_eq!(regs, trapped(slot - 1, OTHER));
        // `mov rbx, rsi` has three bytes.
        let mut regs = trapped(slot + 3, regs.rflags);
        assert_eq!(handle_break(&mut regs), Break::Handled);
        assert_eq!(regs, trapped(at + 2, flags));
        // That was the end of it.
        let mut regs = trapped(slot + 3, OTHER);
        assert_eq!(handle_break(&mut regs), Break::NotOurs);

        let mut regs = trapped(at, flags);
        assert_eq!(handle_break(&mut regs), Break::Handled);
        handle_fault(&mut regs);
        assert_eq!(regs, trapped(at - 1, flags));
        handle_fault(&mut regs);
        assert_eq!(regs, trapped(at - 1, flags));
    }
    assert_eq!((link.hits(), link.missed()), (4, 0));
}

#[test]
fn breakpoints_of_others_are_passed_on_and_stale_ones_retried() {
    let _alone = alone();
    // The first instruction was a breakpoint when the trap was taken, and is not any more.
    let at = address!(native_counted).get();
    let mut regs = trapped(at, IF);
    assert_eq!(handle_break(&mut regs), Break::Handled);
    assert_eq!(regs, trapped(at - 1, IF));
    // The breakpoint among the instructions that cannot be probed, and nothing that could be read.
    for at in [address!(native_refused).get() + 20, 0x1000] {
        let mut regs = trapped(at, IF);
        assert_eq!(handle_break(&mut regs), Break::NotOurs);
        assert_eq!(regs, trapped(at, IF));
    }
}
