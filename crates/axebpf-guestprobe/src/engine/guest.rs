//! One virtual machine and its probes.

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use axebpf_hit::Snapshot;
use axebpf_platform::GuestVirt;
use spin::Mutex;

use super::attention::{Attention, Extent};
use super::calls::Calls;
use super::point::Armed;
use super::sites::Sites;
use super::slot::Slot;
use super::stage::{GuestStage, Stage};
use super::state::State;
use super::text::Text;
use crate::deliver::{is_kernel, is_user};
use crate::integration::{Capabilities, GuestMachine, GuestVcpu, SystemRegister};
use crate::{Access, Stage1};

/// The probes of one virtual machine. The hypervisor keeps one beside each VM, and calls it at exits and entries.
///
/// Management ([`attach`](Self::attach), [`detach`](Self::detach), [`run_deferred`](Self::run_deferred)) is called
/// from a task with interrupts open; exits and entries ([`handle_exit`](Self::handle_exit),
/// [`prepare_entry`](Self::prepare_entry)) on the CPU that has the vCPU loaded, with interrupts masked. They may be
/// called at the same time.
///
/// It holds the machine for as long as it lives. Where the machine is the hypervisor's VM itself, which holds this,
/// put a weak reference in between.
pub struct ProbedGuest {
    pub(super) machine: Arc<dyn GuestMachine>,
    pub(super) capabilities: Capabilities,
    /// What hits and exits read.
    pub(super) armed: Snapshot<Armed>,
    /// Taken for changing text and mappings. Exits try it and let the guest try again; they never wait for it.
    pub(super) text: Mutex<()>,
    /// How often mappings were changed, twice for each change.
    pub(super) changes: AtomicU64,
    /// One for each vCPU.
    pub(super) slots: Box<[Mutex<Slot>]>,
    pub(super) sites: Sites,
    pub(super) calls: Calls,
    /// How many pages have, or are about to have, traps that need `MDCR_EL2.TDE`.
    pub(super) brk_pages: AtomicU32,
    /// How many vCPUs run without probes at present.
    pub(super) suspended_now: AtomicU32,
    pub(super) statistics: Statistics,
    /// The management lock.
    pub(super) state: Mutex<State>,
    /// Whether exits and entries matter.
    pub(super) attention: Attention,
    /// Where faults may be because of pages with points.
    pub(super) extent: Extent,
    /// How a vCPU translated addresses when it last entered the guest's kernel.
    observed: Mutex<Option<Stage1>>,
    stage: Stage,
}

/// Counts of what else happens because of probes, since the VM was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuestStatistics {
    /// Traps on instructions that had been taken away in the meantime.
    pub stale: u64,
    /// Displaced instructions that were stepped.
    pub steps: u64,
    /// Reads of hidden pages that were stepped.
    pub reads: u64,
    /// Pages with points that were opened because the guest wrote them.
    pub opened: u64,
    /// Those that were closed because it executed them again.
    pub closed: u64,
    /// How often a vCPU has begun to run instructions of pages with stage-2-fault probes, where their points are not
    /// seen.
    pub windows: u64,
    /// Faults that a change of the mapping under the vCPU had caused.
    pub retried: u64,
    /// Exits at which the guest's tables did not say where the vCPU was, or what it accessed. It tried again.
    pub lost: u64,
    /// Traps with the immediate of probes that were the guest's own.
    pub foreign: u64,
    /// How often a vCPU went on without probes because the guest debugged itself.
    pub suspended: u64,
    /// Points whose instruction was put back because it could, the way things were, neither be simulated nor stepped:
    /// where there are no steps, or because it stores into the page that it is in, whose trap is in plain sight.
    pub withdrawn: u64,
    /// What failed in an exit, where nobody could be told: most of it changes of mappings or text.
    pub errors: u64,
}

/// The counters behind [`GuestStatistics`].
#[derive(Default)]
pub(super) struct Statistics {
    pub(super) stale: AtomicU64,
    pub(super) steps: AtomicU64,
    pub(super) reads: AtomicU64,
    pub(super) opened: AtomicU64,
    pub(super) closed: AtomicU64,
    pub(super) windows: AtomicU64,
    pub(super) retried: AtomicU64,
    pub(super) lost: AtomicU64,
    pub(super) foreign: AtomicU64,
    pub(super) suspended: AtomicU64,
    pub(super) withdrawn: AtomicU64,
    pub(super) errors: AtomicU64,
}

impl ProbedGuest {
    /// Takes a virtual machine. Nothing is changed in it until a probe is attached.
    #[must_use]
    pub fn new(machine: Arc<dyn GuestMachine>) -> Self {
        let capabilities = Capabilities::of(&*machine);
        let slots = (0..machine.vcpu_limit())
            .map(|_| Mutex::new(Slot::new()))
            .collect();
        Self {
            machine,
            capabilities,
            armed: Snapshot::empty(),
            text: Mutex::new(()),
            changes: AtomicU64::new(0),
            slots,
            sites: Sites::new(),
            calls: Calls::new(),
            brk_pages: AtomicU32::new(0),
            suspended_now: AtomicU32::new(0),
            statistics: Statistics::default(),
            state: Mutex::new(State::default()),
            attention: Attention::new(),
            extent: Extent::empty(),
            observed: Mutex::new(None),
            stage: Stage::default(),
        }
    }

    /// Returns the virtual machine.
    #[must_use]
    pub fn machine(&self) -> &Arc<dyn GuestMachine> {
        &self.machine
    }

