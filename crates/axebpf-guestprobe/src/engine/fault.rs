//! Faults of stage 2.

use core::sync::atomic::Ordering;

use axebpf_hit::HitGuard;
use axebpf_platform::GuestPhys;

use super::guest::ProbedGuest;
use super::hit::Hit;
use super::page::{PAGE_SIZE, Page, page_of};
use super::point::{Armed, Point, count};
use super::slot::{Purpose, Slot, Step};
use crate::deliver::is_kernel;
use crate::displace;
use crate::integration::{Abort, AccessKind, GuestVcpu, Outcome, View};
use crate::{Access, ProbeMode};

impl ProbedGuest {
    /// Handles a stage-2 fault.
    pub(super) fn abort(&self, vcpu: &mut dyn GuestVcpu, slot: &mut Slot, abort: Abort) -> Outcome {
        // Asked before anything is looked at: what is published while this runs may be seen too late, and the change
        // that it is about be over when nothing else explains the fault.
        let was_changing = self.has_changed(slot);
        match self.explain(vcpu, slot, abort) {
            Outcome::NotOurs if was_changing => self.retried(),
            outcome => outcome,
        }
    }

    /// Does about a stage-2 fault what is to be done if it is one of what is done to pages.
    fn explain(&self, vcpu: &mut dyn GuestVcpu, slot: &mut Slot, abort: Abort) -> Outcome {
        let Ok(guard) = axebpf_hit::enter() else {
            return self.without_guard();
        };
        let Some(armed) = self.armed.load(&guard) else {
            return self.retry_if_changed(slot);
        };
        let Some(at) = self.place_of_abort(vcpu, abort) else {
            // The guest has changed its tables since. It finds that out itself when it tries again.
            count(&self.statistics.lost);
            return Outcome::Handled;
        };
        let page = armed.page(page_of(at));
        let is_of_window = page.is_some_and(|page| page.mode == ProbeMode::Stage2Fault);
        if abort.is_fetch() && slot.view == View::Window && !is_of_window {
            // The guest has left the pages that are executable there, perhaps for one with points of another mode.
            let view = self.home(slot);
            slot.set_view(vcpu, view);
            return Outcome::Handled;
        }
        let Some(page) = page else {
            return self.retry_if_changed(slot);
        };
        // In other views, a page of that mode is executable unless its mapping is just being changed.
        if abort.is_fetch() && is_of_window && slot.view == View::Main {
            return self.fetched(vcpu, slot, &guard, Fetched { armed, page, at });
        }
        self.page_fault(vcpu, slot, abort, armed, page)
            .unwrap_or_else(|| self.retry_if_changed(slot))
    }

    /// Takes a fault as that of a mapping that is no more, if mappings have changed since the vCPU entered the guest.
    fn retry_if_changed(&self, slot: &Slot) -> Outcome {
        if self.has_changed(slot) {
            self.retried()
        } else {
            Outcome::NotOurs
        }
    }

    /// Tells whether mappings have changed since the vCPU entered the guest, or are being changed.
    fn has_changed(&self, slot: &Slot) -> bool {
        self.text.is_locked() || slot.changes_at_entry != Some(self.changes.load(Ordering::Acquire))
    }

    /// Has the guest do again what has faulted.
    fn retried(&self) -> Outcome {
        count(&self.statistics.retried);
        Outcome::Handled
    }

    /// Returns where a fault happened: the instruction that was fetched, or the page.
    fn place_of_abort(&self, vcpu: &dyn GuestVcpu, abort: Abort) -> Option<GuestPhys> {
        if let Some(page) = abort.page {
            let offset = if abort.is_fetch() {
                vcpu.pc() % PAGE_SIZE
            } else {
                0
            };
            return Some(GuestPhys::new(page.get() | offset));
        }
        if abort.kind == AccessKind::Fetch {
            return self.place_of_pc(vcpu);
        }
        let found = vcpu
            .stage1()
            .translate(&*self.machine, abort.virt?, Access::Data);
        found.ok().map(|found| found.at)
    }

