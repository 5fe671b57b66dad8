//! Faults of stage 2.

use axebpf_a64::PtRegs;
use axebpf_platform::{GuestPhys, GuestVirt};
use core::sync::atomic::Ordering;

use super::guest::ProbedGuest;
use super::page::{Page, page_of};
use super::point::{Armed, Point, count};
use super::slot::{Purpose, Slot, Step};
use crate::context::stage1_of;
use crate::deliver::is_kernel;
use crate::displace;
use crate::integration::{Abort, AccessKind, GuestVcpu, Outcome, View};
use crate::{Access, ProbeMode};

impl ProbedGuest {
    /// Handles a stage-2 fault.
    pub(super) fn abort(&self, vcpu: &mut dyn GuestVcpu, slot: &mut Slot, abort: Abort) -> Outcome {
        let Ok(guard) = axebpf_hit::enter() else {
            count(&self.statistics.errors);
            return Outcome::Handled;
        };
        let nothing = Armed::default();
        let armed = self.armed.load(&guard).unwrap_or(&nothing);
        let regs = vcpu.regs();
        let page = if armed.pages.is_empty() {
            None
        } else {
            let Some(at) = self.page_of_abort(vcpu, abort, &regs) else {
                // The guest has changed its tables since. It finds that out itself when it tries again.
                count(&self.statistics.retried);
                return Outcome::Handled;
            };
            armed.page(at)
        };
        let is_of_window = page.is_some_and(|page| page.mode == ProbeMode::Stage2Fault);
        let is_fetch = abort.kind == AccessKind::Fetch && !abort.on_walk;
        if is_fetch && slot.view == View::Window && !is_of_window {
            // The guest has left the pages that are executable there, perhaps for one with points of another mode.
            let view = self.home(slot);
            slot.set_view(vcpu, view);
            return Outcome::Handled;
        }
        let outcome = page.and_then(|page| self.page_fault(vcpu, slot, abort, &regs, armed, page));
        // The hit is over before the trap begins one of its own.
        drop(guard);
        match outcome {
            Some(outcome) => outcome,
            None if is_fetch => self.fetch_fault(vcpu, slot, &regs),
            None => self.retry_if_changed(slot),
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

    /// Handles a fault in a page with points, if it is one of what is done to the page.
    fn page_fault(
        &self,
        vcpu: &mut dyn GuestVcpu,
        slot: &mut Slot,
        abort: Abort,
        regs: &PtRegs,
        armed: &Armed,
        page: &Page,
    ) -> Option<Outcome> {
        let is_hidden = page.mode == ProbeMode::HiddenBrk;
        // A guest may have its tables where its text is; what walks them reads them.
        let kind = if abort.on_walk && abort.kind == AccessKind::Fetch {
            AccessKind::Read
        } else {
            abort.kind
        };
        match kind {
            AccessKind::Fetch if page.is_open() && (is_hidden || slot.view == View::Original) => {
                Some(self.close(armed, page))
            }
            AccessKind::Read if page.is_closed() => {
                Some(self.read_hidden(vcpu, slot, regs, armed, page))
            }
            AccessKind::Write if page.is_closed() => {
                let outcome = self.open(page);
                if is_hidden {
                    self.step_if_in(vcpu, slot, regs, page);
                }
                Some(outcome)
            }
            _ => None,
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
            return self.open(page);
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
        if slot.step.is_none()
            && slot.view != View::Original
            && own.is_some_and(|found| page_of(found.at) == page.at)
        {
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

    /// Lets the guest write a page. Whoever does not get the lock tries again by faulting again.
    fn open(&self, page: &Page) -> Outcome {
        let Some(_lock) = self.text.try_lock() else {
            return Outcome::Handled;
        };
        if page.is_open() {
            return Outcome::Handled;
        }
        count(&self.statistics.opened);
        match self.text_of().open(page) {
            Ok(()) => Outcome::Handled,
            Err(_) => self.failed(),
        }
    }

    /// Has a page executed again that the guest has written.
    fn close(&self, armed: &Armed, page: &Page) -> Outcome {
        let Some(_lock) = self.text.try_lock() else {
            return Outcome::Handled;
        };
        if !page.is_open() {
            return Outcome::Handled;
        }
        count(&self.statistics.closed);
        match self.text_of().close(page, armed.points_in(page.at)) {
            Ok(()) => Outcome::Handled,
            Err(_) => self.failed(),
        }
    }

    /// Leaves a fault to the hypervisor, because what there was to do about it has failed: most probably it has taken
    /// the page away from the guest.
    fn failed(&self) -> Outcome {
        count(&self.statistics.errors);
        Outcome::NotOurs
    }

    /// Handles a fetch from a page that is not executable.
    fn fetch_fault(&self, vcpu: &mut dyn GuestVcpu, slot: &mut Slot, regs: &PtRegs) -> Outcome {
        let fetched = {
            let Ok(guard) = axebpf_hit::enter() else {
                count(&self.statistics.errors);
                return Outcome::Handled;
            };
            self.armed
                .load(&guard)
                .map_or(Fetched::Elsewhere, |armed| self.fetched(vcpu, regs, armed))
        };
        match fetched {
            Fetched::Point => self.trap(vcpu, slot, regs, ProbeMode::Stage2Fault),
            Fetched::Beside => {
                slot.set_view(vcpu, View::Window);
                Outcome::Handled
            }
            Fetched::Elsewhere => self.retry_if_changed(slot),
        }
    }

    /// Returns what a vCPU has tried to fetch, and counts it if it is an instruction behind which points are not seen.
    fn fetched(&self, vcpu: &dyn GuestVcpu, regs: &PtRegs, armed: &Armed) -> Fetched {
        let at = GuestVirt::new(regs.pc);
        let Ok(found) = stage1_of(vcpu).translate(&*self.machine, at, Access::Fetch) else {
            return Fetched::Elsewhere;
        };
        let page = armed.page(page_of(found.at));
        let Some(page) = page.filter(|page| page.mode == ProbeMode::Stage2Fault) else {
            return Fetched::Elsewhere;
        };
        let point = armed
            .point_at(found.at)
            .filter(|known| is_kernel(regs.pstate) && known.point.is_armed());
        if point.is_some_and(|known| self.is_current(&known.point)) {
            return Fetched::Point;
        }
        count(&page.windows);
        count(&self.statistics.windows);
        Fetched::Beside
    }

    /// Takes note of what the guest has put at `point`, which it can without anybody noticing, and tells whether that
    /// can be displaced.
    fn is_current(&self, point: &Point) -> bool {
        let mut bytes = [0; 4];
        if self.machine.read_guest(point.phys, &mut bytes).is_err() {
            return false;
        }
        let word = u32::from_le_bytes(bytes);
        if word != point.word() {
            point.set_word(word);
        }
        displace::way(word).is_ok()
    }
}

/// What a vCPU has tried to fetch.
enum Fetched {
    Point,
    /// Another instruction of a page that is not executable because of a point.
    Beside,
    Elsewhere,
}
