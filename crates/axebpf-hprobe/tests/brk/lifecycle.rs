//! Attaching, firing and detaching, on one CPU and on several.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Barrier, mpsc};
use std::thread;
use std::time::Duration;

use axebpf_hprobe::{
    Entered, Execution, HprobeError, HprobeHandler, HprobeHit, HprobeLink, LinkOptions, ProbePoint,
    SigningKey, attach, list,
};
use axebpf_platform::{HostVirt, Interrupts};

use crate::caches::BASE;
use crate::cpu::{ENTRY, FUNCTION, Outcome, Running, call, sign};
use crate::machine::{MACHINE, claim};

#[derive(Default)]
pub(crate) struct Count {
    pub(crate) hits: AtomicU64,
    pub(crate) entered: AtomicU64,
    pub(crate) data: AtomicU64,
}

impl HprobeHandler for Count {
    fn hit(&self, hit: &HprobeHit<'_>) {
        self.hits.fetch_add(1, Ordering::Relaxed);
        if let Some(Entered { data, .. }) = hit.entered {
            self.data.store(data, Ordering::Relaxed);
        }
    }

    fn entry(&self, hit: &HprobeHit<'_>) -> Option<u64> {
        self.entered.fetch_add(1, Ordering::Relaxed);
        Some(hit.regs.regs[0])
    }
}

pub(crate) fn entry(offset: u64) -> ProbePoint {
    ProbePoint::entry(HostVirt::new(ENTRY), offset).unwrap()
}

pub(crate) fn probe(points: &[ProbePoint]) -> Result<HprobeLink, HprobeError> {
    attach(points, Arc::new(Count::default()), LinkOptions::default())
}

fn text() -> Vec<u32> {
    MACHINE.with_caches(|caches| (0..FUNCTION.len()).map(|word| caches.load(word)).collect())
}

#[test]
fn each_instruction_is_executed_once_with_its_effect() {
    let _claim = claim(&FUNCTION);
    for offset in (0..4 * FUNCTION.len() as u64).step_by(4) {
        let link = probe(&[entry(offset)]).unwrap();
        for _ in 0..3 {
            assert_eq!(call(), Outcome::Returned, "offset {offset}");
        }
        assert_eq!((link.hits(), link.missed()), (3, 0), "offset {offset}");
        link.detach().unwrap();
        assert_eq!(call(), Outcome::Returned);
        assert_eq!(link.hits(), 3);
        assert_eq!(text(), FUNCTION);
    }
    assert_eq!(list().unwrap(), []);
}

#[test]
fn many_points_of_one_link_and_many_links_at_one_point() {
    let _claim = claim(&FUNCTION);
    let all: Vec<_> = (0..FUNCTION.len() as u64)
        .map(|index| entry(4 * index))
        .collect();
    let first = probe(&all).unwrap();
    let second = probe(&all[..2]).unwrap();
    assert_eq!(call(), Outcome::Returned);
    assert_eq!((first.hits(), second.hits()), (9, 2));
    let infos = list().unwrap();
    assert_eq!(infos.len(), FUNCTION.len());
    assert_eq!(infos[0].links.len(), 2);
    assert_eq!(infos[3].execution, Execution::OutOfLine);
    first.detach().unwrap();
    assert_eq!(call(), Outcome::Returned);
    assert_eq!((first.hits(), second.hits()), (9, 4));
    drop(second);
    assert_eq!(text(), FUNCTION);
}

#[test]
fn returns_are_seen_and_detaching_leaves_calls_in_flight_alone() {
    let _claim = claim(&FUNCTION);
    let counts: [Arc<Count>; 2] = Default::default();
    let point = ProbePoint::returning(HostVirt::new(ENTRY)).unwrap();
    let links = [0, 1].map(|index| {
        let handler = counts[index].clone();
        attach(&[point, entry(0)], handler, LinkOptions::default()).unwrap()
    });
    assert_eq!(call(), Outcome::Returned);
    for (count, link) in counts.iter().zip(&links) {
        assert_eq!((link.hits(), link.missed()), (2, 0));
        assert_eq!(count.entered.load(Ordering::Relaxed), 1);
        assert_eq!(count.data.load(Ordering::Relaxed), 41);
    }
    let mut in_flight = Running::enter(41);
    assert_eq!(in_flight.step(), None);
    for link in &links {
        link.detach().unwrap();
    }
    assert_eq!(in_flight.finish(), Outcome::Returned);
    assert_eq!(links[0].hits(), 3, "the entry, but not the return");
}

