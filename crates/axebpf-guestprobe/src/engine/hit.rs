//! What happens when a vCPU executes a trapping instruction.

use alloc::sync::Arc;

use axebpf_a64::{BranchTargets, Insn, PtRegs, simulate};
use axebpf_hit::HitGuard;
use axebpf_platform::{GuestVirt, Vcpu};

use super::access::KernelMemory;
use super::calls::{Call, Pending};
use super::guest::ProbedGuest;
use super::page::trap_word;
use super::point::{Armed, GuestLinkId, Link, Subscribed, count};
use super::sites::Site;
use super::slot::{Purpose, Slot, Step};
use crate::deliver::{self, Exception};
use crate::displace::Way;
use crate::integration::{GuestVcpu, Outcome};
use crate::{Access, Entered, GuestContext, GuestProbeHit, ProbeMode};

/// How many links can wait for one return, of functions that lead to each other by jumps and not by calls, or of one
/// function. What the guest may do at the same time on another vCPU does not make it more.
const LINKS_AT_ONCE: usize = 256;

/// What a hit needs of what is published.
#[derive(Clone, Copy)]
pub(super) struct Hit<'a> {
    pub(super) guard: &'a HitGuard,
    pub(super) armed: &'a Armed,
    pub(super) subscribed: &'a Subscribed,
}

/// What has become of a displaced instruction.
enum Fate {
    /// It has been executed, on the registers of the hit.
    Simulated(Insn),
    /// The guest has to execute it itself; or it ends in this exception, if it is known to.
    Left(Option<Exception>),
    /// It was replaced while the vCPU was on its way here, by one that cannot be displaced.
    Replaced,
}

impl ProbedGuest {
    /// Handles a trap of `vcpu`, which is at an instruction with our immediate.
    pub(super) fn trap(
        &self,
        vcpu: &mut dyn GuestVcpu,
        slot: &mut Slot,
        mode: ProbeMode,
    ) -> Outcome {
        let Ok(guard) = axebpf_hit::enter() else {
            return self.without_guard();
        };
        let Some(armed) = self.armed.load(&guard) else {
            return self.stale(vcpu, &Armed::default(), mode);
        };
        let found = self.find(vcpu, armed);
        match found.filter(|subscribed| subscribed.point.traps_by(mode)) {
            Some(subscribed) => {
                let hit = Hit {
                    guard: &guard,
                    armed,
                    subscribed,
                };
                self.fire(vcpu, slot, hit);
                Outcome::Handled
            }
            None => self.stale(vcpu, armed, mode),
        }
    }

    /// Says what becomes of an exit that cannot become a hit.
    pub(super) fn without_guard(&self) -> Outcome {
        if axebpf_hit::platform().is_none() {
            // No probe was ever attached.
            return Outcome::NotOurs;
        }
        // Nothing that is in a hit enters a guest, so the guard is there to be had. If it is not, trying again is the
        // only thing that loses nothing.
        count(&self.statistics.errors);
        Outcome::Handled
    }

