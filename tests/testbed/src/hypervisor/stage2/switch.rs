//! Putting a VM's memory on a CPU, and changing what the CPU sees of it.
//!
//! All views of a VM, and all its vCPUs, share one VMID. It is not possible to give each view its own: a guest that
//! changes its tables invalidates TLBs for the VMID that is loaded where it executes `TLBI`, on all CPUs if it says so
//! (ARM ARM, TLB maintenance instructions: "the current VMID"). What another vCPU had cached under the VMID of another
//! view would stay, and that vCPU would go on reading and writing a page that the guest has given to somebody else.
//!
//! What has to be kept apart under one VMID is therefore kept apart in time, on each CPU by itself:
//!
//! - `VTTBR_EL2.CnP` is 0, so what a CPU caches is its own: CPUs may have different tables under one VMID at a time,
//!   and no entry that one of them has made is used by another.
//! - When a CPU goes from one view to another, or to another vCPU of the VM, it drops all that it has cached under the
//!   VMID ([`flush`]). vCPUs count too: to its guest each is a processor with a TLB of its own, which only `TLBI ..IS`
//!   of others reaches, and may use an ASID for other tables than the others do.
//! - When the CPU has run another VM in between, or none, but the same vCPU in the same view, what it still has cached
//!   is right: what changed in the meantime was invalidated on all CPUs, whether or not they had the VMID loaded.

use core::{
    arch::asm,
    sync::atomic::{AtomicU32, Ordering},
};

use aarch64_cpu::registers::{Readable, VTTBR_EL2, Writeable};
use axebpf::platform::VcpuId;

use super::{Stage2, View};
use crate::hypervisor::{
    percpu::{self, MAX_CPUS},
    sysreg,
};

/// The first level of tables that map nothing.
#[repr(C, align(4096))]
struct Nothing([u64; 512]);

static NOTHING: Nothing = Nothing([0; 512]);

/// What each CPU has cached of a VM: which vCPU it ran last, in which view.
pub(super) struct LastRun([AtomicU32; MAX_CPUS]);

/// What a CPU has in [`LastRun`] that has cached nothing, or must not use what it has.
const NOBODY: u32 = u32::MAX;

impl LastRun {
    pub(super) const fn nobody() -> Self {
        Self([const { AtomicU32::new(NOBODY) }; MAX_CPUS])
    }
}

fn run_of(vcpu: VcpuId, view: View) -> u32 {
    vcpu.get() << 2 | view as u32
}

impl Stage2 {
    /// Puts the memory on the executing CPU for `vcpu` in `view`.
    ///
    /// Called with interrupts masked, when the vCPU's EL1 registers are loaded: until then the CPU has tables that map
    /// nothing, so that nothing can be cached under the VMID of one VM that follows from the registers of another.
    /// Processors walk with such a mixture where they execute `AT` speculatively (Cortex-A57 1319537, A72 1319367, A76
    /// 1165522).
    pub(crate) fn load(&self, vcpu: VcpuId, view: View) {
        sysreg::context_barrier();
        let run = run_of(vcpu, view);
        let last = self.last_run.0[percpu::id().index()].swap(run, Ordering::Relaxed);
        if last == run {
            VTTBR_EL2.set(self.vttbr(view));
            sysreg::context_barrier();
            return;
        }
        self.flush_to(view);
        if last >> 2 != run >> 2 {
            // A vCPU with its caches off fetches past them, and what it fetches may stay in the instruction cache,
            // where another vCPU would find older text than it wrote.
            forget_instructions();
        }
    }

    /// Makes `vcpu`, which is loaded on the executing CPU, go on in `view`. Called with interrupts masked.
    pub(crate) fn switch(&self, vcpu: VcpuId, view: View) {
        let run = run_of(vcpu, view);
        if self.last_run.0[percpu::id().index()].swap(run, Ordering::Relaxed) != run {
            self.flush_to(view);
        }
    }

    /// Has `cpu` use nothing of what it has cached of the VM, once it loads one of its vCPUs.
    ///
    /// For a vCPU that starts anew, as a processor does after a reset.
    pub(crate) fn forget_run(&self, cpu: usize) {
        if let Some(last) = self.last_run.0.get(cpu) {
            last.store(NOBODY, Ordering::Relaxed);
        }
    }

    /// Drops what the executing CPU has cached of the VM, and loads the tables of `view`.
    fn flush_to(&self, view: View) {
        flush(self.empty_vttbr(), self.vttbr(view));
    }

    /// Returns a value for `VTTBR_EL2` with the number of the VM and tables that map nothing.
    fn empty_vttbr(&self) -> u64 {
        empty_vttbr(self.vmid.get())
    }
}

/// Takes the memory of whatever VM it is off the executing CPU.
pub(crate) fn unload() {
    VTTBR_EL2.set(empty_vttbr(0));
    sysreg::context_barrier();
}

/// Does `maintenance` of TLBs with number `vmid` in force on the executing CPU: it is for that one only.
pub(crate) fn with_vmid(vmid: u8, maintenance: impl FnOnce()) {
    let daif = sysreg::mask_interrupts();
    let loaded = VTTBR_EL2.get();
    if loaded >> 48 == u64::from(vmid) {
        // Whichever view it is.
        maintenance();
    } else {
        // Maintenance looks at the number alone. With its tables, the registers of the vCPU that is loaded could be
        // used speculatively, and what comes of that be cached for the wrong VM.
        VTTBR_EL2.set(empty_vttbr(vmid));
        sysreg::context_barrier();
        maintenance();
        VTTBR_EL2.set(loaded);
        sysreg::context_barrier();
    }
    sysreg::restore_interrupts(daif);
}

fn empty_vttbr(vmid: u8) -> u64 {
    u64::from(vmid) << 48 | (&raw const NOTHING).addr() as u64
}

/// Replaces the tables of the executing CPU, by way of `empty`, by those of `next`, which have the same VMID.
///
/// This is break-before-make (ARM ARM D8.16.1) for all entries at once. After the first `ISB` no walk starts from the
/// old tables. `TLBI` comes after it because it takes its VMID from `VTTBR_EL2`, and a write to that is seen by later
/// instructions only after an `ISB`; where the CPU comes from another VM, the VMID has changed with it. It is the one
/// for both stages: entries may be of stage 2, of stage 1, or of both combined, and what is kept of a walk half way is
/// among them. It is for this CPU only, and so is the `DSB`, after which nothing uses an old entry. Only then can a
/// walk find the new tables, so old and new entries are never there at once.
///
/// Guests are entered by an exception return, which synchronises the context once more.
fn flush(empty: u64, next: u64) {
    // SAFETY: EL2 does not translate by these tables. Both values lead to a first level of the size that `VTCR_EL2`
    // says: one that maps nothing, and that of a `Tree`, which is alive as long as the vCPU is loaded.
    unsafe {
        asm!(
            "msr vttbr_el2, {empty}",
            "isb",
            "tlbi vmalls12e1",
            "dsb nsh",
            "isb",
            "msr vttbr_el2, {next}",
            "isb",
            empty = in(reg) empty,
            next = in(reg) next,
            options(nostack, preserves_flags)
        )
    }
}

/// Drops all instructions that the executing CPU has cached.
fn forget_instructions() {
    // SAFETY: invalidating the instruction cache changes no value.
    unsafe {
        asm!(
            "ic iallu",
            "dsb nsh",
            "isb",
            options(nostack, preserves_flags)
        )
    }
}
