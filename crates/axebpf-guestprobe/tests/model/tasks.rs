//! Returns of calls that nest, and of tasks that are interrupted, move to another vCPU, or end.

use axebpf_guestprobe::{GuestLinkId, ProbeKind, ProbeMode, SystemRegister};

use crate::asm::*;
use crate::hidden::{HALT, OTHER, place};
use crate::machine::Model;
use crate::program::{Counter, attach};

/// A function that stops in its middle, where its task may lose the vCPU.
const STOPS: u64 = 0x6000;
/// A function that calls itself as often as x4 says.
const NESTS: u64 = 0x7000;

fn load(model: &Model) {
    place(model, STOPS, &[PUSH_FRAME, HALT, POP_FRAME, RET]);
    let nests = [
        PUSH_FRAME,
        sub_imm(4, 4, 1),
        cbnz(4, NESTS + 8, NESTS + 16),
        // b .+8
        0x1400_0002,
        bl(NESTS + 16, NESTS),
        POP_FRAME,
        RET,
    ];
    place(model, NESTS, &nests);
    place(model, OTHER, &[bl(OTHER, STOPS), NOP, HALT]);
    place(model, OTHER + 0x100, &[bl(OTHER + 0x100, NESTS), NOP, HALT]);
}

/// What a vCPU has of a task.
struct Task {
    regs: axebpf_guestprobe::PtRegs,
    id: u64,
}

/// Makes a vCPU begin a task at `pc` and runs it until it stops.
fn begin(model: &Model, vcpu: usize, id: u64, pc: u64) -> Task {
    {
        let mut vcpu = model.vcpu(vcpu);
        vcpu.start(pc);
        vcpu.regs.sp = 0x2_0000 + 0x800 * id;
        vcpu.system.insert(SystemRegister::SpEl0, task_of(id));
    }
    model.run();
    let regs = model.vcpu(vcpu).regs;
    Task { regs, id }
}

/// Makes a vCPU go on with a task and runs it until it stops.
fn go_on(model: &Model, vcpu: usize, task: &Task) {
    {
        let mut vcpu = model.vcpu(vcpu);
        vcpu.regs = task.regs;
        vcpu.system.insert(SystemRegister::SpEl0, task_of(task.id));
        vcpu.halted = false;
    }
    model.run();
}

fn task_of(id: u64) -> u64 {
    0xffff_0000_0010_0000 + 0x1000 * id
}

/// Attaches to the returns of `function`, and has the place armed to which `start` has it return.
fn armed(
    model: &Model,
    function: u64,
    first: impl Fn(&Model),
) -> (GuestLinkId, std::sync::Arc<Counter>, u64) {
    let (link, counter) = attach(model, function, ProbeKind::Return, ProbeMode::HiddenBrk).unwrap();
    first(model);
    assert!(model.probes.run_deferred().unwrap() > 0);
    let missed = model.probes.counts(link).unwrap().missed;
    assert_eq!(counter.count(), 0);
    (link, counter, missed)
}

/// Runs a task of [`STOPS`] from its beginning to its end.
fn whole(model: &Model) {
    let task = begin(model, 0, 1, OTHER);
    go_on(model, 0, &task);
}

#[test]
fn a_task_returns_on_another_vcpu() {
    let model = Model::new(2, 3, 0);
    load(&model);
    let (link, counter, missed) = armed(&model, STOPS, whole);
    let task = begin(&model, 0, 2, OTHER);
    assert_eq!(counter.count(), 0);
    go_on(&model, 1, &task);
    assert_eq!(counter.count(), 1);
    let counts = model.probes.detach(link).unwrap();
    assert_eq!((counts.hits, counts.missed), (1, missed));
}

#[test]
fn tasks_that_take_turns_on_a_vcpu_return_each_for_itself() {
    let model = Model::new(1, 4, 0);
    load(&model);
    let (link, counter, missed) = armed(&model, STOPS, whole);
    let tasks: Vec<Task> = (2..6).map(|id| begin(&model, 0, id, OTHER)).collect();
    // In the order in which they began, which is not that in which calls nest.
    for (returned, task) in tasks.iter().enumerate() {
        assert_eq!(counter.count(), returned as u64);
        go_on(&model, 0, task);
    }
    let counts = model.probes.detach(link).unwrap();
    assert_eq!((counts.hits, counts.missed), (4, missed));
}

#[test]
fn each_call_of_a_function_by_itself_returns() {
    const DEPTH: u64 = 9;
    let nest = |model: &Model| {
        {
            let mut vcpu = model.vcpu(0);
            vcpu.start(OTHER + 0x100);
            vcpu.regs.regs[4] = DEPTH;
        }
        model.run();
    };
    let model = Model::new(1, 5, 0);
    load(&model);
    // Both the place in the function and that in its caller.
    let (link, counter, missed) = armed(&model, NESTS, nest);
    assert_eq!(missed, DEPTH);
    nest(&model);
    assert_eq!(counter.count(), DEPTH);
    let counts = model.probes.detach(link).unwrap();
    assert_eq!((counts.hits, counts.missed), (DEPTH, missed));
}

#[test]
fn what_has_not_returned_when_nobody_looks_any_more_is_missed() {
    let model = Model::new(1, 7, 0);
    load(&model);
    let (link, counter, missed) = armed(&model, STOPS, whole);
    begin(&model, 0, 2, OTHER);
    begin(&model, 0, 3, OTHER);
    assert_eq!(counter.count(), 0);
    let counts = model.probes.detach(link).unwrap();
    assert_eq!((counts.hits, counts.missed), (0, missed + 2));
}

#[test]
fn a_task_that_has_ended_is_missed_when_its_stack_is_used_again() {
    let model = Model::new(1, 6, 0);
    load(&model);
    let (link, counter, missed) = armed(&model, STOPS, whole);
    // It ends within the function, and the next one gets its stack and its number.
    begin(&model, 0, 2, OTHER);
    let next = begin(&model, 0, 2, OTHER);
    go_on(&model, 0, &next);
    assert_eq!(counter.count(), 1);
    let counts = model.probes.detach(link).unwrap();
    assert_eq!((counts.hits, counts.missed), (1, missed + 1));
}
