//! A platform on the `ax-hal` crates, for hypervisors of the ArceOS family.
//!
//! What `ax-hal` does not know, the hypervisor adds when it makes its [`AxHalPlatform`]: which virtual CPU is loaded,
//! and where its text is. It also has to
//!
//! - call [`AxHalPlatform::answer_kick`] in the handler of the interrupt between CPUs (`ax_hal::irq::ipi_irq`),
//! - call `axebpf_hit::text::cpu_online` on each CPU after `ax_hal::irq::cpu_online`,
//! - link `ax-cpu`'s exception table (the sections `__ex_table` and `__nofault_ex_table`) as its own image does. It
//!   mends the translation and permission faults of [`read_memory`](crate::ReadMemory::read_memory); a bus error, from
//!   memory that is mapped as Normal but is not there, stays fatal.
//!
//! Compiles without further settings. `SMP` (an environment variable of the build, 16 by default) limits the number of
//! CPUs.
//!
//! # Examples
//!
//! ```ignore
//! use axebpf_platform::axhal::{AxHalPlatform, TextRange};
//!
//! static PLATFORM: AxHalPlatform = AxHalPlatform::new()
//!     .with_current_vcpu(|| Some(current_vcpu()?.axebpf_id()))
//!     .with_exit_reason(|| Some(current_vcpu()?.last_exception_class()))
//!     .with_text(|| TextRange { start: text_start(), end: text_end() });
//!
//! axebpf_hit::install(&PLATFORM)?;
//! ```

use core::ptr::NonNull;
use core::sync::atomic::{AtomicPtr, Ordering};

use aarch64_cpu::asm::barrier;
use ax_hal::irq::IpiTarget;

use crate::{
    Clock, Console, CoreSync, CpuId, Cpus, CurrentVcpu, ExecError, ExecMemory, ExecRegion,
    HostVirt, InterruptState, Interrupts, ReadFault, ReadMemory, TextError, TextPatch, Vcpu, arch,
};

/// The addresses of the hypervisor's text, the end not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextRange {
    /// The first address.
    pub start: HostVirt,
    /// The address after the last.
    pub end: HostVirt,
}

/// The platform of a hypervisor on `ax-hal` at EL2.
#[derive(Debug)]
pub struct AxHalPlatform {
    current_vcpu: fn() -> Option<Vcpu>,
    exit_reason: fn() -> Option<u32>,
    text: Option<fn() -> TextRange>,
    alloc_exec: fn(usize) -> Result<ExecRegion, ExecError>,
    free_exec: fn(ExecRegion),
    /// A `fn()`, or null while there is none.
    kick_handler: AtomicPtr<()>,
}

impl AxHalPlatform {
    /// Makes a platform that knows of no virtual CPU, of no text and of no executable memory.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            current_vcpu: || None,
            exit_reason: || None,
            text: None,
            alloc_exec: |_| Err(ExecError::Unsupported),
            free_exec: |_| (),
            kick_handler: AtomicPtr::new(core::ptr::null_mut()),
        }
    }

    /// Sets what names the virtual CPU that is loaded on the executing CPU. Called in hits.
    #[must_use]
    pub const fn with_current_vcpu(mut self, current_vcpu: fn() -> Option<Vcpu>) -> Self {
        self.current_vcpu = current_vcpu;
        self
    }

    /// Sets what tells why that virtual CPU last left the guest. Called in hits.
    #[must_use]
    pub const fn with_exit_reason(mut self, exit_reason: fn() -> Option<u32>) -> Self {
        self.exit_reason = exit_reason;
        self
    }

    /// Sets what tells where the hypervisor's text is, and so allows patching it.
    ///
    /// Text is written where it is mapped if it is writable there, and else in the linear map of physical memory.
    #[must_use]
    pub const fn with_text(mut self, text: fn() -> TextRange) -> Self {
        self.text = Some(text);
        self
    }

    /// Sets what provides executable memory, and what takes it back.
    #[must_use]
    pub const fn with_exec_memory(
        mut self,
        alloc: fn(usize) -> Result<ExecRegion, ExecError>,
        free: fn(ExecRegion),
    ) -> Self {
        self.alloc_exec = alloc;
        self.free_exec = free;
        self
    }

    /// Answers a kick. To be called by the handler of the interrupt between CPUs, whatever else it does.
    pub fn answer_kick(&self) {
        let handler = self.kick_handler.load(Ordering::Acquire);
        if !handler.is_null() {
            // SAFETY: Not null, so `set_kick_handler` stored it, which was given a `fn()`.
            let handler = unsafe { core::mem::transmute::<*mut (), fn()>(handler) };
            handler();
        }
    }

    /// Finds a writable mapping of `len` bytes of text at `at`, which may span pages.
    fn writable_alias(at: HostVirt, len: usize) -> Option<NonNull<u8>> {
        let linear = || {
            let physical = arch::translate(at)?.get();
            let physical = usize::try_from(physical).ok()?.into();
            Some(HostVirt::new(
                ax_hal::mem::phys_to_virt(physical).as_usize() as u64,
            ))
        };
        [Some(at), linear()]
            .into_iter()
            .flatten()
            .find(|&alias| is_alias(at, alias, len))
            .and_then(|alias| NonNull::new(alias.get() as *mut u8))
    }
}

