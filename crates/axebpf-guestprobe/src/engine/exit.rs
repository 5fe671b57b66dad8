//! Exits and entries.

use core::sync::atomic::Ordering;

use axebpf_platform::{GuestPhys, GuestVirt, VcpuId};
use spin::Mutex;

use super::guest::ProbedGuest;
use super::hit::retire;
use super::page::{IMMEDIATE, page_of};
use super::point::{Armed, Subscribed, count};
use super::slot::{Purpose, Slot, Step, StepEnd};
use crate::deliver::{SS, is_kernel};
use crate::integration::{Capabilities, GuestExit, GuestVcpu, Outcome, Syndrome, View};
use crate::{Access, ProbeMode};

impl ProbedGuest {
    /// Handles a synchronous exit of `vcpu`, before the hypervisor looks at it.
    ///
    /// Called on the CPU that has the vCPU loaded, with interrupts masked, for every synchronous exit, or at least
    /// for those of the exception classes 0x16, 0x20, 0x24, 0x32 and 0x3c. On [`Outcome::Handled`] the guest is
    /// entered again, by way of [`prepare_entry`](Self::prepare_entry), without anything else being done about the
    /// exit. Nothing here waits but for other vCPUs to leave the guest.
    #[inline]
    pub fn handle_exit(&self, vcpu: &mut dyn GuestVcpu, syndrome: &Syndrome) -> Outcome {
        // A trap of ours outlives its probe in vCPUs that are just leaving the guest.
        let may_be_ours = syndrome.is_trap(IMMEDIATE)
            || self.attention.is_active()
                && syndrome.concerns_pages(|page| self.extent.contains(page));
        if may_be_ours {
            self.examine(vcpu, syndrome)
        } else {
            Outcome::NotOurs
        }
    }

    /// Handles an exit that probes may have caused.
    fn examine(&self, vcpu: &mut dyn GuestVcpu, syndrome: &Syndrome) -> Outcome {
        let Some(exit) = syndrome.exit() else {
            return Outcome::NotOurs;
        };
        let Some(slot) = self.slots.get(vcpu.name().vcpu.index()) else {
            return Outcome::NotOurs;
        };
        // Nobody else has it: a vCPU is loaded on one CPU.
        let slot = &mut *slot.lock();
        match exit {
            GuestExit::Brk { .. } if !is_kernel(vcpu.pstate()) => self.pass(vcpu, slot),
            GuestExit::Brk { .. } => self.trap(vcpu, slot, ProbeMode::Brk),
            GuestExit::Hvc { .. } if !is_kernel(vcpu.pstate()) => Outcome::NotOurs,
            GuestExit::Hvc { .. } => self.call(vcpu, slot),
            GuestExit::Step => match slot.step {
                Some(step) => {
                    self.stepped(vcpu, slot, step);
                    Outcome::Handled
                }
                None => Outcome::NotOurs,
            },
            GuestExit::Abort(abort) => self.abort(vcpu, slot, abort),
        }
    }

    /// Handles an `HVC` with our immediate, behind which the guest was left.
    fn call(&self, vcpu: &mut dyn GuestVcpu, slot: &mut Slot) -> Outcome {
        let (behind, pstate) = (vcpu.pc(), vcpu.pstate());
        vcpu.resume_at(behind.wrapping_sub(4), pstate);
        let outcome = self.trap(vcpu, slot, ProbeMode::Hvc);
        if outcome == Outcome::NotOurs {
            vcpu.resume_at(behind, pstate);
        } else if slot.debugs && slot.step.is_none() && vcpu.pc() == behind.wrapping_sub(4) {
            // If the guest steps itself, what it meets there now is its next instruction, after all.
            vcpu.resume_at(vcpu.pc(), vcpu.pstate() | SS);
        }
        outcome
    }

    /// Makes `vcpu` ready to enter the guest.
    ///
    /// Called before each entry, after all handling of the exit, on the CPU that has the vCPU loaded, with interrupts
    /// masked. It notices what the hypervisor has done to a vCPU that was being stepped: an instruction that it has
    /// emulated is executed. It neither makes vCPUs leave the guest nor waits for anybody who does.
    ///
    /// What it decides holds until the entry. So from before this call on,
    /// [`KickVcpus::kick_out`](crate::KickVcpus::kick_out) takes the vCPU for one that is in the guest.
    #[inline]
    pub fn prepare_entry(&self, vcpu: &mut dyn GuestVcpu) {
        if self.attention.is_wanted() {
            self.prepare(vcpu);
        }
    }

    /// Does what there is to do before an entry.
    fn prepare(&self, vcpu: &mut dyn GuestVcpu) {
        if self.attention.is_observing() {
            self.observe(vcpu);
        }
        if !self.attention.is_active() {
            return;
        }
        let Some(slot) = self.slots.get(vcpu.name().vcpu.index()) else {
            return;
        };
        {
            let slot = &mut *slot.lock();
            self.prepare_slot(vcpu, slot);
            slot.changes_at_entry = Some(self.changes.load(Ordering::Acquire));
        }
        if self.attention.is_draining() {
            self.settle();
        }
    }

    fn prepare_slot(&self, vcpu: &mut dyn GuestVcpu, slot: &mut Slot) {
        slot.debugs = self.capabilities.contains(Capabilities::ORIGINAL_VIEW)
            && vcpu
                .guest_debug()
                .is_some_and(|debug| debug.debugs_itself());
        match slot.step {
            Some(step) if vcpu.pc() != step.at => self.stepped(vcpu, slot, step),
            Some(_) => {}
            None if slot.view == View::Window && !self.is_without_probes(slot) => {}
            None => {
                let view = self.home(slot);
                slot.keep_view(vcpu, view);
            }
        }
    }

