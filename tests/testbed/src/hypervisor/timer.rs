//! Time: the EL2 physical timer of each CPU drives its ticks and its sleepers; the virtual timer belongs to the guest.

use core::sync::atomic::{AtomicU64, Ordering};

use aarch64_cpu::registers::{
    CNTFRQ_EL0, CNTHCTL_EL2, CNTPCT_EL0, CNTV_CTL_EL0, CNTV_CVAL_EL0, CNTVOFF_EL2, ReadWriteable,
    Readable, Writeable,
};
use arm_gic::IntId;
use axebpf::tracepoint::{trace, vmm};

use super::{
    percpu::{self, MAX_CPUS},
    sched, sysreg, vcpu,
};

/// The interrupt of the EL2 physical timer.
pub(crate) const HOST_TIMER: IntId = IntId::ppi(10);
/// The interrupt of the virtual timer.
pub(crate) const GUEST_TIMER: IntId = IntId::ppi(11);

/// A time that never comes.
pub(crate) const NEVER: u64 = u64::MAX;

/// Nanoseconds between two ticks of a CPU, which also are the time slice of a task.
const TICK_NS: u64 = 4_000_000;

/// When each CPU ticks next.
static NEXT_TICK: [AtomicU64; MAX_CPUS] = [const { AtomicU64::new(0) }; MAX_CPUS];

/// How often each CPU has ticked.
static TICKS: [AtomicU64; MAX_CPUS] = [const { AtomicU64::new(0) }; MAX_CPUS];

/// Returns the nanoseconds since the machine started.
pub(crate) fn now_ns() -> u64 {
    sysreg::context_barrier();
    ticks_to_ns(CNTPCT_EL0.get())
}

/// Converts ticks of the system counter to nanoseconds.
pub(crate) fn ticks_to_ns(ticks: u64) -> u64 {
    let frequency = CNTFRQ_EL0.get().max(1);
    (u128::from(ticks) * 1_000_000_000 / u128::from(frequency)) as u64
}

fn ns_to_ticks(ns: u64) -> u64 {
    (u128::from(ns) * u128::from(CNTFRQ_EL0.get()) / 1_000_000_000).min(u128::from(u64::MAX)) as u64
}

/// Starts the ticks of the executing CPU.
pub(crate) fn init_cpu() {
    // Guests may read the physical counter; its timer is not for them.
    CNTHCTL_EL2.write(CNTHCTL_EL2::EL1PCTEN::SET + CNTHCTL_EL2::EL1PCEN::CLEAR);
    CNTV_CTL_EL0.set(0);
    NEXT_TICK[percpu::id().index()].store(now_ns() + TICK_NS, Ordering::Relaxed);
    program();
}

/// Sets the executing CPU's timer for whatever comes first: its tick, or the end of a task's sleep.
pub(crate) fn program() {
    let tick = NEXT_TICK[percpu::id().index()].load(Ordering::Relaxed);
    let deadline = tick.min(sched::next_wakeup());
    set_deadline(ns_to_ticks(deadline).saturating_add(1));
}

fn set_deadline(ticks: u64) {
    // SAFETY: the timer of EL2 is the hypervisor's own.
    unsafe {
        core::arch::asm!("msr cnthp_cval_el2, {}", in(reg) ticks, options(nomem, nostack, preserves_flags))
    }
    // SAFETY: as above; 1 enables the timer and leaves its interrupt unmasked.
    unsafe {
        core::arch::asm!("msr cnthp_ctl_el2, {}", in(reg) 1_u64, options(nomem, nostack, preserves_flags))
    }
    sysreg::context_barrier();
}

/// Handles the interrupt of the executing CPU's EL2 timer.
pub(crate) fn handle_host_timer() {
    let now = now_ns();
    let cpu = percpu::id().index();
    if now >= NEXT_TICK[cpu].load(Ordering::Relaxed) {
        let next_ns = now + TICK_NS;
        NEXT_TICK[cpu].store(next_ns, Ordering::Relaxed);
        let ticks = TICKS[cpu].fetch_add(1, Ordering::Relaxed);
        trace!(vmm::timer_tick { ticks, next_ns });
        percpu::this().request_reschedule();
    }
    sched::wake_sleepers(now);
    program();
}

fn trace_expired_guest_timer() {
    let Some(vcpu) = percpu::this().vcpu() else {
        return;
    };
    let deadline = CNTV_CVAL_EL0.get().wrapping_add(CNTVOFF_EL2.get());
    trace!(vmm::timer_event {
        vm_id: vcpu.vm.get(),
        vcpu_id: vcpu.vcpu.get(),
        deadline_ns: ticks_to_ns(deadline),
        late_ns: now_ns().saturating_sub(ticks_to_ns(deadline)),
    });
}

/// Handles the interrupt of the virtual timer: hands it to the vCPU that set it.
///
/// The timer stays masked until the guest sets it again, because its level would otherwise interrupt EL2 for ever.
pub(crate) fn handle_guest_timer() {
    CNTV_CTL_EL0.modify(CNTV_CTL_EL0::IMASK::SET);
    sysreg::context_barrier();
    trace_expired_guest_timer();
    vcpu::inject_timer();
}
