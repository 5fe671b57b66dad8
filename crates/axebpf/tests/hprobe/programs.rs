//! What programs see, and what they leave.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use axebpf::maps::Map;
use axebpf::{Axebpf, LinkId, LinkOptions, LoadOptions, ProgramId, Target, programs};

use crate::machine::{CALLER, MACHINE, Machine, call, claim, function};

thread_local! {
    /// The calls of the allocator by this thread.
    static CALLS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counted.
struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

// SAFETY: All calls go to the system's allocator as they are.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // The counter is gone while the thread ends.
        let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
        // SAFETY: The caller keeps what this asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        let _ = CALLS.try_with(|calls| calls.set(calls.get() + 1));
        // SAFETY: The caller keeps what this asks for.
        unsafe { System.dealloc(at, layout) }
    }
}

/// Loads a shipped object with one program.
pub(crate) fn load(root: &Axebpf<Machine>, name: &str) -> ProgramId {
    let elf = programs::find(name).unwrap().elf;
    let object = root.load(name, elf, &LoadOptions::default()).unwrap();
    root.object(object).unwrap().programs[0]
}

pub(crate) fn attach(
    root: &Axebpf<Machine>,
    program: ProgramId,
    target: &str,
    options: &LinkOptions<'_>,
) -> Result<LinkId, axebpf::Error> {
    let target: Target = target.parse().unwrap();
    root.attach_to(program, &target, options)
}

fn map(root: &Axebpf<Machine>, name: &str) -> Arc<Map> {
    let mut maps = root.maps().unwrap().into_iter().map(|info| info.map);
    maps.find(|map| map.name() == name).unwrap()
}

fn count_of(map: &Map, function: u64) -> Option<u64> {
    let value = map.read(&function.to_ne_bytes()).unwrap()?;
    Some(u64::from_ne_bytes(value.try_into().unwrap()))
}

#[test]
fn calls_are_counted_until_the_link_is_gone() {
    let (root, _claim) = claim();
    let program = load(&root, "func_count");
    let before = MACHINE.word(function(0)).load(Ordering::Relaxed);
    let link = attach(
        &root,
        program,
        "hprobe:demo::start",
        &LinkOptions::default(),
    )
    .unwrap();
    assert_ne!(MACHINE.word(function(0)).load(Ordering::Relaxed), before);
    for _ in 0..3 {
        call(function(0), 0, 0);
    }
    call(function(1), 0, 0);
    let info = root.link(link).unwrap();
    assert_eq!((info.counts.hits, info.counts.missed), (3, 0));
    assert_eq!((info.places, info.left_out), (1, 0));
    assert_eq!(root.detach(link).unwrap().hits, 3);
    assert_eq!(MACHINE.word(function(0)).load(Ordering::Relaxed), before);
    call(function(0), 0, 0);
    let calls = map(&root, "calls");
    assert_eq!(count_of(&calls, function(0)), Some(3));
    assert_eq!(count_of(&calls, function(1)), None);
}

#[test]
fn a_glob_means_all_functions_that_can_be_probed() {
    let (root, _claim) = claim();
    let program = load(&root, "func_count");
    let link = attach(&root, program, "hprobe:demo::*", &LinkOptions::default()).unwrap();
    let info = root.link(link).unwrap();
    // Not those that begin with an exclusive load, or are closed.
    assert_eq!((info.places, info.left_out), (4, 2));
    for index in [0, 0, 1, 4, 5] {
        call(function(index), 0, 0);
    }
    let calls = map(&root, "calls");
    let counts: Vec<_> = (0..6).map(|i| count_of(&calls, function(i))).collect();
    assert_eq!(counts, [Some(2), Some(1), None, None, Some(1), Some(1)]);
    root.detach(link).unwrap();
}

#[test]
fn unloading_by_force_takes_probes_out() {
    let (root, _claim) = claim();
    let program = load(&root, "func_count");
    let before = MACHINE.word(function(1)).load(Ordering::Relaxed);
    attach(&root, program, "hprobe:demo::stop", &LinkOptions::default()).unwrap();
    drop(root);
    assert_eq!(MACHINE.word(function(1)).load(Ordering::Relaxed), before);
}

