//! A platform on `std`: the real clock, and threads as CPUs. For tests and host tools.
//!
//! Each live thread that asks which CPU it is holds one [`CpuId`] from then on, the lowest that was free, until it
//! ends. Interrupts are a signal (`SIGURG`): [`kick`](CoreSync::kick) sends it, and its handler runs the kick handler
//! on the thread that was kicked, unless that thread masks interrupts; then it runs when the mask is taken off. As on
//! a machine, a thread can be stopped by a fence anywhere, the memory allocator included.
//!
//! # Examples
//!
//! ```
//! use axebpf_platform::host::HOST;
//! use axebpf_platform::{Cpus, HostVirt, ReadMemory};
//!
//! assert!(HOST.is_online(HOST.current_cpu()));
//!
//! let mut byte = [0xff];
//! let null = HostVirt::new(0);
//! assert_eq!(HOST.read_memory(null, &mut byte).unwrap_err().addr, null);
//! assert_eq!(byte, [0]);
//! ```

mod interrupts;
mod memory;
mod text;
mod threads;

use core::sync::atomic::{Ordering, fence};
use std::io::Write;
use std::sync::OnceLock;
use std::time::Instant;

use crate::{
    Clock, Console, CoreSync, CpuId, Cpus, CurrentVcpu, ExecError, ExecMemory, ExecRegion,
    HostVirt, InterruptState, Interrupts, ReadFault, ReadMemory, TextError, TextPatch, Vcpu,
};

#[cfg(feature = "mock")]
pub(crate) use threads::move_to;

/// The one [`HostPlatform`].
pub static HOST: HostPlatform = HostPlatform { _private: () };

/// The platform of a process of an operating system.
///
/// There is no guest, so no virtual CPU is ever loaded. Text can be patched where there is `/proc/self/mem`, that is on
/// Linux.
#[derive(Debug)]
pub struct HostPlatform {
    _private: (),
}

impl Clock for HostPlatform {
    /// Returns the nanoseconds since the clock was asked for the first time.
    fn now_ns(&self) -> u64 {
        static START: OnceLock<Instant> = OnceLock::new();
        // A thread that was stopped by a fence while it starts the clock would stop the clock of all.
        let interrupts = self.mask();
        let elapsed = START.get_or_init(Instant::now).elapsed().as_nanos();
        self.restore(interrupts);
        u64::try_from(elapsed).unwrap_or(u64::MAX)
    }
}

impl Cpus for HostPlatform {
    /// Returns the number that this thread holds, and takes one first when it has none.
    ///
    /// Waits while as many threads as there are numbers hold one each.
    fn current_cpu(&self) -> CpuId {
        threads::current()
    }

    fn cpu_limit(&self) -> u32 {
        threads::LIMIT
    }

    fn is_online(&self, cpu: CpuId) -> bool {
        threads::is_held(cpu)
    }
}

impl CurrentVcpu for HostPlatform {
    fn current_vcpu(&self) -> Option<Vcpu> {
        None
    }

    fn exit_reason(&self) -> Option<u32> {
        None
    }
}

impl Interrupts for HostPlatform {
    fn mask(&self) -> InterruptState {
        interrupts::mask()
    }

    fn restore(&self, state: InterruptState) {
        interrupts::restore(state);
    }
}

impl CoreSync for HostPlatform {
    fn kick(&self, cpu: CpuId) {
        threads::kick(cpu);
    }

    fn relax(&self) {
        std::thread::yield_now();
    }

    fn synchronize_context(&self) {
        fence(Ordering::SeqCst);
    }

    fn set_kick_handler(&self, handler: fn()) {
        interrupts::set_handler(handler);
    }
}

impl TextPatch for HostPlatform {
    fn check_text(&self, at: HostVirt, len: usize) -> Result<(), TextError> {
        text::check(at, len)
    }

    /// Writes through the kernel, whatever the protection of the pages, which stays.
    ///
    /// On x86_64, where the caches need no maintenance, that is all. On others the kernel does what is needed for the
    /// CPU that writes, and the return of the other threads from the signal of the fence for theirs.
    unsafe fn write_text(&self, at: HostVirt, bytes: &[u8]) -> Result<(), TextError> {
        text::write(at, bytes)
    }
}

impl ExecMemory for HostPlatform {
    fn alloc_exec(&self, len: usize) -> Result<ExecRegion, ExecError> {
        text::alloc(len)
    }

    fn free_exec(&self, region: ExecRegion) {
        text::free(&region);
    }
}

impl ReadMemory for HostPlatform {
    fn read_memory(&self, src: HostVirt, dst: &mut [u8]) -> Result<(), ReadFault> {
        memory::read(src, dst)
    }
}

impl Console for HostPlatform {
    /// Writes to the standard output; text that it does not take is lost.
    fn write_console(&self, text: &[u8]) {
        let mut out = std::io::stdout().lock();
        // A console has nobody to report a closed pipe to.
        let _ = out.write_all(text).and_then(|()| out.flush());
    }
}