#[test]
fn more_calls_than_maxactive_are_missed() {
    let _claim = claim(&FUNCTION);
    let point = ProbePoint::returning(HostVirt::new(ENTRY)).unwrap();
    let options = LinkOptions::default().with_maxactive(0);
    let link = attach(&[point], Arc::new(Count::default()), options).unwrap();
    assert_eq!(call(), Outcome::Returned);
    assert_eq!((link.hits(), link.missed()), (0, 1));
}

#[test]
fn a_hit_in_a_hit_is_missed_and_stepped_over() {
    struct Calls;

    impl HprobeHandler for Calls {
        fn hit(&self, _hit: &HprobeHit<'_>) {
            // The code that was interrupted is at its entry still, with nothing on its stack.
            assert_eq!(call(), Outcome::Returned);
        }
    }

    let _claim = claim(&FUNCTION);
    let all: Vec<_> = (0..FUNCTION.len() as u64)
        .map(|index| entry(4 * index))
        .collect();
    let others = probe(&all[1..]).unwrap();
    let link = attach(&all[..1], Arc::new(Calls), LinkOptions::default()).unwrap();
    let mut running = Running::enter(41);
    assert_eq!(running.step(), None);
    assert_eq!((link.hits(), link.missed()), (1, 1));
    assert_eq!((others.hits(), others.missed()), (0, 8));
    while running.step().is_none() {}
    assert_eq!((others.hits(), others.missed()), (8, 8));
}

#[test]
fn what_cannot_be_probed_is_refused_and_nothing_changes() {
    let _claim = claim(&FUNCTION);
    let closed = ProbePoint::entry(HostVirt::new(BASE), 0xf00).unwrap();
    let refused = probe(&[entry(0), entry(12), closed]);
    assert!(
        matches!(refused, Err(HprobeError::Protected { .. })),
        "{refused:?}"
    );
    // The text behind the function is all zeroes, which is UDF.
    let refused = probe(&[entry(0), entry(4 * FUNCTION.len() as u64)]);
    assert!(
        matches!(refused, Err(HprobeError::Refused { .. })),
        "{refused:?}"
    );
    assert!(matches!(probe(&[]), Err(HprobeError::NoPoints)));
    // The slots cannot be written, or one of the traps.
    for writes in 0..4 {
        MACHINE.writes_left.store(writes, Ordering::Relaxed);
        let failed = probe(&[entry(0), entry(8), entry(4)]);
        MACHINE.writes_left.store(usize::MAX, Ordering::Relaxed);
        if let Err(error) = failed {
            assert!(matches!(error, HprobeError::Fence(_)), "{error:?}");
        }
        assert_eq!(call(), Outcome::Returned);
    }
    assert_eq!(text(), FUNCTION);
    assert_eq!(list().unwrap(), []);
}

#[test]
fn a_link_whose_text_cannot_be_put_back_stays() {
    let _claim = claim(&FUNCTION);
    let link = probe(&[entry(8)]).unwrap();
    MACHINE.writes_left.store(0, Ordering::Relaxed);
    assert!(matches!(link.detach(), Err(HprobeError::Fence(_))));
    MACHINE.writes_left.store(usize::MAX, Ordering::Relaxed);
    assert_eq!(call(), Outcome::Returned);
    assert_eq!(link.hits(), 1);
    link.detach().unwrap();
    assert_eq!(text(), FUNCTION);
}

#[test]
fn a_trap_from_before_the_end_of_a_probe_is_retried() {
    let _claim = claim(&FUNCTION);
    let link = probe(&[entry(0)]).unwrap();
    let mut regs = Running::enter(1).regs;
    link.detach().unwrap();
    let before = regs;
    let esr = 0x3c << 26 | u64::from(axebpf_hprobe::BrkImmediate::Probe as u16);
    let handled = axebpf_hprobe::handle_break(&mut regs, esr);
    assert_eq!((handled, regs), (axebpf_hprobe::Break::Handled, before));
}

