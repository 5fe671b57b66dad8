//! What axebpf asks of its host, answered by this hypervisor.

use core::ptr::NonNull;

use axebpf::platform::{
    Clock, Console, CoreSync, CpuId, Cpus, CurrentVcpu, ExecError, ExecMemory, ExecRegion,
    HostVirt, InterruptState, Interrupts, ReadFault, ReadMemory, TextError, TextPatch, Vcpu, arch,
};

use super::{console, exec_pool, gic, image, mmu, percpu};

/// The platform of the testbed. It has no state of its own.
pub(crate) struct TestbedPlatform;

/// The one that axebpf gets.
pub(crate) static PLATFORM: TestbedPlatform = TestbedPlatform;

impl Clock for TestbedPlatform {
    fn now_ns(&self) -> u64 {
        arch::now_ns()
    }
}

impl Cpus for TestbedPlatform {
    fn current_cpu(&self) -> CpuId {
        percpu::id()
    }

    fn cpu_limit(&self) -> u32 {
        percpu::count()
    }

    fn is_online(&self, cpu: CpuId) -> bool {
        percpu::get(cpu).is_some_and(percpu::PerCpu::is_online)
    }
}

impl CurrentVcpu for TestbedPlatform {
    fn current_vcpu(&self) -> Option<Vcpu> {
        percpu::this().vcpu()
    }

    fn exit_reason(&self) -> Option<u32> {
        percpu::this().exit_reason()
    }
}

impl Interrupts for TestbedPlatform {
    fn mask(&self) -> InterruptState {
        arch::mask_interrupts()
    }

    fn restore(&self, state: InterruptState) {
        arch::restore_interrupts(state);
    }
}

impl CoreSync for TestbedPlatform {
    fn kick(&self, cpu: CpuId) {
        // Not `gic::send`, which has a tracepoint: a fence may be about to patch exactly that one.
        gic::send_untraced(cpu, gic::SGI_FENCE);
    }

    // `irq` calls the answer function by its name, so `set_kick_handler` has nothing to do.

    fn synchronize_context(&self) {
        arch::synchronize_context();
    }
}

impl TextPatch for TestbedPlatform {
    fn check_text(&self, at: HostVirt, len: usize) -> Result<(), TextError> {
        let end = at.checked_add(len as u64).map(HostVirt::get);
        let inside = [image::text(), image::exec_pool()]
            .iter()
            .any(|part| part.contains(&at.get()) && end.is_some_and(|end| end <= part.end));
        inside.then_some(()).ok_or(TextError::NotText { at, len })
    }

    unsafe fn write_text(&self, at: HostVirt, bytes: &[u8]) -> Result<(), TextError> {
        self.check_text(at, bytes.len())?;
        let alias = (at.get() + mmu::ALIAS_OFFSET) as *mut u8;
        let alias = NonNull::new(alias).ok_or(TextError::NotText {
            at,
            len: bytes.len(),
        })?;
        // SAFETY: `mmu` maps the alias of all text and of the pool, writable, at this offset, which is a multiple of a
        // page; that nobody executes or reads the range is what the caller promises.
        unsafe { arch::write_text(alias, at, bytes) };
        Ok(())
    }
}

impl ExecMemory for TestbedPlatform {
    fn alloc_exec(&self, len: usize) -> Result<ExecRegion, ExecError> {
        exec_pool::alloc(len)
    }

    fn free_exec(&self, region: ExecRegion) {
        exec_pool::free(&region);
    }
}

impl ReadMemory for TestbedPlatform {
    fn read_memory(&self, src: HostVirt, dst: &mut [u8]) -> Result<(), ReadFault> {
        arch::read_memory(src, dst)
    }
}

impl Console for TestbedPlatform {
    fn write_console(&self, text: &[u8]) {
        console::Console::new().write(text);
    }
}