    /// Returns what the hypervisor offers for this VM.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// Returns how the guest's kernel translated addresses when a vCPU last entered it, or `None` as long as that has
    /// not happened with translation enabled since the guest was started, which [`disarm_all`](Self::disarm_all)
    /// says.
    ///
    /// Once programs run in the guest ([`GuestStage::User`]), vCPUs take note of it only when somebody asks. So this
    /// has them leave the guest, and waits for a moment; if none of them is in the kernel then, or runs at all, what is
    /// known from before is returned, which a kernel that another one has started in its place (`kexec`) may have made
    /// wrong. Called in management.
    #[must_use]
    pub fn stage1(&self) -> Option<Stage1> {
        self.ask();
        // Without a platform there are no hits that could want the lock.
        let _guard = axebpf_hit::enter().ok();
        *self.observed.lock()
    }

    /// Asks vCPUs to take note of how they translate addresses, and gives those that run a moment to do so.
    fn ask(&self) {
        /// How often to look whether one has. None may run, or enter the kernel, for long.
        const LOOKS: usize = 10_000;
        if self.attention.is_observing() {
            return;
        }
        self.attention.observe();
        if let Some(kick) = self.machine.kick_vcpus() {
            kick.kick_out();
        }
        for _ in 0..LOOKS {
            if !self.attention.is_observing() {
                return;
            }
            core::hint::spin_loop();
        }
    }

    /// Returns how far the guest's system has come since it was started, which [`disarm_all`](Self::disarm_all) says.
    #[must_use]
    pub fn stage(&self) -> GuestStage {
        self.stage.get()
    }

    /// Returns what else has happened.
    #[must_use]
    pub fn statistics(&self) -> GuestStatistics {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.statistics;
        GuestStatistics {
            stale: read(&counters.stale),
            steps: read(&counters.steps),
            reads: read(&counters.reads),
            opened: read(&counters.opened),
            closed: read(&counters.closed),
            windows: read(&counters.windows),
            retried: read(&counters.retried),
            lost: read(&counters.lost),
            foreign: read(&counters.foreign),
            suspended: read(&counters.suspended),
            withdrawn: read(&counters.withdrawn),
            errors: read(&counters.errors),
        }
    }

    /// Returns what changes text. The caller holds the text lock.
    pub(super) fn text_of(&self) -> Text<'_> {
        Text {
            machine: &*self.machine,
            capabilities: self.capabilities,
            changes: &self.changes,
        }
    }

    /// Takes note of how `vcpu`, which is about to enter the guest, translates addresses, and what that says of the
    /// guest.
    pub(super) fn observe(&self, vcpu: &dyn GuestVcpu) {
        let (pstate, stage) = (vcpu.pstate(), self.stage.get());
        if is_kernel(pstate) {
            let stage1 = vcpu.stage1();
            if !stage1.is_enabled() {
                return;
            }
            if let Some(mut observed) = self.observed.try_lock() {
                if stage == GuestStage::User {
                    if !self.is_of_kernel(vcpu, &stage1, *observed) {
                        return;
                    }
                    // It stays like that.
                    self.attention.has_observed();
                }
                *observed = Some(stage1);
            }
            let vectors = || vcpu.system_register(SystemRegister::VbarEl1);
            if stage == GuestStage::Off && vectors() >> 63 != 0 {
                self.stage.advance(stage);
            }
        } else if stage == GuestStage::Kernel && is_user(pstate) && vcpu.stage1().is_enabled() {
            self.stage.advance(stage);
        }
    }

    /// Tells whether `stage1`, of a vCPU that is in the kernel while there are programs, is how the kernel translates
    /// addresses. Linux with page table isolation has other tables for a few instructions at each entry to the kernel,
    /// which map no stack (`tramp_pg_dir`, arch/arm64/kernel/entry.S).
    fn is_of_kernel(&self, vcpu: &dyn GuestVcpu, stage1: &Stage1, known: Option<Stage1>) -> bool {
        /// Where `TTBR1_EL1` has an address, without an ASID.
        const BASE: u64 = 0xffff_ffff_ffff;
        let is_known = known.is_some_and(|known| (known.ttbr1 ^ stage1.ttbr1) & BASE == 0);
        let stack = GuestVirt::new(vcpu.regs().sp.wrapping_sub(8));
        is_known
            || stage1
                .translate(&*self.machine, stack, Access::Data)
                .is_ok()
    }

    /// Forgets what vCPUs have shown of a system that is started anew.
    pub(super) fn forget_system(&self) {
        self.stage.reset();
        self.attention.observe();
        // Without a platform there are no hits that could want the lock.
        let _guard = axebpf_hit::enter().ok();
        *self.observed.lock() = None;
    }
}

impl Drop for ProbedGuest {
    fn drop(&mut self) {
        // Nobody enters or leaves the guest through this any more. What fails here leaves a trap behind, as it would
        // if it had failed at a detach; there is nobody left to tell.
        let state = core::mem::take(self.state.get_mut());
        let text = self.text_of();
        for point in state.armed_points() {
            let _ = text.disarm(point);
        }
        for page in state.prepared_pages() {
            let _ = text.release(page);
        }
    }
}

impl core::fmt::Debug for ProbedGuest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ProbedGuest")
            .field("vm", &self.machine.vm())
            .field("capabilities", &self.capabilities)
            .finish_non_exhaustive()
    }
}
