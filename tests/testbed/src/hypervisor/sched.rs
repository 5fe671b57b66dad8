//! The scheduler: each CPU takes turns among its own tasks, a time slice each.

use alloc::{sync::Arc, vec::Vec};
use core::sync::atomic::{Ordering, fence};

use axebpf::platform::CpuId;
use axebpf::tracepoint::{trace, vmm};
use spin::Once;

use super::{
    console::println,
    gic,
    lock::Lock,
    percpu::{self, MAX_CPUS},
    sysreg,
    task::{self, Task, TaskState},
    timer,
};

/// The tasks of one CPU; the first one is idle's.
struct Queue {
    tasks: Vec<Arc<Task>>,
    current: usize,
}

static QUEUES: [Lock<Queue>; MAX_CPUS] = [const {
    Lock::new(Queue {
        tasks: Vec::new(),
        current: 0,
    })
}; MAX_CPUS];
/// The task that reads the console.
static CONSOLE: Once<Arc<Task>> = Once::new();

impl Queue {
    /// Returns the next runnable task after the current one, idle only when there is no other.
    fn next(&self) -> usize {
        let len = self.tasks.len();
        let runnable = |index: usize| {
            let task = &self.tasks[index];
            !task.is_idle() && (task.is(TaskState::Ready) || task.is(TaskState::Running))
        };
        (1..=len)
            .map(|step| (self.current + step) % len)
            .find(|&index| runnable(index))
            .unwrap_or(0)
    }

    /// Forgets tasks that ended. Only idle calls this, so that none of them is current.
    fn reap(&mut self) -> Option<Arc<Task>> {
        let dead = self
            .tasks
            .iter()
            .position(|task| task.is(TaskState::Dead))?;
        self.current = 0;
        Some(self.tasks.remove(dead))
    }
}

/// Makes what the executing CPU executes its idle task.
pub(crate) fn init_cpu() {
    let cpu = percpu::id();
    QUEUES[cpu.index()]
        .lock()
        .tasks
        .push(Arc::new(Task::idle(cpu)));
}

/// Hands `task` to its CPU.
pub(crate) fn spawn(task: Arc<Task>) {
    let cpu = task.cpu();
    QUEUES[cpu.index()].lock().tasks.push(task);
    poke(cpu);
}

/// Hands `task` to its CPU, and wakes it whenever something was typed.
pub(crate) fn spawn_console(task: Arc<Task>) {
    CONSOLE.call_once(|| task.clone());
    spawn(task);
}

/// Wakes the task that reads the console.
pub(crate) fn wake_console() {
    if let Some(task) = CONSOLE.get() {
        wake(task);
    }
}

/// Returns the task that the executing CPU executes.
pub(crate) fn current() -> Arc<Task> {
    let queue = QUEUES[percpu::id().index()].lock();
    queue.tasks[queue.current].clone()
}

/// Lets the next runnable task of the executing CPU continue. Returns when it is the caller's turn again.
pub(crate) fn schedule() {
    let daif = sysreg::mask_interrupts();
    if let Some((from, to)) = pick() {
        // SAFETY: interrupts are masked; `to` is the saved stack pointer of a task of this CPU that does not execute,
        // and both tasks stay in the queue: only idle removes tasks, and never itself.
        unsafe { task::switch(from, to) };
    }
    sysreg::restore_interrupts(daif);
}

/// Makes the next task the current one and returns where to save the old stack pointer and the new one, or `None`
/// when the current task goes on.
fn pick() -> Option<(*mut u64, u64)> {
    let mut queue = QUEUES[percpu::id().index()].lock();
    let index = queue.next();
    let prev = queue.tasks[queue.current].clone();
    let next = queue.tasks[index].clone();
    if index == queue.current {
        next.change(TaskState::Ready, TaskState::Running);
        return None;
    }
    queue.current = index;
    prev.change(TaskState::Running, TaskState::Ready);
    next.set(TaskState::Running);
    drop(queue);
    trace_switch(&prev, &next);
    if let Some(vcpu) = prev.vcpu() {
        vcpu.unload();
    }
    if let Some(vcpu) = next.vcpu() {
        vcpu.load();
    }
    timer::program();
    // SAFETY: `next` does not execute, and its stack pointer is accessed by this CPU alone.
    let sp = unsafe { *next.sp() };
    Some((prev.sp(), sp))
}

fn trace_switch(prev: &Task, next: &Task) {
    trace!(vmm::task_switch {
        prev: prev.id(),
        next: next.id(),
        vm_id: Owner::of(next).vm_id,
        vcpu_id: Owner::of(next).vcpu_id,
    });
}

/// Whose task it is, as tracepoints say it.
struct Owner {
    vm_id: u32,
    vcpu_id: u32,
}