    /// Finds the point at which a vCPU is, by its virtual address or, for an alias, by where that leads.
    fn find<'a>(&self, vcpu: &dyn GuestVcpu, armed: &'a Armed) -> Option<&'a Subscribed> {
        armed
            .point(GuestVirt::new(vcpu.pc()))
            .or_else(|| armed.point_at(self.place_of_pc(vcpu)?))
    }

    /// Handles a trap where there is no point: one that was detached in the meantime, or one that the guest made.
    pub(super) fn stale(&self, vcpu: &dyn GuestVcpu, armed: &Armed, mode: ProbeMode) -> Outcome {
        if self.word_at(vcpu, armed) == Some(trap_word(mode)) {
            count(&self.statistics.foreign);
            return Outcome::NotOurs;
        }
        count(&self.statistics.stale);
        Outcome::Handled
    }

    /// Calls the handlers and executes the displaced instruction, at which `vcpu` is.
    pub(super) fn fire(&self, vcpu: &mut dyn GuestVcpu, slot: &mut Slot, hit: Hit<'_>) {
        let mut regs = vcpu.regs();
        let guest = GuestContext::of(&*self.machine, vcpu);
        self.call_handlers(vcpu.name(), &guest, &regs, hit);
        match self.execute(&guest, &mut regs, hit) {
            Fate::Simulated(insn) => {
                retire(hit.subscribed, hit.subscribed.last_link());
                // If the guest steps itself, it has done so.
                regs.pstate &= !deliver::SS;
                if insn.only_branches() {
                    vcpu.resume_at(regs.pc, regs.pstate);
                } else {
                    vcpu.set_regs(&regs);
                }
            }
            Fate::Left(exception) => self.leave(vcpu, slot, hit.subscribed, exception),
            // It finds what is there now.
            Fate::Replaced => {}
        }
    }

    fn call_handlers(&self, vcpu: Vcpu, guest: &GuestContext<'_>, regs: &PtRegs, hit: Hit<'_>) {
        let call = |link: &Link, entered: Option<Entered>| {
            link.handler.hit(&GuestProbeHit {
                guard: hit.guard,
                probe: &link.probe,
                vcpu,
                regs,
                guest,
                entered,
            });
        };
        if hit.subscribed.is_return_site {
            let returning = Call {
                site: hit.subscribed.point.at,
                sp: regs.sp,
                task: guest.task().get(),
            };
            self.returned(hit.armed, returning)
                .for_each(|(link, entered)| call(link, Some(entered)));
        }
        for link in &hit.subscribed.links {
            if link.is_return() {
                self.called(guest, regs, hit, link);
            } else {
                count(&link.counters.hits);
                call(link, None);
            }
        }
    }

    /// Counts a return, and returns the links that wait for it, with what its entry has left for each.
    fn returned<'a>(
        &'a self,
        armed: &'a Armed,
        returning: Call,
    ) -> impl Iterator<Item = (&'a Link, Entered)> {
        (0..LINKS_AT_ONCE)
            .map_while(move |_| self.calls.take(returning))
            .filter_map(|pending| Some((&**armed.returns.get(pending.link)?, pending.entered)))
            .inspect(|(link, _)| {
                count(&link.counters.hits);
                count(&link.counters.retired);
            })
    }

    /// Remembers a call of a function whose returns are wanted.
    fn called(&self, guest: &GuestContext<'_>, regs: &PtRegs, hit: Hit<'_>, link: &Link) {
        let stage1 = guest.stage1();
        let site = stage1.without_authentication(GuestVirt::new(regs.return_address()));
        let is_armed = hit
            .armed
            .point(site)
            .is_some_and(|subscribed| subscribed.is_return_site);
        if is_armed {
            let call = Call {
                site,
                sp: regs.sp,
                task: guest.task().get(),
            };
            let mut arguments = [0; 8];
            arguments.copy_from_slice(&regs.regs[..8]);
            let time_ns = hit.guard.platform().now_ns();
            let new = Pending {
                link: link.id,
                call,
                entered: Entered { time_ns, arguments },
            };
            return self.calls.note(new, |link| hit.armed.missed(link));
        }
        count(&link.counters.missed);
        if let Ok(found) = stage1.translate(&*self.machine, site, Access::Fetch)
            && found.rights.privileged_execute()
        {
            self.sites.want(Site {
                at: site,
                phys: found.at,
                mode: link.probe.mode(),
            });
        }
    }

    /// Executes the displaced instruction on `regs` and the guest's memory, if that is possible.
    fn execute(&self, guest: &GuestContext<'_>, regs: &mut PtRegs, hit: Hit<'_>) -> Fate {
        let insn = match hit.subscribed.way() {
            // Nothing is executed in this state: the guest takes its exception itself.
            Ok(_) if regs.pstate & deliver::IL != 0 => return Fate::Left(None),
            Ok(Way::Simulate(insn)) => insn,
            Ok(Way::Step) => return Fate::Left(None),
            Err(_) => return Fate::Replaced,
        };
        let mut memory = KernelMemory::of(guest, regs.pstate, hit.armed, &self.text);
        let targets = self.branch_targets(guest, regs, insn);
        match simulate(insn, regs, &mut memory, targets) {
            Ok(()) => Fate::Simulated(insn),
            Err(error) => Fate::Left(memory.exception_of(&error)),
        }
    }

    /// Has a vCPU execute the displaced instruction at which it is, or take the exception in which that ends.
    fn leave(
        &self,
        vcpu: &mut dyn GuestVcpu,
        slot: &mut Slot,
        subscribed: &Subscribed,
        exception: Option<Exception>,
    ) {
        let point = &*subscribed.point;
        if slot.debugs || self.capabilities.can_step(point.page.mode) {
            // The guest takes its faults itself.
            if slot.debugs {
                self.note_suspended(slot, true);
            } else {
                count(&self.statistics.steps);
            }
            let purpose = Purpose::Displaced {
                at: point.at,
                last: subscribed.last_link(),
                word: point.word(),
            };
            let at = vcpu.pc();
            slot.begin(vcpu, Step { at, purpose });
        } else if let Some(exception) = exception {
            deliver::take(vcpu, exception);
        } else {
            self.withdraw(vcpu, slot, point);
        }
    }

    /// Returns what indirect branches have to find where `insn` is. The page is looked up only where that matters.
    fn branch_targets(&self, guest: &GuestContext<'_>, regs: &PtRegs, insn: Insn) -> BranchTargets {
        if !self.machine.has_branch_targets() {
            return BranchTargets::Unimplemented;
        }
        if !insn.depends_on_guard(regs.btype()) {
            return BranchTargets::Unguarded;
        }
        let at = GuestVirt::new(regs.pc);
        let stage1 = guest.stage1();
        match stage1.translate(&*self.machine, at, Access::Fetch) {
            Ok(found) if found.rights.is_guarded() => BranchTargets::Guarded,
            _ => BranchTargets::Unguarded,
        }
    }
}

/// Counts an execution that is completed and that was a hit of the links up to `last`.
pub(super) fn retire(subscribed: &Subscribed, last: Option<GuestLinkId>) {
    let was_hit = |link: &&Arc<Link>| !link.is_return() && Some(link.id) <= last;
    for link in subscribed.links.iter().filter(was_hit) {
        count(&link.counters.retired);
    }
}
