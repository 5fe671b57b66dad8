//! Tasks: what a CPU of the hypervisor executes, each on its own stack.

use alloc::{boxed::Box, string::String, sync::Arc};
use core::{
    arch::naked_asm,
    cell::UnsafeCell,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use axebpf::{
    platform::{CpuId, HostVirt},
    probe::hprobe::forget_stack,
};

use super::{heap, lock::Lock, sched, sysreg, timer, vcpu::Vcpu};

/// Pages of a task's stack.
const STACK_PAGES: usize = 32;

/// What a task is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum TaskState {
    /// Waits for its turn.
    Ready = 0,
    /// Executes.
    Running = 1,
    /// Waits to be woken.
    Blocked = 2,
    /// Has ended.
    Dead = 3,
}

/// One task. It stays on its CPU for ever.
pub(crate) struct Task {
    id: u32,
    name: String,
    cpu: CpuId,
    state: AtomicU32,
    wake_at: AtomicU64,
    /// The stack pointer while the task does not execute. Only the task's CPU touches it, with interrupts masked.
    sp: UnsafeCell<u64>,
    stack: Option<Stack>,
    body: Lock<Option<Box<dyn FnOnce() + Send>>>,
    vcpu: Lock<Option<Arc<Vcpu>>>,
}

// SAFETY: all fields but `sp` synchronise themselves, and `sp` is accessed by the task's CPU alone.
unsafe impl Sync for Task {}

struct Stack {
    bottom: u64,
}

impl Stack {
    fn new() -> Option<Self> {
        heap::alloc_pages(STACK_PAGES).map(|bottom| Self { bottom })
    }

    fn top(&self) -> u64 {
        self.bottom + (STACK_PAGES * 4096) as u64
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        // Calls on it whose return is probed will not return.
        forget_stack(&(HostVirt::new(self.bottom)..HostVirt::new(self.top())));
        // SAFETY: the pages come from `alloc_pages` with the same count; the task that used them is dead and another
        // task drops it.
        unsafe { heap::free_pages(self.bottom, STACK_PAGES) }
    }
}

static NEXT_ID: AtomicU32 = AtomicU32::new(0);

impl Task {
    /// Makes the task that the executing CPU has been executing since its boot.
    pub(crate) fn idle(cpu: CpuId) -> Self {
        Self::with_stack("idle".into(), cpu, None, None, None)
    }

    /// Makes a task for `cpu` that calls `body`, or `None` when there is no memory for its stack.
    pub(crate) fn new(
        name: String,
        cpu: CpuId,
        vcpu: Option<Arc<Vcpu>>,
        body: Box<dyn FnOnce() + Send>,
    ) -> Option<Self> {
        let stack = Stack::new()?;
        Some(Self::with_stack(name, cpu, vcpu, Some(stack), Some(body)))
    }

    fn with_stack(
        name: String,
        cpu: CpuId,
        vcpu: Option<Arc<Vcpu>>,
        stack: Option<Stack>,
        body: Option<Box<dyn FnOnce() + Send>>,
    ) -> Self {
        let state = if stack.is_some() {
            TaskState::Ready
        } else {
            TaskState::Running
        };
        let sp = stack.as_ref().map_or(0, first_frame);
        Self {
            id: NEXT_ID.fetch_add(1, Ordering::Relaxed),
            name,
            cpu,
            state: AtomicU32::new(state as u32),
            wake_at: AtomicU64::new(timer::NEVER),
            sp: UnsafeCell::new(sp),
            stack,
            body: Lock::new(body),
            vcpu: Lock::new(vcpu),
        }
    }

    /// Returns the task's number, which is all ones for idle's.
    pub(crate) fn id(&self) -> u32 {
        if self.is_idle() { u32::MAX } else { self.id }
    }

    /// Returns the task's name.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// Returns the CPU that executes the task.
    pub(crate) fn cpu(&self) -> CpuId {
        self.cpu
    }