#[test]
fn calls_on_other_cpus_hit_once_each_while_links_come_and_go() {
    let _claim = claim(&FUNCTION);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !done.load(Ordering::Acquire) {
                    assert_eq!(call(), Outcome::Returned);
                }
            });
        }
        for round in 0..100 {
            let link = probe(&[entry(0), entry(4 * (round % 9)), entry(12)]).unwrap();
            assert_eq!(call(), Outcome::Returned);
            link.detach().unwrap();
        }
        done.store(true, Ordering::Release);
    });
    assert_eq!(text(), FUNCTION);
}

#[test]
fn detaching_waits_for_a_cpu_in_a_slot() {
    let _claim = claim(&FUNCTION);
    let link = probe(&[entry(8)]).unwrap();
    let (in_slot, detached) = (Barrier::new(2), AtomicBool::new(false));
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        let (in_slot, detached) = (&in_slot, &detached);
        scope.spawn(move || {
            let mut running = Running::enter(41);
            for _ in 0..3 {
                assert_eq!(running.step(), None);
            }
            assert!(running.regs.pc > BASE + 4096, "{:#x}", running.regs.pc);
            in_slot.wait();
            // Long enough for the other thread to get stuck, or not.
            thread::sleep(Duration::from_millis(100));
            tell.send(detached.load(Ordering::Acquire)).unwrap();
            assert_eq!(running.finish(), Outcome::Returned);
        });
        in_slot.wait();
        link.detach().unwrap();
        detached.store(true, Ordering::Release);
    });
    assert!(!told.recv().unwrap(), "a slot was taken away under a CPU");
}

#[test]
fn a_fault_in_a_slot_is_one_of_the_displaced_instruction() {
    let _claim = claim(&FUNCTION);
    let _link = probe(&[entry(8)]).unwrap();
    let mut running = Running::enter(41);
    for _ in 0..3 {
        assert_eq!(running.step(), None);
    }
    let mut regs = running.regs;
    assert_ne!(regs.pstate & 0x1c0, 0, "masked in the slot");
    axebpf_hprobe::handle_fault(&mut regs);
    assert_eq!((regs.pc, regs.pstate), (ENTRY + 8, 0));
    // The slot is left: a second fault is another one's.
    let again = regs;
    axebpf_hprobe::handle_fault(&mut regs);
    assert_eq!(regs, again);
    let interrupts = MACHINE.mask();
    MACHINE.restore(interrupts);
}

#[test]
fn an_exception_on_the_way_out_of_a_slot_finds_the_instruction_executed() {
    let _claim = claim(&FUNCTION);
    let _link = probe(&[entry(12)]).unwrap();
    // With interrupts open, and with interrupts masked, where the way on is another.
    for pstate in [0, 0xc0] {
        let mut running = Running::enter(41);
        running.regs.pstate = pstate;
        for _ in 0..5 {
            assert_eq!(running.step(), None);
        }
        let mut regs = running.regs;
        assert!(regs.pc > BASE + 4096, "{:#x}", regs.pc);
        axebpf_hprobe::handle_fault(&mut regs);
        assert_eq!((regs.pc, regs.pstate), (ENTRY + 16, pstate));
    }
}

#[test]
fn return_addresses_are_signed_without_a_slot() {
    const RET: u32 = 0xd65f_03c0;
    // `PACIASP` and `PACIBSP`.
    for (word, key) in [(0xd503_233f, SigningKey::A), (0xd503_237f, SigningKey::B)] {
        let _claim = claim(&[word, RET]);
        let link = probe(&[entry(0)]).unwrap();
        let mut running = Running::enter(0);
        let before = running.regs;
        assert_eq!(running.step(), None);
        let signed = sign(key, before.regs[30], before.sp);
        assert_eq!(
            (running.regs.pc, running.regs.regs[30]),
            (ENTRY + 4, signed)
        );
        assert_eq!(link.hits(), 1);
    }
}
