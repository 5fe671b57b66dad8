//! Exits and entries.

use axebpf_platform::{GuestPhys, GuestVirt, VcpuId};

use super::guest::ProbedGuest;
use super::hit::retire;
use super::page::{IMMEDIATE, Page, page_of};
use super::point::{Armed, count};
use super::slot::{Purpose, Slot, Step, StepEnd};
use crate::context::stage1_of;
use crate::deliver::is_kernel;
use crate::displace;
use crate::integration::{Abort, AccessKind, GuestExit, GuestVcpu, Outcome, Syndrome, View};
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
                if immediate != IMMEDIATE || !is_kernel(regs.pstate) {
                    return Outcome::NotOurs;
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
        match slot.step {
            Some(step) if vcpu.pc() != step.at => self.stepped(vcpu, slot, step),
            Some(_) => {}
            None if slot.view == View::Window => {}
            None => {
                let view = self.home(vcpu, slot);
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
            *slot.lock() = Slot::new();
        }
    }

    /// Returns the view in which `vcpu` runs when nothing is to be done for it.
    fn home(&self, vcpu: &dyn GuestVcpu, slot: &mut Slot) -> View {
        let debugs = vcpu
            .guest_debug()
            .is_some_and(|debug| debug.debugs_itself());
        if debugs && !slot.is_suspended {
            count(&self.statistics.suspended);
        }
        slot.is_suspended = debugs;
        if debugs { View::Original } else { View::Main }
    }

    /// Ends a step of `vcpu`.
    fn stepped(&self, vcpu: &mut dyn GuestVcpu, slot: &mut Slot, step: Step) {
        let view = self.home(vcpu, slot);
        let end = slot.end(vcpu, step, view);
        if let (Purpose::Displaced(at), StepEnd::Retired) = (step.purpose, end)
            && let Ok(guard) = axebpf_hit::enter()
            && let Some(subscribed) = self.armed.load(&guard).and_then(|armed| armed.point(at))
        {
            retire(subscribed);
        }
    }

    /// Handles a stage-2 fault.
    fn abort(&self, vcpu: &mut dyn GuestVcpu, slot: &mut Slot, abort: Abort) -> Outcome {
        let Ok(guard) = axebpf_hit::enter() else {
            return Outcome::NotOurs;
        };
        let nothing = Armed::default();
        let armed = self.armed.load(&guard).unwrap_or(&nothing);
        let regs = vcpu.regs();
        let page = (!armed.pages.is_empty())
            .then(|| self.page_of_abort(vcpu, abort, &regs))
            .flatten()
            .and_then(|page| armed.page(page));
        let is_of_window = page.is_some_and(|page| page.mode == ProbeMode::Stage2Fault);
        if abort.kind == AccessKind::Fetch && slot.view == View::Window && !is_of_window {
            // The guest has left the pages that are executable there, perhaps for one with points of another mode.
            let view = self.home(vcpu, slot);
            slot.set_view(vcpu, view);
            return Outcome::Handled;
        }
        let outcome = match page {
            Some(page) => self.page_fault(vcpu, slot, abort, &regs, armed, page),
            None => Outcome::NotOurs,
        };
        // The hit is over before the trap begins one of its own.
        drop(guard);
        match outcome {
            Outcome::Handled => Outcome::Handled,
            Outcome::NotOurs if abort.kind == AccessKind::Fetch => {
                self.fetch_fault(vcpu, slot, &regs)
            }
            Outcome::NotOurs => self.retry_if_changed(slot),
        }
    }

    /// Takes a fault as that of a mapping that is no more, if mappings have changed since the vCPU entered the guest.
    fn retry_if_changed(&self, slot: &Slot) -> Outcome {
        let is_changing = self.text.is_locked();
        if is_changing || self.changes.load(Ordering::Acquire) != slot.changes_at_entry {
            count(&self.statistics.retried);
            Outcome::Handled
        } else {
            Outcome::NotOurs
        }
    }

    /// Returns the page in which a fault happened.
    fn page_of_abort(
        &self,
        vcpu: &dyn GuestVcpu,
        abort: Abort,
        regs: &PtRegs,
    ) -> Option<GuestPhys> {
        if let Some(page) = abort.page {
            return Some(page);
        }
        let (at, access) = match abort.kind {
            AccessKind::Fetch => (GuestVirt::new(regs.pc), Access::Fetch),
            AccessKind::Read | AccessKind::Write => (abort.virt?, Access::Data),
        };
        let found = stage1_of(vcpu).translate(&*self.machine, at, access).ok()?;
        Some(page_of(found.at))
    }

    /// Handles a fault in a page with points.
    fn page_fault(
        &self,
        vcpu: &mut dyn GuestVcpu,
        slot: &mut Slot,
        abort: Abort,
        regs: &PtRegs,
        armed: &Armed,
        page: &Page,
    ) -> Outcome {
        match (page.mode, abort.kind) {
            (ProbeMode::HiddenBrk, AccessKind::Fetch) if page.is_open() => {
                self.close(armed, page);
                Outcome::Handled
            }
            (ProbeMode::HiddenBrk, AccessKind::Read) if !page.is_open() => {
                self.read_hidden(vcpu, slot, regs, armed, page)
            }
            (ProbeMode::HiddenBrk, AccessKind::Write) if !page.is_open() => {
                self.open(page);
                self.step_if_in(vcpu, slot, regs, page);
                Outcome::Handled
            }
            _ => Outcome::NotOurs,
        }
    }

    /// Lets the guest read a hidden page: the one instruction, in the view in which the page is what it was.
    fn read_hidden(
        &self,
        vcpu: &mut dyn GuestVcpu,
        slot: &mut Slot,
        regs: &PtRegs,
        armed: &Armed,
        page: &Page,
    ) -> Outcome {
        if self.text.is_locked() || slot.step.is_some() {
            // Either the page is being written, or a step faults on what it may read, which is over soon.
            return self.retry_if_changed(slot);
        }
        let is_exclusive = self
            .word_at(vcpu, regs, armed)
            .is_some_and(displace::is_exclusive);
        if is_exclusive {
            self.open(page);
            return Outcome::Handled;
        }
        count(&self.statistics.reads);
        slot.begin(
            vcpu,
            Step {
                at: regs.pc,
                purpose: Purpose::Access,
            },
        );
        Outcome::Handled
    }

    /// Steps an instruction that writes the page in which it is itself: it could not be fetched otherwise.
    fn step_if_in(&self, vcpu: &mut dyn GuestVcpu, slot: &mut Slot, regs: &PtRegs, page: &Page) {
        let own = stage1_of(vcpu)
            .translate(&*self.machine, GuestVirt::new(regs.pc), Access::Fetch)
            .ok();
        if slot.step.is_none() && own.is_some_and(|found| page_of(found.at) == page.at) {
            let purpose = Purpose::Access;
            slot.begin(
                vcpu,
                Step {
                    at: regs.pc,
                    purpose,
                },
            );
        }
    }

    /// Lets the guest write a hidden page. Whoever does not get the lock tries again by faulting again.
    fn open(&self, page: &Page) {
        if let Some(_lock) = self.text.try_lock() {
            count(&self.statistics.opened);
            if self.text_of().open(page).is_err() {
                count(&self.statistics.errors);
            }
        }
    }

    /// Hides a page again that the guest has written.
    fn close(&self, armed: &Armed, page: &Page) {
        let Some(_lock) = self.text.try_lock() else {
            return;
        };
        if !page.is_open() {
            return;
        }
        count(&self.statistics.closed);
        let points = armed.points_in(page).map(|subscribed| &*subscribed.point);
        if self.text_of().close(page, points).is_err() {
            count(&self.statistics.errors);
        }
    }

    /// Handles a fetch from a page that is not executable.
    fn fetch_fault(&self, vcpu: &mut dyn GuestVcpu, slot: &mut Slot, regs: &PtRegs) -> Outcome {
        let kind = {
            let Ok(guard) = axebpf_hit::enter() else {
                return Outcome::Handled;
            };
            self.armed
                .load(&guard)
                .map_or(Fetched::Elsewhere, |armed| self.fetched(vcpu, regs, armed))
        };
        match kind {
            Fetched::Point => self.trap(vcpu, slot, regs, ProbeMode::Stage2Fault),
            Fetched::Beside => {
                slot.set_view(vcpu, View::Window);
                Outcome::Handled
            }
            Fetched::Elsewhere => self.retry_if_changed(slot),
        }
    }

    /// Returns what a vCPU has tried to fetch.
    fn fetched(&self, vcpu: &dyn GuestVcpu, regs: &PtRegs, armed: &Armed) -> Fetched {
        let at = GuestVirt::new(regs.pc);
        let Ok(found) = stage1_of(vcpu).translate(&*self.machine, at, Access::Fetch) else {
            return Fetched::Elsewhere;
        };
        match armed.page(page_of(found.at)) {
            Some(page) if page.mode == ProbeMode::Stage2Fault => {
                if is_kernel(regs.pstate) && armed.point_at(found.at).is_some() {
                    Fetched::Point
                } else {
                    Fetched::Beside
                }
            }
            _ => Fetched::Elsewhere,
        }
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

/// What a vCPU has tried to fetch.
enum Fetched {
    Point,
    /// Another instruction of a page that is not executable because of a point.
    Beside,
    Elsewhere,
}
