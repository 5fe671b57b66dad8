//! Calls that come and go on several stacks, in two slots that are in everybody's window.

use axebpf_hit::enter;
use axebpf_hprobe::{LinkId, MaxActive, ReturnInstance, ReturnTable, ReturnTableFull};
use axebpf_platform::HostVirt;
use loom::sync::Arc;
use loom::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use loom::thread;

use crate::machine::{become_cpu, explore};

const FIRST_STACK: u64 = 0x1000;
const SECOND_STACK: u64 = 0x2000;

/// The call number `n` at `sp`: all of its words tell which it is.
fn call(sp: u64, n: u64) -> ReturnInstance {
    ReturnInstance {
        sp,
        return_address: sp + n,
        link: LinkId::new(sp + n),
        entry_time_ns: sp + n,
        entry_data: sp + n,
    }
}

fn assert_consistent(seen: &ReturnInstance) {
    let n = seen.return_address - seen.sp;
    assert_eq!(*seen, call(seen.sp, n));
}

fn table() -> Arc<ReturnTable> {
    let table = ReturnTable::new(2).unwrap();
    assert_eq!(table.capacity(), 2);
    Arc::new(table)
}

fn claim(table: &ReturnTable, instance: ReturnInstance) -> Result<(), ReturnTableFull> {
    table.claim(&enter().unwrap(), instance)
}

/// Enters and leaves `calls` functions at `sp`, one inside the other.
fn call_and_return(table: &ReturnTable, sp: u64, calls: u64) {
    let entered: Vec<u64> = (0..calls)
        .filter(|&n| claim(table, call(sp, n)).is_ok())
        .collect();
    for &n in entered.iter().rev() {
        assert_eq!(table.take(sp), Some(call(sp, n)));
    }
    assert_eq!(table.take(sp), None);
}

#[test]
fn each_stack_gets_back_what_it_put_in() {
    explore(3, || {
        let table = table();
        let other = {
            let table = table.clone();
            thread::spawn(move || {
                become_cpu(1);
                call_and_return(&table, SECOND_STACK, 1);
                call_and_return(&table, SECOND_STACK, 1);
            })
        };
        call_and_return(&table, FIRST_STACK, 2);
        other.join().unwrap();
        assert_eq!(table.iter().count(), 0);
    });
}

#[test]
fn a_full_window_is_said_to_be_full_and_nothing_is_lost() {
    explore(2, || {
        let table = table();
        let others: Vec<_> = (1..3)
            .map(|cpu| {
                let table = table.clone();
                thread::spawn(move || {
                    become_cpu(cpu);
                    let sp = u64::from(cpu) << 16;
                    match claim(&table, call(sp, 1)) {
                        Ok(()) => assert_eq!(table.take(sp), Some(call(sp, 1))),
                        Err(full) => assert_eq!(full, ReturnTableFull { sp }),
                    }
                })
            })
            .collect();
        call_and_return(&table, FIRST_STACK, 2);
        for other in others {
            other.join().unwrap();
        }
        assert_eq!(table.iter().count(), 0);
    });
}

#[test]
fn who_looks_from_outside_sees_whole_calls() {
    explore(3, || {
        let table = table();
        let other = {
            let table = table.clone();
            thread::spawn(move || {
                become_cpu(1);
                // The same slot and the same stack pointer again and again, with no other fence in between.
                let guard = enter().unwrap();
                for n in 0..2 {
                    table.claim(&guard, call(SECOND_STACK, n)).unwrap();
                    assert_eq!(table.take(SECOND_STACK), Some(call(SECOND_STACK, n)));
                }
            })
        };
        // A thread of its own: loom lets nothing come before what the first thread does once the others are spawned and
        // it has not written anything.
        let onlooker = thread::spawn(move || {
            table.iter().for_each(|seen| assert_consistent(&seen));
        });
        onlooker.join().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn a_call_is_taken_out_once() {
    explore(3, || {
        let table = table();
        claim(&table, call(FIRST_STACK, 1)).unwrap();
        let active = Arc::new(MaxActive::new(1));
        assert!(active.start());
        let finished = Arc::new(AtomicU32::new(0));
        let finish = |active: &MaxActive, finished: &AtomicU32| {
            active.finish();
            finished.fetch_add(1, Ordering::Relaxed);
        };
        let other = {
            let (table, active, finished) = (table.clone(), active.clone(), finished.clone());
            thread::spawn(move || {
                become_cpu(1);
                let stack = HostVirt::new(0)..HostVirt::new(FIRST_STACK);
                table.forget_stack(&stack, |dropped| {
                    assert_eq!(dropped, call(FIRST_STACK, 1));
                    finish(&active, &finished);
                });
            })
        };
        let returning = {
            let (table, active, finished) = (table.clone(), active.clone(), finished.clone());
            thread::spawn(move || {
                if let Some(taken) = table.take(FIRST_STACK) {
                    assert_eq!(taken, call(FIRST_STACK, 1));
                    finish(&active, &finished);
                }
            })
        };
        returning.join().unwrap();
        other.join().unwrap();
        assert_eq!(finished.load(Ordering::Relaxed), 1);
        assert_eq!(active.active(), 0);
    });
}

#[test]
fn a_stack_is_forgotten_while_others_run() {
    explore(3, || {
        let table = table();
        claim(&table, call(FIRST_STACK, 1)).unwrap();
        let other = {
            let table = table.clone();
            thread::spawn(move || {
                become_cpu(1);
                call_and_return(&table, SECOND_STACK, 2);
            })
        };
        let stack = HostVirt::new(FIRST_STACK - 1)..HostVirt::new(FIRST_STACK);
        let forgetting = thread::spawn(move || {
            let dropped = table.forget_stack(&stack, |dropped| {
                assert_eq!(dropped, call(FIRST_STACK, 1));
            });
            assert_eq!(dropped, 1);
        });
        forgetting.join().unwrap();
        other.join().unwrap();
    });
}

#[test]
fn a_task_that_migrates_finds_its_calls() {
    explore(3, || {
        let table = table();
        let runs_on = Arc::new(AtomicU64::new(0));
        let busy = {
            let table = table.clone();
            thread::spawn(move || {
                become_cpu(2);
                call_and_return(&table, SECOND_STACK, 1);
            })
        };
        let next_cpu = {
            let (table, runs_on) = (table.clone(), runs_on.clone());
            thread::spawn(move || {
                become_cpu(1);
                // The scheduler's handing over of a task.
                if runs_on.load(Ordering::Acquire) == 1 {
                    assert_eq!(table.take(FIRST_STACK), Some(call(FIRST_STACK, 1)));
                }
            })
        };
        if claim(&table, call(FIRST_STACK, 1)).is_ok() {
            runs_on.store(1, Ordering::Release);
        }
        next_cpu.join().unwrap();
        busy.join().unwrap();
    });
}

#[test]
fn no_more_calls_are_active_than_may_be() {
    explore(3, || {
        let active = Arc::new(MaxActive::new(1));
        let others: Vec<_> = (1..3)
            .map(|_| {
                let active = active.clone();
                thread::spawn(move || {
                    let is_counted = active.start();
                    assert!(active.active() <= 1);
                    if is_counted {
                        active.finish();
                    }
                    is_counted
                })
            })
            .collect();
        let counted = others.into_iter().map(|other| other.join().unwrap());
        // Whoever comes first finds nobody there.
        assert!(counted.filter(|&counted| counted).count() >= 1);
        assert_eq!(active.active(), 0);
        assert!(active.start());
    });
}
