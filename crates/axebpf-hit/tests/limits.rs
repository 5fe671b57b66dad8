//! What is refused before there is a platform, and for platforms that are too large or contradict themselves.

use std::sync::atomic::{AtomicU32, Ordering};

use axebpf_hit::text::{TextWrite, answer, cpu_online, write_fenced};
use axebpf_hit::{
    FenceError, HitError, MAX_CPUS, Missed, enter, in_hit, install, platform, quiesce,
};
use axebpf_platform::host::HOST;
use axebpf_platform::{
    Clock, Console, CoreSync, CpuId, Cpus, CurrentVcpu, ExecError, ExecMemory, ExecRegion,
    HostVirt, InterruptState, Interrupts, ReadFault, ReadMemory, TextError, TextPatch, Vcpu,
};

/// A machine of one CPU with any number.
struct Machine {
    limit: u32,
    current: AtomicU32,
}

static SMALL: Machine = Machine {
    limit: MAX_CPUS as u32,
    current: AtomicU32::new(0),
};

static LARGE: Machine = Machine {
    limit: MAX_CPUS as u32 + 1,
    current: AtomicU32::new(0),
};

fn write() -> Result<(), FenceError> {
    let at = HostVirt::new(0x1000);
    // SAFETY: The machine writes nothing.
    unsafe { write_fenced(&[TextWrite { at, bytes: &[0; 4] }]) }
}

#[test]
fn limits_are_errors() {
    assert!(platform().is_none());
    assert_eq!(enter().unwrap_err(), Missed::NotInstalled);
    assert!(!in_hit());
    assert_eq!(quiesce(), Ok(()));
    assert_eq!(write(), Err(FenceError::NotInstalled));
    answer();
    cpu_online();

    let limit = LARGE.limit;
    assert_eq!(install(&LARGE), Err(HitError::TooManyCpus { limit }));
    assert!(platform().is_none());
    install(&SMALL).unwrap();

    let cpu = CpuId::new(SMALL.limit);
    SMALL.current.store(cpu.get(), Ordering::Relaxed);
    assert_eq!(enter().unwrap_err(), Missed::UnknownCpu { cpu });
    assert_eq!(write(), Err(FenceError::UnknownCpu { cpu }));
    assert!(!in_hit());

    SMALL.current.store(cpu.get() - 1, Ordering::Relaxed);
    assert_eq!(enter().unwrap().cpu().index(), MAX_CPUS - 1);
    assert_eq!(write(), Ok(()));
}

impl Cpus for Machine {
    fn current_cpu(&self) -> CpuId {
        CpuId::new(self.current.load(Ordering::Relaxed))
    }

    fn cpu_limit(&self) -> u32 {
        self.limit
    }

    fn is_online(&self, cpu: CpuId) -> bool {
        cpu == self.current_cpu()
    }
}

impl Clock for Machine {
    fn now_ns(&self) -> u64 {
        HOST.now_ns()
    }
}

impl CoreSync for Machine {
    fn kick(&self, _cpu: CpuId) {}

    fn synchronize_context(&self) {}
}

impl TextPatch for Machine {
    unsafe fn write_text(&self, _at: HostVirt, _bytes: &[u8]) -> Result<(), TextError> {
        Ok(())
    }
}

impl Interrupts for Machine {
    fn mask(&self) -> InterruptState {
        HOST.mask()
    }

    fn restore(&self, state: InterruptState) {
        HOST.restore(state);
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