#[test]
fn filters_look_at_registers() {
    let (root, _claim) = claim();
    let program = load(&root, "func_count");
    let runs = |target: &str, filter: &str| {
        let options = LinkOptions::default().with_filter(filter);
        let link = attach(&root, program, target, &options).unwrap();
        for arg in 0..10 {
            call(function(0), arg, 100 * arg);
        }
        root.detach(link).unwrap().hits
    };
    let (entry, ret) = ("hprobe:demo::start", "hretprobe:demo::start");
    assert_eq!(runs(entry, "arg0 == 7"), 1);
    assert_eq!(runs(entry, "x0 >= 4 && cpu == 3"), 6);
    assert_eq!(runs(entry, "cpu != 3"), 0);
    assert_eq!(runs(entry, &format!("pc == {:#x}", function(0))), 10);
    assert_eq!(runs(entry, &format!("x30 != {CALLER:#x}")), 0);
    assert_eq!(runs(entry, "vm_id == 0xffffffff && sp == 0x50000000"), 10);
    assert_eq!(runs(ret, "ret < 3"), 3);
    assert_eq!(runs(ret, "duration_ns > 500"), 4);
    assert_eq!(runs(ret, &format!("pc == {CALLER:#x}")), 10);
}

#[test]
fn returns_know_how_long_the_call_took() {
    let (root, _claim) = claim();
    let program = load(&root, "func_latency");
    let link = attach(
        &root,
        program,
        "hretprobe:demo::start",
        &LinkOptions::default(),
    )
    .unwrap();
    for ns in [1000, 1023, 1024, 5000] {
        assert_eq!(call(function(0), 9, ns).regs[0], 9);
    }
    let times = map(&root, "CALL_TIMES");
    let slot = |index: u32| -> u64 {
        let values = times.read(&index.to_ne_bytes()).unwrap().unwrap();
        let (values, _) = values.as_chunks();
        values.iter().map(|value| u64::from_ne_bytes(*value)).sum()
    };
    assert_eq!((slot(9), slot(10), slot(12)), (2, 1, 1));
    assert_eq!(root.detach(link).unwrap().hits, 4);
}

#[test]
fn the_chain_at_an_entry_has_the_caller() {
    let (root, _claim) = claim();
    let program = load(&root, "stack_count");
    // With a return probe there as well, the caller is still the caller.
    let latency = load(&root, "func_latency");
    attach(
        &root,
        latency,
        "hretprobe:demo::stop",
        &LinkOptions::default(),
    )
    .unwrap();
    attach(&root, program, "hprobe:demo::stop", &LinkOptions::default()).unwrap();
    call(function(1), 0, 0);
    let stacks = map(&root, "stacks");
    let key = stacks.keys().next().unwrap().unwrap();
    let chain = stacks.read(&key).unwrap().unwrap();
    let (chain, _) = chain.as_chunks();
    let chain: Vec<u64> = chain.iter().map(|a| u64::from_ne_bytes(*a)).collect();
    assert_eq!(chain[..3], [function(1), CALLER, 0]);
}

#[test]
fn a_hit_allocates_nothing() {
    let (root, _claim) = claim();
    let count = load(&root, "func_count");
    let latency = load(&root, "func_latency");
    let stacks = load(&root, "stack_count");
    let filter = LinkOptions::default().with_filter("arg0 != 5 || vm_id == 1");
    let link = attach(&root, count, "hprobe:demo::*", &filter).unwrap();
    attach(&root, stacks, "hprobe:demo::*", &LinkOptions::default()).unwrap();
    attach(&root, latency, "hretprobe:demo::*", &LinkOptions::default()).unwrap();
    let before = CALLS.get();
    for arg in 0..1000 {
        call(function(arg % 2), arg, 10);
    }
    assert_eq!(CALLS.get() - before, 0);
    assert_eq!(root.link(link).unwrap().counts.hits, 999);
}