/// Tells whether all pages of `len` bytes at `alias` are writable and are those at `at`.
fn is_alias(at: HostVirt, alias: HostVirt, len: usize) -> bool {
    const PAGE: u64 = 4096;
    let last = len as u64 - 1;
    let in_page = at.get() % PAGE;
    // The offset of the first byte of each page after the first, up to the last byte.
    let pages = (0..=(in_page + last) / PAGE).map(|page| (page * PAGE).saturating_sub(in_page));
    pages.into_iter().all(|offset| {
        at.checked_add(offset)
            .zip(alias.checked_add(offset))
            .is_some_and(|(at, alias)| {
                arch::translate(at).is_some()
                    && arch::translate_for_writing(alias) == arch::translate(at)
            })
    })
}

impl Default for AxHalPlatform {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for AxHalPlatform {
    fn now_ns(&self) -> u64 {
        arch::now_ns()
    }
}

impl Cpus for AxHalPlatform {
    /// Returns a number that is no CPU's on a CPU whose per-CPU area `ax-hal` has not set up yet.
    fn current_cpu(&self) -> CpuId {
        let interrupts = arch::mask_interrupts();
        // SAFETY: With interrupts masked, this code does not migrate. `this_cpu_id` would do the same behind a guard
        // that may call the scheduler when it is dropped, which a hit must not do.
        let cpu = unsafe { ax_hal::percpu::with_cpu_pin(ax_hal::percpu::this_cpu_id_pinned) };
        arch::restore_interrupts(interrupts);
        let cpu = cpu.ok().and_then(|cpu| u32::try_from(cpu).ok());
        CpuId::new(cpu.unwrap_or(u32::MAX))
    }

    fn cpu_limit(&self) -> u32 {
        u32::try_from(ax_hal::cpu_num()).unwrap_or(u32::MAX)
    }

    fn is_online(&self, cpu: CpuId) -> bool {
        ax_hal::irq::is_cpu_online(cpu.index())
    }
}

impl CurrentVcpu for AxHalPlatform {
    fn current_vcpu(&self) -> Option<Vcpu> {
        (self.current_vcpu)()
    }

    fn exit_reason(&self) -> Option<u32> {
        (self.exit_reason)()
    }
}

impl Interrupts for AxHalPlatform {
    fn mask(&self) -> InterruptState {
        arch::mask_interrupts()
    }

    fn restore(&self, state: InterruptState) {
        arch::restore_interrupts(state);
    }
}

impl CoreSync for AxHalPlatform {
    fn kick(&self, cpu: CpuId) {
        let target = IpiTarget::Cpu(ax_hal::irq::CpuId(cpu.index()));
        // No store is ordered before the write to the interrupt controller's system register otherwise.
        barrier::dsb(barrier::ISHST);
        // A CPU that cannot be interrupted now is kicked again, and in the end reported as not answering.
        let _ = ax_hal::irq::send_ipi(ax_hal::irq::ipi_irq(), target);
    }

    fn set_kick_handler(&self, handler: fn()) {
        self.kick_handler
            .store(handler as *mut (), Ordering::Release);
    }

    fn synchronize_context(&self) {
        arch::synchronize_context();
    }
}

impl TextPatch for AxHalPlatform {
    fn check_text(&self, at: HostVirt, len: usize) -> Result<(), TextError> {
        let TextRange { start, end } = self.text.ok_or(TextError::Unsupported)?();
        let is_text = at >= start && at.checked_add(len as u64).is_some_and(|after| after <= end);
        if !is_text {
            return Err(TextError::NotText { at, len });
        }
        if len != 0 && Self::writable_alias(at, len).is_none() {
            return Err(TextError::Unsupported);
        }
        Ok(())
    }

    unsafe fn write_text(&self, at: HostVirt, bytes: &[u8]) -> Result<(), TextError> {
        self.check_text(at, bytes.len())?;
        if bytes.is_empty() {
            return Ok(());
        }
        let alias = Self::writable_alias(at, bytes.len()).ok_or(TextError::Unsupported)?;
        // SAFETY: `alias` is writable for the length and is the memory at `at`, at the same place in its page, so both
        // are aligned alike; the caller keeps everybody else away from it.
        unsafe { arch::write_text(alias, at, bytes) };
        Ok(())
    }
}

impl ExecMemory for AxHalPlatform {
    fn alloc_exec(&self, len: usize) -> Result<ExecRegion, ExecError> {
        (self.alloc_exec)(len)
    }

    fn free_exec(&self, region: ExecRegion) {
        (self.free_exec)(region);
    }
}

impl ReadMemory for AxHalPlatform {
    fn read_memory(&self, src: HostVirt, dst: &mut [u8]) -> Result<(), ReadFault> {
        arch::read_memory(src, dst)
    }
}

impl Console for AxHalPlatform {
    fn write_console(&self, text: &[u8]) {
        ax_hal::console::write_bytes(text);
    }
}
