//! What each CPU knows about itself.

use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use aarch64_cpu::registers::{Readable, TPIDR_EL2, Writeable};
use axebpf::platform::{CpuId, Vcpu, VcpuId, VmId};

/// How many CPUs the testbed can use.
pub(crate) const MAX_CPUS: usize = 8;

const NONE: u64 = u64::MAX;
const NO_REASON: u32 = u32::MAX;

/// One CPU's own variables. `TPIDR_EL2` points at them.
pub(crate) struct PerCpu {
    id: u32,
    mpidr: AtomicU64,
    online: AtomicBool,
    /// The loaded vCPU: its VM in the upper half, its number in the lower.
    vcpu: AtomicU64,
    exit_reason: AtomicU32,
    reschedule: AtomicBool,
}

static CPUS: [PerCpu; MAX_CPUS] = {
    let mut cpus = [const { PerCpu::new(0) }; MAX_CPUS];
    let mut id = 0;
    while id < MAX_CPUS {
        cpus[id] = PerCpu::new(id as u32);
        id += 1;
    }
    cpus
};
static COUNT: AtomicU32 = AtomicU32::new(1);

impl PerCpu {
    const fn new(id: u32) -> Self {
        Self {
            id,
            mpidr: AtomicU64::new(0),
            online: AtomicBool::new(false),
            vcpu: AtomicU64::new(NONE),
            exit_reason: AtomicU32::new(NO_REASON),
            reschedule: AtomicBool::new(false),
        }
    }

    /// Returns the affinity fields of the CPU's `MPIDR_EL1`.
    pub(crate) fn mpidr(&self) -> u64 {
        self.mpidr.load(Ordering::Relaxed)
    }

    /// Tells whether the CPU executes hypervisor code.
    pub(crate) fn is_online(&self) -> bool {
        self.online.load(Ordering::Acquire)
    }

    /// Says that the CPU executes hypervisor code from now on.
    pub(crate) fn set_online(&self) {
        self.online.store(true, Ordering::Release);
    }

    /// Says which vCPU is loaded, and why it last left the guest.
    pub(crate) fn set_vcpu(&self, vcpu: Option<Vcpu>, reason: Option<u32>) {
        let word = vcpu.map_or(NONE, |vcpu| {
            u64::from(vcpu.vm.get()) << 32 | u64::from(vcpu.vcpu.get())
        });
        self.exit_reason
            .store(reason.unwrap_or(NO_REASON), Ordering::Relaxed);
        self.vcpu.store(word, Ordering::Relaxed);
    }

    /// Says why the loaded vCPU left the guest.
    pub(crate) fn set_exit_reason(&self, reason: u32) {
        self.exit_reason.store(reason, Ordering::Relaxed);
    }

    /// Returns which vCPU is loaded.
    pub(crate) fn vcpu(&self) -> Option<Vcpu> {
        let word = self.vcpu.load(Ordering::Relaxed);
        (word != NONE).then(|| Vcpu {
            vm: VmId::new((word >> 32) as u32),
            vcpu: VcpuId::new(word as u32),
        })
    }

    /// Returns why the loaded vCPU left the guest.
    pub(crate) fn exit_reason(&self) -> Option<u32> {
        let reason = self.exit_reason.load(Ordering::Relaxed);
        (reason != NO_REASON).then_some(reason)
    }

    /// Asks the CPU to schedule before it goes on with its current task.
    pub(crate) fn request_reschedule(&self) {
        self.reschedule.store(true, Ordering::Release);
    }

    /// Tells whether [`request_reschedule`](Self::request_reschedule) was called, and forgets it.
    pub(crate) fn take_reschedule(&self) -> bool {
        self.reschedule.swap(false, Ordering::AcqRel)
    }
}

/// Makes the executing CPU the one with number `id`.
pub(crate) fn init(id: CpuId, mpidr: u64) {
    let cpu = &CPUS[id.index()];
    cpu.mpidr.store(mpidr, Ordering::Relaxed);
    TPIDR_EL2.set(core::ptr::from_ref(cpu) as u64);
}

/// Returns the variables of the executing CPU.
pub(crate) fn this() -> &'static PerCpu {
    let at = TPIDR_EL2.get() as *const PerCpu;
    // SAFETY: `init` set the register on this CPU to an element of `CPUS` before anything else ran, and nothing changes
    // it.
    unsafe { &*at }
}

/// Returns the number of the executing CPU.
pub(crate) fn id() -> CpuId {
    CpuId::new(this().id)
}

/// Returns the variables of `cpu`, or `None` when there is no such CPU.
pub(crate) fn get(cpu: CpuId) -> Option<&'static PerCpu> {
    CPUS[..count() as usize].get(cpu.index())
}

/// Says how many CPUs the machine has; more than [`MAX_CPUS`] stay off.
pub(crate) fn set_count(count: usize) {
    COUNT.store(count.clamp(1, MAX_CPUS) as u32, Ordering::Relaxed);
}

/// Returns how many CPUs there are.
pub(crate) fn count() -> u32 {
    COUNT.load(Ordering::Relaxed)
}

/// Returns the numbers of all CPUs.
pub(crate) fn all() -> impl Iterator<Item = CpuId> {
    (0..count()).map(CpuId::new)
}