impl Owner {
    fn of(task: &Task) -> Self {
        const NONE: u32 = u32::MAX;
        task.vcpu().map_or(
            Self {
                vm_id: NONE,
                vcpu_id: NONE,
            },
            |vcpu| Self {
                vm_id: vcpu.vm_id().get(),
                vcpu_id: vcpu.id().get(),
            },
        )
    }
}

/// Schedules if somebody asked for it. Called where the current task can be interrupted.
pub(crate) fn preempt() {
    if percpu::this().take_reschedule() {
        schedule();
    }
}

/// Blocks the current task until it is woken, at the latest at `wake_at`, unless `ready` says that there is something
/// to do.
pub(crate) fn block(wake_at: u64, ready: impl Fn() -> bool) {
    let task = current();
    task.set_wake_at(wake_at);
    // Masked, so that no interrupt switches away from a task that says it is blocked and has not looked yet.
    let daif = sysreg::mask_interrupts();
    task.set(TaskState::Blocked);
    // What makes the task ready comes first and wakes it afterwards. With this fence and the one in `wake`, either this
    // sees what came, or the wake-up sees the blocked task.
    fence(Ordering::SeqCst);
    if ready() {
        task.change(TaskState::Blocked, TaskState::Running);
    } else {
        drop(task);
        schedule();
    }
    sysreg::restore_interrupts(daif);
}

/// Blocks the current task for about `ns` nanoseconds.
pub(crate) fn sleep(ns: u64) {
    let end = timer::now_ns().saturating_add(ns);
    while timer::now_ns() < end {
        block(end, || false);
    }
}

/// Makes `task` runnable again if it is blocked, and tells its CPU.
pub(crate) fn wake(task: &Task) -> bool {
    // Pairs with the one in `block`.
    fence(Ordering::SeqCst);
    let woken = task.change(TaskState::Blocked, TaskState::Ready);
    if woken {
        poke(task.cpu());
    }
    woken
}

fn poke(cpu: CpuId) {
    if cpu == percpu::id() {
        percpu::this().request_reschedule();
    } else {
        gic::send(cpu, gic::SGI_RESCHEDULE);
    }
}

/// Returns when the next sleeper of the executing CPU is to be woken.
pub(crate) fn next_wakeup() -> u64 {
    let queue = QUEUES[percpu::id().index()].lock();
    let sleepers = queue
        .tasks
        .iter()
        .filter(|task| task.is(TaskState::Blocked));
    sleepers
        .map(|task| task.wake_at())
        .min()
        .unwrap_or(timer::NEVER)
}

/// Wakes the tasks of the executing CPU whose time has come.
pub(crate) fn wake_sleepers(now: u64) {
    while let Some(task) = due(now) {
        trace_wakeup(&task, now);
        wake(&task);
    }
}

fn trace_wakeup(task: &Task, now: u64) {
    trace!(vmm::timer_event {
        vm_id: Owner::of(task).vm_id,
        vcpu_id: Owner::of(task).vcpu_id,
        deadline_ns: task.wake_at(),
        late_ns: now.saturating_sub(task.wake_at()),
    });
}

fn due(now: u64) -> Option<Arc<Task>> {
    let queue = QUEUES[percpu::id().index()].lock();
    queue
        .tasks
        .iter()
        .find(|task| task.is(TaskState::Blocked) && task.wake_at() <= now)
        .cloned()
}

/// Takes the vCPU that the current task runs off the CPU, for good.
pub(crate) fn leave_vcpu() {
    let daif = sysreg::mask_interrupts();
    if let Some(vcpu) = current().take_vcpu() {
        vcpu.unload();
    }
    sysreg::restore_interrupts(daif);
}

/// Ends the current task.
pub(crate) fn exit() -> ! {
    sysreg::mask_interrupts();
    current().set(TaskState::Dead);
    loop {
        schedule();
    }
}

/// Prints the tasks of each CPU.
pub(crate) fn print() {
    println!("{:>4} {:>4}  {:<16} {}", "CPU", "ID", "NAME", "STATE");
    for cpu in percpu::all() {
        let tasks = QUEUES[cpu.index()].lock().tasks.clone();
        for task in tasks.iter().filter(|task| !task.is_idle()) {
            println!(
                "{:>4} {:>4}  {:<16} {:?}",
                cpu.get(),
                task.id(),
                task.name(),
                task.state()
            );
        }
    }
}

fn dead() -> Option<Arc<Task>> {
    QUEUES[percpu::id().index()].lock().reap()
}

/// What a CPU does when there is nothing else to do.
pub(crate) fn idle() -> ! {
    loop {
        sysreg::mask_interrupts();
        while let Some(task) = dead() {
            drop(task);
        }
        if !percpu::this().take_reschedule() {
            sysreg::wait_for_interrupt();
        }
        sysreg::unmask_interrupts();
        schedule();
    }
}
