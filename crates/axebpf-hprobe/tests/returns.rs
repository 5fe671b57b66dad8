//! The table of returns against a model: stacks with calls on them, and tasks that come and go.

use std::thread;

use axebpf_hit::enter;
use axebpf_hprobe::{LinkId, MaxActive, ReturnInstance, ReturnTable, ReturnTableFull};
use axebpf_platform::HostVirt;
use axebpf_platform::mock::MOCK;
use proptest::collection::vec;
use proptest::prelude::*;

/// How many slots an instance may be in.
const WINDOW: usize = 16;
const STACK_BYTES: u64 = 0x4000;
const TASKS: usize = 4;
const TRAMPOLINE: u64 = 0xdead_0000;

fn stack_end(task: usize) -> u64 {
    0xffff_0000_0000 + (task as u64 + 1) * STACK_BYTES
}

#[derive(Clone, Debug)]
enum Step {
    /// A function is entered, `frame` bytes below the last one. It has probes of so many links on its return.
    Call {
        task: usize,
        frame: u64,
        probes: u64,
    },
    /// A function ends in the call of another one.
    TailCall { task: usize },
    /// The innermost function returns, through all of its probes.
    Return { task: usize },
    /// The task is killed, and its stack becomes that of another one.
    Die { task: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let task = 0..TASKS;
    prop_oneof![
        4 => (task.clone(), 1_u64..8, 1_u64..4)
            .prop_map(|(task, frame, probes)| Step::Call { task, frame: frame * 16, probes }),
        2 => task.clone().prop_map(|task| Step::TailCall { task }),
        4 => task.clone().prop_map(|task| Step::Return { task }),
        1 => task.prop_map(|task| Step::Die { task }),
    ]
}

/// What the table should do.
struct Model {
    table: ReturnTable,
    /// The calls that the table keeps, the oldest of each task first.
    tasks: [Vec<ReturnInstance>; TASKS],
    /// The stack pointer of each task.
    sps: [u64; TASKS],
    links: u64,
    full: u64,
}

impl Model {
    fn new() -> Self {
        Self {
            table: ReturnTable::new(64).unwrap(),
            tasks: Default::default(),
            sps: core::array::from_fn(stack_end),
            links: 0,
            full: 0,
        }
    }

    fn claim(&mut self, task: usize) {
        self.links += 1;
        let sp = self.sps[task];
        let is_shared = self.tasks[task].last().is_some_and(|last| last.sp == sp);
        let instance = ReturnInstance {
            sp,
            return_address: if is_shared { TRAMPOLINE } else { self.links },
            link: LinkId::new(self.links),
            entry_time_ns: self.links * 3,
            entry_data: self.links * 5,
        };
        match self.table.claim(&enter().unwrap(), instance) {
            Ok(()) => self.tasks[task].push(instance),
            Err(full) => {
                assert_eq!(full, ReturnTableFull { sp });
                let live: usize = self.tasks.iter().map(Vec::len).sum();
                assert!(live >= WINDOW, "full with {live} calls");
                self.full += 1;
            }
        }
    }

    fn do_step(&mut self, step: &Step) {
        match *step {
            Step::Call {
                task,
                frame,
                probes,
            } => {
                let lowest = stack_end(task) - STACK_BYTES;
                self.sps[task] = (self.sps[task] - frame).max(lowest + 16);
                (0..probes).for_each(|_| self.claim(task));
            }
            Step::TailCall { task } => self.claim(task),
            Step::Return { task } => self.return_from(task),
            Step::Die { task } => self.die(task),
        }
        self.check();
    }

    fn return_from(&mut self, task: usize) {
        let sp = self.sps[task];
        while self.tasks[task].last().is_some_and(|last| last.sp == sp) {
            assert_eq!(self.table.take(sp), self.tasks[task].pop());
        }
        assert_eq!(self.table.take(sp), None);
        self.sps[task] = self.tasks[task]
            .last()
            .map_or(stack_end(task), |last| last.sp);
    }

    fn die(&mut self, task: usize) {
        let end = stack_end(task);
        let stack = HostVirt::new(end - STACK_BYTES)..HostVirt::new(end);
        let mut dropped = Vec::new();
        let count = self.table.forget_stack(&stack, |call| dropped.push(call));
        assert_eq!(count, dropped.len());
        dropped.sort_by_key(|call| call.link);
        assert_eq!(dropped, self.tasks[task]);
        self.tasks[task].clear();
        self.sps[task] = end;
    }

    /// Compares all that can be seen from outside.
    fn check(&self) {
        let mut seen: Vec<_> = self.table.iter().collect();
        seen.sort_by_key(|call| call.link);
        let mut expected: Vec<_> = self.tasks.iter().flatten().copied().collect();
        expected.sort_by_key(|call| call.link);
        assert_eq!(seen, expected);
        for call in &expected {
            assert_eq!(self.table.in_flight(call.link), 1);
        }
        for calls in &self.tasks {
            self.check_unwinding(calls);
        }
    }

