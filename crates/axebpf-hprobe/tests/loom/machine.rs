//! The machine that loom explores: threads as CPUs, and nothing else.

use core::cell::Cell;

use axebpf_platform::{
    Clock, Console, CoreSync, CpuId, Cpus, CurrentVcpu, ExecError, ExecMemory, ExecRegion,
    HostVirt, InterruptState, Interrupts, ReadFault, ReadMemory, TextError, TextPatch, Vcpu,
};

loom::thread_local! {
    static CPU: Cell<u32> = Cell::new(0);
}

/// Explores `model` with at most `preemptions` of them in each execution.
pub(crate) fn explore(preemptions: usize, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    builder.check(move || {
        axebpf_hit::install(&MACHINE).unwrap();
        model();
    });
}

/// Makes this thread `cpu`.
pub(crate) fn become_cpu(cpu: u32) {
    CPU.with(|current| current.set(cpu));
}

struct Machine;

static MACHINE: Machine = Machine;

impl Clock for Machine {
    fn now_ns(&self) -> u64 {
        0
    }
}

impl Cpus for Machine {
    fn current_cpu(&self) -> CpuId {
        CpuId::new(CPU.with(Cell::get))
    }

    fn cpu_limit(&self) -> u32 {
        axebpf_hit::MAX_CPUS as u32
    }

    fn is_online(&self, _cpu: CpuId) -> bool {
        true
    }
}

impl CurrentVcpu for Machine {
    fn current_vcpu(&self) -> Option<Vcpu> {
        None
    }

    fn exit_reason(&self) -> Option<u32> {
        None
    }
}

impl Interrupts for Machine {
    fn mask(&self) -> InterruptState {
        InterruptState(0)
    }

    fn restore(&self, _state: InterruptState) {}
}

impl CoreSync for Machine {
    fn kick(&self, _cpu: CpuId) {}

    fn relax(&self) {
        loom::thread::yield_now();
    }

    fn synchronize_context(&self) {}
}

impl TextPatch for Machine {
    unsafe fn write_text(&self, _at: HostVirt, _bytes: &[u8]) -> Result<(), TextError> {
        Err(TextError::Unsupported)
    }
}

impl ExecMemory for Machine {
    fn alloc_exec(&self, _len: usize) -> Result<ExecRegion, ExecError> {
        Err(ExecError::Unsupported)
    }

    fn free_exec(&self, _region: ExecRegion) {}
}

impl ReadMemory for Machine {
    fn read_memory(&self, addr: HostVirt, _dst: &mut [u8]) -> Result<(), ReadFault> {
        Err(ReadFault { addr })
    }
}

impl Console for Machine {
    fn write_console(&self, _text: &[u8]) {}
}
