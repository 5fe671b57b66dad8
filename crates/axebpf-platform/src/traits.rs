//! The capabilities that axebpf asks of its host, one trait each.

use core::any::TypeId;

use crate::{CpuId, ExecError, HostVirt, ReadFault, TextError, VcpuId, VmId};

/// Tells the time.
pub trait Clock {
    /// Returns the nanoseconds since the machine started.
    ///
    /// Monotonic on each CPU and comparable between CPUs. On aarch64 this is `CNTPCT_EL0`, which, unlike
    /// `CNTVCT_EL0`, no guest offset moves.
    fn now_ns(&self) -> u64;
}

/// Tells which CPUs there are.
pub trait Cpus {
    /// Returns the CPU that executes the call.
    ///
    /// The answer holds as long as the caller cannot migrate, that is with interrupts masked.
    fn current_cpu(&self) -> CpuId;

    /// Returns the number of CPUs that the machine can have: one more than the highest [`CpuId`].
    fn cpu_limit(&self) -> u32;

    /// Tells whether `cpu` executes hypervisor code, or may do so without further notice.
    fn is_online(&self, cpu: CpuId) -> bool;
}

/// Names one virtual CPU of one virtual machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Vcpu {
    /// The virtual machine.
    pub vm: VmId,
    /// Its virtual CPU.
    pub vcpu: VcpuId,
}

/// Tells on whose behalf the hypervisor executes.
pub trait CurrentVcpu {
    /// Returns the virtual CPU that is loaded on this CPU, or `None` when the hypervisor runs for itself.
    fn current_vcpu(&self) -> Option<Vcpu>;

    /// Returns why the loaded virtual CPU last left the guest, or `None` when it never ran.
    ///
    /// On aarch64 this is the exception class, `ESR_EL2.EC` (ARM ARM D24.2.40), 0 to 63, for synchronous exits, and
    /// [`EXIT_REASON_IRQ`](crate::EXIT_REASON_IRQ) for interrupts.
    fn exit_reason(&self) -> Option<u32>;
}

/// What [`Interrupts::mask`] found, to be given back to [`Interrupts::restore`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InterruptState(pub u64);

/// Masks interrupts on the executing CPU.
pub trait Interrupts {
    /// Masks all maskable interrupts of this CPU and returns what was masked before.
    fn mask(&self) -> InterruptState;

    /// Puts back what [`mask`](Self::mask) returned on this CPU.
    fn restore(&self, state: InterruptState);
}

/// Makes other CPUs take part in a fence.
pub trait CoreSync {
    /// Makes `cpu` call the fence's answer function (`axebpf_hit::text::answer`) soon, usually by an interrupt.
    ///
    /// May be called more than once for one fence. Does not wait. What the caller stored before is visible to
    /// `cpu` when it answers: on aarch64 that takes a `DSB` before the write to `ICC_SGI1R_EL1`, which no store is
    /// ordered with otherwise.
    fn kick(&self, cpu: CpuId);

    /// Takes note of the function that a kicked CPU has to call.
    ///
    /// `axebpf_hit::install` hands the fence's answer function in here, so that a platform does not need to
    /// know that crate. A platform whose interrupt handler names the function itself has nothing to do. The
    /// function may be called at any time, on any CPU, outside and inside of interrupt handlers.
    fn set_kick_handler(&self, handler: fn()) {
        let _ = handler;
    }

    /// Passes a moment of a loop that waits for another CPU.
    ///
    /// A hint to the CPU unless the platform knows better: one that runs on threads lets others run.
    fn relax(&self) {
        core::hint::spin_loop();
    }

    /// Synchronises the context of the executing CPU (`ISB` on aarch64), so that it fetches what was written.
    fn synchronize_context(&self);
}

/// Writes hypervisor text.
pub trait TextPatch {
    /// Tells whether [`write_text`](Self::write_text) could write `len` bytes at `at`, without writing.
    ///
    /// Asked for every write of a fence before any CPU is stopped. A platform that cannot tell says yes.
    ///
    /// # Errors
    ///
    /// The [`TextError`] that the write would end in.
    fn check_text(&self, at: HostVirt, len: usize) -> Result<(), TextError> {
        let _ = (at, len);
        Ok(())
    }

    /// Writes `bytes` over the text at `at`, whose mapping may be read-only, and makes it visible to the
    /// instruction fetches of all CPUs.
    ///
    /// Leaves the mapping of `at` and of its neighbours as it was. On aarch64 the sequence after the store is
    /// `DC CVAU`, `DSB ISH`, `IC IVAU` or `IC IALLUIS`, `DSB ISH`, `ISB` (ARM ARM B2.7.4.2).
    ///
    /// # Errors
    ///
    /// [`TextError`] when the range is not hypervisor text or the platform cannot write it. Nothing has
    /// changed then.
    ///
    /// # Safety
    ///
    /// No other CPU executes the range during the call, and what is written is meaningful there.
    unsafe fn write_text(&self, at: HostVirt, bytes: &[u8]) -> Result<(), TextError>;
}

/// A piece of executable memory, of the given number of bytes.
#[derive(Debug, PartialEq, Eq)]
pub struct ExecRegion {
    /// Where it starts; aligned to 4096 bytes.
    pub start: HostVirt,
    /// Its length in bytes, a multiple of 4096.
    pub len: usize,
}

/// Provides memory from which the hypervisor can execute.
pub trait ExecMemory {
    /// Returns `len` bytes (rounded up to 4096) of executable memory, to be filled through [`TextPatch`].
    ///
    /// # Errors
    ///
    /// [`ExecError`] when there is no such memory, or no more.
    fn alloc_exec(&self, len: usize) -> Result<ExecRegion, ExecError>;

    /// Gives back what [`alloc_exec`](Self::alloc_exec) returned.
    fn free_exec(&self, region: ExecRegion);
}

/// Reads memory that may not be there.
pub trait ReadMemory {
    /// Copies `dst.len()` bytes from `src`, of Normal memory only, without ever faulting visibly.
    ///
    /// # Errors
    ///
    /// [`ReadFault`] names the first address that could not be read. `dst` is then all zeroes.
    fn read_memory(&self, src: HostVirt, dst: &mut [u8]) -> Result<(), ReadFault>;
}

/// Takes text for the operator.
pub trait Console {
    /// Writes `text` as it is. Never called during a hit.
    fn write_console(&self, text: &[u8]);
}

/// Everything that axebpf as a whole asks of its host: the sum of the capabilities.
///
/// Implemented for every type that has them all.
pub trait Platform:
    Clock
    + Cpus
    + CurrentVcpu
    + Interrupts
    + CoreSync
    + TextPatch
    + ExecMemory
    + ReadMemory
    + Console
    + Sync
    + 'static
{
    /// Returns which implementation this is, so that two references can be told apart.
    fn platform_type(&self) -> TypeId {
        TypeId::of::<Self>()
    }
}

impl<T> Platform for T where
    T: Clock
        + Cpus
        + CurrentVcpu
        + Interrupts
        + CoreSync
        + TextPatch
        + ExecMemory
        + ReadMemory
        + Console
        + Sync
        + 'static
{
}