    /// Makes exits as cheap again as they were before the first probe, if no vCPU is on its way from a page that was
    /// given back since.
    fn settle(&self) {
        // Who has it is about to change pages, or asks for something; another entry will do.
        let Some(_state) = self.state.try_lock() else {
            return;
        };
        let changes = self.changes.load(Ordering::Acquire);
        let is_home = |slot: &Mutex<Slot>| {
            slot.try_lock()
                .is_some_and(|slot| slot.is_home_since(changes))
        };
        if self.attention.is_draining() && self.slots.iter().all(is_home) {
            self.extent.clear();
            self.attention.settle();
        }
    }

    /// Forgets what is known of a vCPU. Called when it is switched off and when it is reset, before it enters the guest
    /// again: the hypervisor has put its registers, its view ([`View::Main`]) and its interrupts to what they are at
    /// reset. For as long as one that is off has not been reset, exits of the others may stay dearer after the last
    /// probe is gone.
    pub fn reset_vcpu(&self, vcpu: VcpuId) {
        if let Some(slot) = self.slots.get(vcpu.index()) {
            // So that who holds the lock is not interrupted by who waits for it. Without a platform nobody does.
            let _guard = axebpf_hit::enter().ok();
            let slot = &mut *slot.lock();
            if slot.is_suspended {
                self.suspended_now.fetch_sub(1, Ordering::Relaxed);
            }
            *slot = Slot::new();
        }
    }

    /// Tells whether a vCPU has to run without probes: its guest debugs itself, and there are traps that would go to
    /// the guest then.
    fn is_without_probes(&self, slot: &Slot) -> bool {
        slot.debugs && self.brk_pages.load(Ordering::Acquire) != 0
    }

    /// Returns the view in which a vCPU runs when nothing is to be done for it.
    pub(super) fn home(&self, slot: &mut Slot) -> View {
        let is_suspended = self.is_without_probes(slot);
        self.note_suspended(slot, is_suspended);
        if is_suspended {
            View::Original
        } else {
            View::Main
        }
    }

    /// Takes note of whether a vCPU sees no probes because its guest debugs itself.
    pub(super) fn note_suspended(&self, slot: &mut Slot, is_suspended: bool) {
        match (slot.is_suspended, is_suspended) {
            (false, true) => {
                count(&self.statistics.suspended);
                self.suspended_now.fetch_add(1, Ordering::Relaxed);
            }
            (true, false) => {
                self.suspended_now.fetch_sub(1, Ordering::Relaxed);
            }
            _ => {}
        }
        slot.is_suspended = is_suspended;
    }

    /// Ends a step of `vcpu`.
    fn stepped(&self, vcpu: &mut dyn GuestVcpu, slot: &mut Slot, step: Step) {
        let view = self.home(slot);
        let end = slot.end(vcpu, step, view);
        if let (Purpose::Displaced { at, last, .. }, StepEnd::Retired) = (step.purpose, end)
            && let Ok(guard) = axebpf_hit::enter()
            && let Some(armed) = self.armed.load(&guard)
            && let Some(subscribed) = armed.point(at)
        {
            retire(subscribed, last);
            self.stay(vcpu, slot, armed, &subscribed.point);
        }
    }

    /// Has a program of the guest's execute the instruction behind a trap of ours: the guest uses the page for more
    /// than its kernel's text.
    fn pass(&self, vcpu: &mut dyn GuestVcpu, slot: &mut Slot) -> Outcome {
        let Ok(guard) = axebpf_hit::enter() else {
            return self.without_guard();
        };
        let nothing = Armed::default();
        let armed = self.armed.load(&guard).unwrap_or(&nothing);
        let point = self.place_of_pc(vcpu).and_then(|at| armed.point_at(at));
        let can_pass = |subscribed: &&Subscribed| {
            let point = &subscribed.point;
            point.is_armed() && self.capabilities.can_step(point.page.mode)
        };
        if point.filter(can_pass).is_none() {
            return self.stale(vcpu, armed, ProbeMode::Brk);
        }
        let (at, purpose) = (vcpu.pc(), Purpose::Access);
        slot.begin(vcpu, Step { at, purpose });
        Outcome::Handled
    }

    /// Returns the instruction that a vCPU meets at its program counter.
    pub(super) fn word_at(&self, vcpu: &dyn GuestVcpu, armed: &Armed) -> Option<u32> {
        let at = self.place_of_pc(vcpu)?;
        let page = armed
            .page(page_of(at))
            .filter(|page| page.mode == ProbeMode::HiddenBrk && !page.is_open());
        if let Some(shadow) = page.and_then(|page| page.shadow) {
            let offset = (at.get() & 0xffc) as u32;
            return Some(self.machine.shadow_pages()?.read_shadow(shadow, offset));
        }
        let mut bytes = [0; 4];
        self.machine.read_guest(at, &mut bytes).ok()?;
        Some(u32::from_le_bytes(bytes))
    }

    /// Returns where the instruction at a vCPU's program counter is, if the guest's tables say so at present.
    pub(super) fn place_of_pc(&self, vcpu: &dyn GuestVcpu) -> Option<GuestPhys> {
        let at = GuestVirt::new(vcpu.pc());
        let found = vcpu.stage1().translate(&*self.machine, at, Access::Fetch);
        found.ok().map(|found| found.at)
    }
}