    /// An unwinder that goes from frame to frame finds the real return addresses.
    fn check_unwinding(&self, calls: &[ReturnInstance]) {
        let trampoline = HostVirt::new(TRAMPOLINE);
        for call in calls.iter().rev() {
            let first = calls.iter().find(|other| other.sp == call.sp).unwrap();
            let found = self.table.real_return_address(call.sp, trampoline);
            assert_eq!(found, Some(HostVirt::new(first.return_address)));
            // From a frame record right below, too.
            let found = self.table.real_return_address(call.sp - 15, trampoline);
            assert_eq!(found, Some(HostVirt::new(first.return_address)));
        }
    }
}

proptest! {
    #[test]
    fn every_call_returns_home_once(steps in vec(step(), 1..80)) {
        axebpf_hit::install(&MOCK).unwrap();
        let mut model = Model::new();
        for step in &steps {
            model.do_step(step);
        }
        for task in 0..TASKS {
            while !model.tasks[task].is_empty() {
                model.return_from(task);
            }
        }
        prop_assert_eq!(model.table.iter().count(), 0);
    }
}

fn call(sp: u64, link: u64) -> ReturnInstance {
    ReturnInstance {
        sp,
        return_address: sp ^ link,
        link: LinkId::new(link),
        entry_time_ns: sp.wrapping_add(link),
        entry_data: !sp ^ link,
    }
}

#[test]
fn a_full_window_refuses_and_takes_again_what_is_freed() {
    axebpf_hit::install(&MOCK).unwrap();
    let table = ReturnTable::new(1).unwrap();
    assert_eq!(table.capacity(), WINDOW);
    let claim = |sp, link| table.claim(&enter().unwrap(), call(sp, link));
    for n in 0..WINDOW as u64 {
        claim(0x1000, n).unwrap();
    }
    assert_eq!(claim(0x2000, 99), Err(ReturnTableFull { sp: 0x2000 }));
    assert_eq!(table.take(0x2000), None);
    assert_eq!(table.take(0x1000), Some(call(0x1000, WINDOW as u64 - 1)));
    claim(0x2000, 99).unwrap();
    assert_eq!(claim(0x1000, 7), Err(ReturnTableFull { sp: 0x1000 }));
    assert_eq!(table.take(0x2000), Some(call(0x2000, 99)));
}

#[test]
fn the_ends_of_a_stack_belong_to_whom_they_should() {
    axebpf_hit::install(&MOCK).unwrap();
    let table = ReturnTable::new(64).unwrap();
    for sp in [0x1000, 0x1010, 0x2000, 0x2010] {
        table.claim(&enter().unwrap(), call(sp, 1)).unwrap();
    }
    let mut dropped = Vec::new();
    let stack = HostVirt::new(0x1000)..HostVirt::new(0x2000);
    assert_eq!(table.forget_stack(&stack, |call| dropped.push(call.sp)), 2);
    dropped.sort_unstable();
    assert_eq!(dropped, [0x1010, 0x2000]);
    assert_eq!(table.in_flight(LinkId::new(1)), 2);
}

#[test]
fn a_table_without_memory_is_refused() {
    assert!(ReturnTable::new(usize::MAX).is_err());
    assert!(ReturnTable::new(1 << 58).is_err());
}

#[test]
fn a_link_has_as_many_calls_as_it_may() {
    let active = MaxActive::new(2);
    assert!(active.start());
    assert!(active.start());
    assert!(!active.start());
    assert_eq!((active.active(), active.limit()), (2, 2));
    active.finish();
    assert!(active.start());
    (0..5).for_each(|_| active.finish());
    assert_eq!(active.active(), 0);
}

/// Tasks that recurse on threads, more than the table has room for, while another thread looks on and kills some.
#[test]
fn threads_find_their_own_calls_among_those_of_others() {
    const THREADS: u64 = 8;
    const ROUNDS: u64 = 2_000;
    axebpf_hit::install(&MOCK).unwrap();
    let table = ReturnTable::new(64).unwrap();
    let active = MaxActive::new(48);
    let worker = |task: u64| {
        let end = (task + 1) << 20;
        let (mut kept, mut missed) = (0_u64, 0_u64);
        for round in 0..ROUNDS {
            let mut calls = Vec::new();
            for depth in 0..round % 12 {
                // Every third call is a tail call.
                let instance = call(
                    end - (depth - depth % 3) * 32,
                    task << 32 | round << 8 | depth,
                );
                if !active.start() {
                    missed += 1;
                } else if table.claim(&enter().unwrap(), instance).is_ok() {
                    calls.push(instance);
                } else {
                    active.finish();
                    missed += 1;
                }
            }
            kept += calls.len() as u64;
            if round % 5 == 0 {
                let stack = HostVirt::new(end - (1 << 20))..HostVirt::new(end);
                let forgotten = table.forget_stack(&stack, |call| {
                    assert!(calls.contains(&call));
                    active.finish();
                });
                assert_eq!(forgotten, calls.len());
                continue;
            }
            for call in calls.iter().rev() {
                assert_eq!(table.take(call.sp), Some(*call));
                active.finish();
            }
        }
        (kept, missed)
    };
    let (kept, missed) = thread::scope(|scope| {
        let workers: Vec<_> = (0..THREADS)
            .map(|task| {
                let worker = &worker;
                scope.spawn(move || worker(task))
            })
            .collect();
        for _ in 0..200 {
            for seen in table.iter() {
                assert_eq!(seen, call(seen.sp, seen.link.get()));
            }
        }
        workers.into_iter().fold((0, 0), |(kept, missed), worker| {
            let (more_kept, more_missed) = worker.join().unwrap();
            (kept + more_kept, missed + more_missed)
        })
    });
    let rounds = (0..ROUNDS).map(|round| round % 12).sum::<u64>();
    assert_eq!(kept + missed, THREADS * rounds);
    assert_eq!(active.active(), 0);
    assert_eq!(table.iter().count(), 0);
}
