//! What a running program needs of the CPU that it runs on: preallocated, one for each CPU.
#![allow(unsafe_code)]

use core::cell::{Cell, UnsafeCell};

use axebpf_hit::{HitGuard, MAX_CPUS, Padded, PerCpu};

use super::STACK_BYTES;
use crate::check::MAX_FRAMES;
use crate::flow::Pending;
use crate::run_error::RunError;

/// The bytes that helpers have to work with.
pub(crate) const SCRATCH_BYTES: usize = 4096;

/// What a call of a function saves: where to go back to, and the registers that belong to the caller.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) pc: usize,
    pub(crate) saved: [u64; 4],
    /// The helper that made the call, if the program did not do it itself.
    pub(crate) pending: Option<Pending>,
}

/// The stack's bytes, aligned as in Linux. Only [`Memory`](super::Memory) gets at them, by address.
#[repr(align(16))]
struct Stack(#[expect(dead_code, reason = "accessed by address")] [u8; STACK_BYTES]);

struct CpuMemory {
    busy: Cell<bool>,
    stack: UnsafeCell<Stack>,
    frames: UnsafeCell<[Frame; MAX_FRAMES]>,
    scratch: UnsafeCell<[u8; SCRATCH_BYTES]>,
}

impl CpuMemory {
    const fn new() -> Self {
        Self {
            busy: Cell::new(false),
            stack: UnsafeCell::new(Stack([0; STACK_BYTES])),
            frames: UnsafeCell::new(
                [Frame {
                    pc: 0,
                    saved: [0; 4],
                    pending: None,
                }; MAX_FRAMES],
            ),
            scratch: UnsafeCell::new([0; SCRATCH_BYTES]),
        }
    }
}

static MEMORY: PerCpu<CpuMemory> = PerCpu::new([const { Padded::new(CpuMemory::new()) }; MAX_CPUS]);

/// The sole use of this CPU's memory, until dropped.
pub(crate) struct Lease<'g> {
    memory: &'g CpuMemory,
}

/// The parts of a [`Lease`], which are used at the same time.
pub(crate) struct Parts<'l> {
    /// The address of the stack's lowest byte. The stack is accessed through [`Memory`](super::Memory) only.
    pub(crate) stack: u64,
    pub(crate) frames: &'l mut [Frame; MAX_FRAMES],
    pub(crate) scratch: &'l mut [u8; SCRATCH_BYTES],
}

impl<'g> Lease<'g> {
    /// Takes this CPU's memory.
    ///
    /// # Errors
    ///
    /// [`RunError::Nested`] while there is another lease, that is when a program runs another one by way of a helper.
    pub(crate) fn take(guard: &'g HitGuard) -> Result<Self, RunError> {
        let memory = MEMORY.get(guard);
        if memory.busy.replace(true) {
            Err(RunError::Nested)
        } else {
            Ok(Self { memory })
        }
    }

    pub(crate) fn parts(&mut self) -> Parts<'_> {
        let stack = self.memory.stack.get().expose_provenance() as u64;
        // SAFETY: the cell's memory is valid. Only the hit of this CPU reaches it (`PerCpu::get`), the hit has only
        // this lease (`busy`), and the lease is borrowed mutably for as long as the reference lives.
        let frames = unsafe { &mut *self.memory.frames.get() };
        // SAFETY: as above; this is another cell.
        let scratch = unsafe { &mut *self.memory.scratch.get() };
        Parts {
            stack,
            frames,
            scratch,
        }
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        self.memory.busy.set(false);
    }
}