    /// Handles a fault in a page with points, if it is one of what is done to the page.
    fn page_fault(
        &self,
        vcpu: &mut dyn GuestVcpu,
        slot: &mut Slot,
        abort: Abort,
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
            // The processor takes a note in a table (`TCR_EL1.HA`): an open page can be written, and stepped in.
            AccessKind::Read if page.is_closed() && abort.on_walk && slot.step.is_some() => {
                Some(self.open(page))
            }
            AccessKind::Read if page.is_closed() => Some(self.read_hidden(vcpu, slot, armed, page)),
            AccessKind::Write if page.is_closed() => {
                Some(self.write_closed(vcpu, slot, armed, page))
            }
            _ => None,
        }
    }

    /// Lets the guest read a hidden page: the one instruction, in the view in which the page is what it was.
    fn read_hidden(
        &self,
        vcpu: &mut dyn GuestVcpu,
        slot: &mut Slot,
        armed: &Armed,
        page: &Page,
    ) -> Outcome {
        if self.text.is_locked() || slot.step.is_some() {
            // Either the page is being written, or a step faults on what it may read, which is over soon.
            return self.retry_if_changed(slot);
        }
        let is_exclusive = self
            .word_at(vcpu, armed)
            .is_some_and(displace::is_exclusive);
        if is_exclusive {
            return self.open(page);
        }
        count(&self.statistics.reads);
        let (at, purpose) = (vcpu.pc(), Purpose::Access);
        slot.begin(vcpu, Step { at, purpose });
        Outcome::Handled
    }

    /// Lets the guest write a page that is executed without being written.
    fn write_closed(
        &self,
        vcpu: &mut dyn GuestVcpu,
        slot: &mut Slot,
        armed: &Armed,
        page: &Page,
    ) -> Outcome {
        let own = self.place_of_pc(vcpu).filter(|&at| page_of(at) == page.at);
        let Some(own) = own else {
            return self.open(page);
        };
        match (page.is_hidden(), slot.step) {
            (true, None) if slot.view != View::Original => {
                let outcome = self.open(page);
                // It could not be fetched otherwise.
                let (at, purpose) = (vcpu.pc(), Purpose::Access);
                slot.begin(vcpu, Step { at, purpose });
                outcome
            }
            (false, Some(step)) => {
                // What is executed without the trap cannot be written at the same time.
                let view = self.home(slot);
                slot.end(vcpu, step, view);
                if let Some(subscribed) = armed.point_at(own) {
                    self.withdraw(vcpu, slot, &subscribed.point);
                }
                Outcome::Handled
            }
            // What runs there without traps for long, because the guest debugs itself, cannot be stepped.
            (false, None) if slot.view == View::Original => self.give_up(armed, page),
            _ => self.open(page),
        }
    }

    /// Takes the traps out of a page, so that whoever executes it without seeing them can write it, too.
    fn give_up(&self, armed: &Armed, page: &Page) -> Outcome {
        let Some(_lock) = self.text.try_lock() else {
            return Outcome::Handled;
        };
        let points = armed.points_in(page.at);
        let withdrawn = points.clone().filter(|point| point.is_armed()).count();
        match self.text_of().give_up(page, points) {
            Ok(()) => {
                let counter = &self.statistics.withdrawn;
                counter.fetch_add(withdrawn as u64, Ordering::Relaxed);
                Outcome::Handled
            }
            Err(_) => self.failed(),
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

    /// Handles a fetch from a page that is not executable because of its points.
    fn fetched(
        &self,
        vcpu: &mut dyn GuestVcpu,
        slot: &mut Slot,
        guard: &HitGuard,
        fetched: Fetched<'_>,
    ) -> Outcome {
        let Fetched { armed, page, at } = fetched;
        let point = armed
            .point_at(at)
            .filter(|known| is_kernel(vcpu.pstate()) && known.point.is_armed());
        match point.filter(|known| self.is_current(&known.point)) {
            Some(subscribed) => {
                let hit = Hit {
                    guard,
                    armed,
                    subscribed,
                };
                self.fire(vcpu, slot, hit);
                self.stay(vcpu, slot, armed, &subscribed.point);
            }
            None => self.open_window(vcpu, slot, page),
        }
        Outcome::Handled
    }

    /// Lets a vCPU that has executed the instruction of `point` go on in the same page, if points of that page are not
    /// seen from within it.
    pub(super) fn stay(
        &self,
        vcpu: &mut dyn GuestVcpu,
        slot: &mut Slot,
        armed: &Armed,
        point: &Point,
    ) {
        let offset = vcpu.pc().wrapping_sub(point.at.get() & !(PAGE_SIZE - 1));
        let next = GuestPhys::new(point.page.at.get() + offset % PAGE_SIZE);
        if point.page.mode == ProbeMode::Stage2Fault
            && slot.view == View::Main
            && offset < PAGE_SIZE
            && armed.point_at(next).is_none()
        {
            self.open_window(vcpu, slot, &point.page);
        }
    }

    /// Lets a vCPU execute `page` without seeing its points.
    pub(super) fn open_window(&self, vcpu: &mut dyn GuestVcpu, slot: &mut Slot, page: &Page) {
        count(&page.windows);
        count(&self.statistics.windows);
        slot.set_view(vcpu, View::Window);
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
struct Fetched<'a> {
    armed: &'a Armed,
    page: &'a Page,
    at: GuestPhys,
}