    /// Returns the vCPU that the task runs.
    pub(crate) fn vcpu(&self) -> Option<Arc<Vcpu>> {
        self.vcpu.lock().clone()
    }

    /// Makes the task one that runs no vCPU, and returns the one that it ran.
    pub(crate) fn take_vcpu(&self) -> Option<Arc<Vcpu>> {
        self.vcpu.lock().take()
    }

    /// Tells whether the task is idle's.
    pub(crate) fn is_idle(&self) -> bool {
        self.stack.is_none()
    }

    /// Returns what the task is doing.
    pub(crate) fn state(&self) -> TaskState {
        let states = [TaskState::Ready, TaskState::Running, TaskState::Blocked];
        states
            .into_iter()
            .find(|&state| self.is(state))
            .unwrap_or(TaskState::Dead)
    }

    /// Tells whether the task is in `state`.
    pub(crate) fn is(&self, state: TaskState) -> bool {
        self.state.load(Ordering::Acquire) == state as u32
    }

    /// Puts the task into `state`.
    pub(crate) fn set(&self, state: TaskState) {
        self.state.store(state as u32, Ordering::Release);
    }

    /// Puts the task from state `from` into state `to`, and tells whether it was in `from`.
    pub(crate) fn change(&self, from: TaskState, to: TaskState) -> bool {
        self.state
            .compare_exchange(from as u32, to as u32, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok()
    }

    /// Returns when the task is to be woken.
    pub(crate) fn wake_at(&self) -> u64 {
        self.wake_at.load(Ordering::Relaxed)
    }

    /// Says when the task is to be woken.
    pub(crate) fn set_wake_at(&self, ns: u64) {
        self.wake_at.store(ns, Ordering::Relaxed);
    }

    /// Returns where the stack pointer is kept.
    pub(crate) fn sp(&self) -> *mut u64 {
        self.sp.get()
    }

    fn take_body(&self) -> Option<Box<dyn FnOnce() + Send>> {
        self.body.lock().take()
    }
}

/// Words that [`switch`] keeps on the stack: x19 to x30.
const FRAME_WORDS: usize = 12;

/// Lays a stack out as if its task had called [`switch`] at the start of `first_steps`.
fn first_frame(stack: &Stack) -> u64 {
    let frame = stack.top() - (FRAME_WORDS * 8) as u64;
    let link = frame + 11 * 8;
    let entry: extern "C" fn() -> ! = first_steps;
    // SAFETY: the address lies in the stack, which is ours, zeroed and aligned.
    unsafe { (link as *mut u64).write(entry as usize as u64) };
    frame
}

extern "C" fn first_steps() -> ! {
    sysreg::unmask_interrupts();
    if let Some(body) = sched::current().take_body() {
        body();
    }
    sched::exit()
}

/// Saves the executing task's stack pointer in `from` and continues the task whose stack pointer is `to`.
///
/// # Safety
///
/// Interrupts are masked; `to` was saved by this function, or made by [`Task::new`], and its task does not execute.
#[unsafe(naked)]
pub(crate) unsafe extern "C" fn switch(from: *mut u64, to: u64) {
    naked_asm!(
        "sub sp, sp, #96",
        "stp x19, x20, [sp]",
        "stp x21, x22, [sp, #16]",
        "stp x23, x24, [sp, #32]",
        "stp x25, x26, [sp, #48]",
        "stp x27, x28, [sp, #64]",
        "stp x29, x30, [sp, #80]",
        "mov x9, sp",
        "str x9, [x0]",
        "mov sp, x1",
        "ldp x19, x20, [sp]",
        "ldp x21, x22, [sp, #16]",
        "ldp x23, x24, [sp, #32]",
        "ldp x25, x26, [sp, #48]",
        "ldp x27, x28, [sp, #64]",
        "ldp x29, x30, [sp, #80]",
        "add sp, sp, #96",
        "ret",
    )
}
