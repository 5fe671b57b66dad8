//! Exits and entries.

use axebpf_platform::{GuestVirt, VcpuId};

use super::guest::ProbedGuest;
use super::hit::retire;
use super::page::{IMMEDIATE, page_of};
use super::point::{Armed, Subscribed, count};
use super::slot::{Purpose, Slot, Step, StepEnd};
use crate::context::stage1_of;
use crate::deliver::is_kernel;
use crate::integration::{Capabilities, GuestExit, GuestVcpu, Outcome, Syndrome, View};
use crate::{Access, ProbeMode};
use axebpf_a64::PtRegs;
use core::sync::atomic::Ordering;

impl ProbedGuest {
    /// Handles a synchronous exit of `vcpu`, before the hypervisor looks at it.
    ///
    /// Called on the CPU that has the vCPU loaded, with interrupts masked, for every synchronous exit, or at least
    /// for those of the exception classes 0x16, 0x20, 0x24, 0x32 and 0x3c. On [`Outcome::Handled`] the guest is
    /// entered again, by way of [`prepare_entry`](Self::prepare_entry), without anything else being done about the
    /// exit. Nothing here waits but for other vCPUs to leave the guest.
    pub fn handle_exit(&self, vcpu: &mut dyn GuestVcpu, syndrome: &Syndrome) -> Outcome {
        let Some(exit) = syndrome.exit().filter(|_| self.is_active()) else {
            return Outcome::NotOurs;
        };
        let Some(slot) = self.slots.get(vcpu.name().vcpu.index()) else {
            return Outcome::NotOurs;
        };
        // Nobody else has it: a vCPU is loaded on one CPU.
        let slot = &mut *slot.lock();
        match exit {
            GuestExit::Brk { immediate } => {
                let regs = vcpu.regs();
                if immediate != IMMEDIATE {
                    return Outcome::NotOurs;
                }
                if !is_kernel(regs.pstate) {
                    return self.pass(vcpu, slot, &regs);
                }
                self.trap(vcpu, slot, &regs, ProbeMode::Brk)
            }
            GuestExit::Hvc { immediate } => {
                let mut regs = vcpu.regs();
                if immediate != IMMEDIATE || !is_kernel(regs.pstate) {
                    return Outcome::NotOurs;
                }
                // The guest was left behind the instruction.
                regs.pc = regs.pc.wrapping_sub(4);
                self.trap(vcpu, slot, &regs, ProbeMode::Hvc)
            }
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

    /// Makes `vcpu` ready to enter the guest.
    ///
    /// Called before each entry, after all handling of the exit, on the CPU that has the vCPU loaded, with interrupts
    /// masked. It notices what the hypervisor has done to a vCPU that was being stepped: an instruction that it has
    /// emulated is executed.
    pub fn prepare_entry(&self, vcpu: &mut dyn GuestVcpu) {
        if !self.is_active() {
            return self.observe(vcpu);
        }
        let Some(slot) = self.slots.get(vcpu.name().vcpu.index()) else {
            return;
        };
        let slot = &mut *slot.lock();
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
        self.observe(vcpu);
        slot.changes_at_entry = self.changes.load(Ordering::Acquire);
    }

    /// Forgets what is known of a vCPU. Called when it is reset, before it enters the guest again: the hypervisor has
    /// put its registers, its view ([`View::Main`]) and its interrupts to what they are at reset.
    pub fn reset_vcpu(&self, vcpu: VcpuId) {
        if let Some(slot) = self.slots.get(vcpu.index()) {
            let slot = &mut *slot.lock();
            if slot.is_suspended {
                self.suspended_now.fetch_sub(1, Ordering::Relaxed);
            }
            *slot = Slot::new();
        }
    }

    /// Tells whether a vCPU has to run without probes: its guest debugs itself, and there are traps that would go to the
    /// guest then.
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
            && let Some(subscribed) = self.armed.load(&guard).and_then(|armed| armed.point(at))
        {
            retire(subscribed, last);
        }
    }

    /// Has a program of the guest's execute the instruction behind a trap of ours: the guest uses the page for more
    /// than its kernel's text.
    fn pass(&self, vcpu: &mut dyn GuestVcpu, slot: &mut Slot, regs: &PtRegs) -> Outcome {
        let Ok(guard) = axebpf_hit::enter() else {
            count(&self.statistics.errors);
            return Outcome::Handled;
        };
        let nothing = Armed::default();
        let armed = self.armed.load(&guard).unwrap_or(&nothing);
        let found =
            stage1_of(vcpu).translate(&*self.machine, GuestVirt::new(regs.pc), Access::Fetch);
        let point = found.ok().and_then(|found| armed.point_at(found.at));
        let can_pass = |subscribed: &&Subscribed| {
            let point = &subscribed.point;
            point.is_armed() && self.capabilities.can_step(point.page.mode)
        };
        if point.filter(can_pass).is_none() {
            return self.stale(vcpu, regs, armed, ProbeMode::Brk);
        }
        let (at, purpose) = (regs.pc, Purpose::Access);
        slot.begin(vcpu, Step { at, purpose });
        Outcome::Handled
    }

    /// Returns the instruction that a vCPU meets at its program counter.
    pub(super) fn word_at(
        &self,
        vcpu: &dyn GuestVcpu,
        regs: &PtRegs,
        armed: &Armed,
    ) -> Option<u32> {
        let at = GuestVirt::new(regs.pc);
        let found = stage1_of(vcpu)
            .translate(&*self.machine, at, Access::Fetch)
            .ok()?;
        let page = armed
            .page(page_of(found.at))
            .filter(|page| page.mode == ProbeMode::HiddenBrk && !page.is_open());
        if let Some(shadow) = page.and_then(|page| page.shadow) {
            let offset = (found.at.get() & 0xffc) as u32;
            return Some(self.machine.shadow_pages()?.read_shadow(shadow, offset));
        }
        let mut bytes = [0; 4];
        self.machine.read_guest(found.at, &mut bytes).ok()?;
        Some(u32::from_le_bytes(bytes))
    }
}
