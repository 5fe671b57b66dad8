//! What happens when a vCPU executes a trapping instruction.

use alloc::sync::Arc;

use axebpf_a64::{BranchTargets, Insn, PtRegs, simulate};
use axebpf_hit::HitGuard;
use axebpf_platform::GuestVirt;

use super::access::KernelMemory;
use super::calls::{Call, Pending};
use super::guest::ProbedGuest;
use super::page::trap_word;
use super::point::{Armed, GuestLinkId, Link, Subscribed, count};
use super::sites::Site;
use super::slot::{Purpose, Slot, Step};
use crate::context::stage1_of;
use crate::deliver::{self, Exception};
use crate::displace::{self, Way};
use crate::integration::{GuestVcpu, Outcome};
use crate::{Access, Entered, GuestContext, GuestProbeHit, ProbeMode};

/// How many links can wait for one return, of functions that lead to each other by jumps and not by calls, or of one
/// function. What the guest may do at the same time on another vCPU does not make it more.
const LINKS_AT_ONCE: usize = 256;

impl ProbedGuest {
    /// Handles a trap of `vcpu` on an instruction of ours. `regs` are its registers, at the instruction.
    pub(super) fn trap(
        &self,
        vcpu: &mut dyn GuestVcpu,
        slot: &mut Slot,
        regs: &PtRegs,
        mode: ProbeMode,
    ) -> Outcome {
        // Nothing that is in a hit enters a guest, so the guard is there to be had. If it is not, trying again is
        // the only thing that loses nothing.
        let Ok(guard) = axebpf_hit::enter() else {
            count(&self.statistics.errors);
            vcpu.set_regs(regs);
            return Outcome::Handled;
        };
        let Some(armed) = self.armed.load(&guard) else {
            return self.stale(vcpu, regs, &Armed::default(), mode);
        };
        let found = self.find(vcpu, regs, armed);
        match found.filter(|subscribed| subscribed.point.traps_by(mode)) {
            Some(subscribed) => {
                self.fire(vcpu, slot, regs, armed, subscribed, &guard);
                Outcome::Handled
            }
            None => self.stale(vcpu, regs, armed, mode),
        }
    }

    /// Finds the point at which a vCPU is, by its virtual address or, for an alias, by where that leads.
    fn find<'a>(
        &self,
        vcpu: &dyn GuestVcpu,
        regs: &PtRegs,
        armed: &'a Armed,
    ) -> Option<&'a Subscribed> {
        let at = GuestVirt::new(regs.pc);
        armed.point(at).or_else(|| {
            let found = stage1_of(vcpu)
                .translate(&*self.machine, at, Access::Fetch)
                .ok()?;
            armed.point_at(found.at)
        })
    }

    /// Handles a trap where there is no point: one that was detached in the meantime, or one that the guest made.
    pub(super) fn stale(
        &self,
        vcpu: &mut dyn GuestVcpu,
        regs: &PtRegs,
        armed: &Armed,
        mode: ProbeMode,
    ) -> Outcome {
        let is_trap = mode != ProbeMode::Stage2Fault;
        if is_trap && self.word_at(vcpu, regs, armed) == Some(trap_word(mode)) {
            return Outcome::NotOurs;
        }
        count(&self.statistics.stale);
        vcpu.set_regs(regs);
        Outcome::Handled
    }

    /// Calls the handlers and executes the displaced instruction.
    fn fire(
        &self,
        vcpu: &mut dyn GuestVcpu,
        slot: &mut Slot,
        regs: &PtRegs,
        armed: &Armed,
        subscribed: &Subscribed,
        guard: &HitGuard,
    ) {
        let guest = GuestContext::of(&*self.machine, vcpu);
        let time_ns = guard.platform().now_ns();
        let hit = |link: &Link, entered: Option<Entered>| {
            link.handler.hit(&GuestProbeHit {
                guard,
                probe: &link.probe,
                vcpu: vcpu.name(),
                regs,
                guest: &guest,
                time_ns,
                entered,
            });
        };
        if subscribed.is_return_site {
            let returning = Call {
                site: subscribed.point.at,
                sp: regs.sp,
                task: guest.task().get(),
            };
            self.returned(armed, returning)
                .for_each(|(link, entered)| hit(link, Some(entered)));
        }
        for link in &subscribed.links {
            if link.is_return() {
                self.called(&guest, regs, armed, link, time_ns);
            } else {
                count(&link.counters.hits);
                hit(link, None);
            }
        }
        self.execute(vcpu, slot, regs, armed, subscribed);
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
    fn called(
        &self,
        guest: &GuestContext<'_>,
        regs: &PtRegs,
        armed: &Armed,
        link: &Link,
        time_ns: u64,
    ) {
        let stage1 = guest.stage1();
        let site = stage1.without_authentication(GuestVirt::new(regs.return_address()));
        let is_armed = armed
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
            let new = Pending {
                link: link.id,
                call,
                entered: Entered { time_ns, arguments },
            };
            return self.calls.note(new, |link| armed.missed(link));
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

    /// Executes the displaced instruction, or has the vCPU do so.
    fn execute(
        &self,
        vcpu: &mut dyn GuestVcpu,
        slot: &mut Slot,
        regs: &PtRegs,
        armed: &Armed,
        subscribed: &Subscribed,
    ) {
        let point = &*subscribed.point;
        let exception = match displace::way(point.word()) {
            // Nothing is executed in this state: the guest takes its exception itself.
            Ok(_) if regs.pstate & deliver::IL != 0 => None,
            Ok(Way::Simulate(insn)) => match self.simulate(vcpu, regs, armed, insn) {
                Ok(mut next) => {
                    retire(subscribed, subscribed.last_link());
                    // If the guest steps itself, it has done so.
                    next.pstate &= !deliver::SS;
                    return vcpu.set_regs(&next);
                }
                Err(exception) => exception,
            },
            Ok(Way::Step) => None,
            // It was replaced while this vCPU was on its way here; it finds what is there now.
            Err(_) => return vcpu.set_regs(regs),
        };
        vcpu.set_regs(regs);
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
            let at = regs.pc;
            slot.begin(vcpu, Step { at, purpose });
        } else if let Some(exception) = exception {
            deliver::take(vcpu, exception);
        } else {
            self.withdraw(vcpu, slot, point);
        }
    }

    /// Simulates `insn` and returns the registers after it, or the exception that it ends in if that is known.
    fn simulate(
        &self,
        vcpu: &dyn GuestVcpu,
        regs: &PtRegs,
        armed: &Armed,
        insn: Insn,
    ) -> Result<PtRegs, Option<Exception>> {
        let mut next = *regs;
        let mut memory = KernelMemory::of(&*self.machine, vcpu, regs.pstate, armed, &self.text);
        let targets = self.branch_targets(vcpu, regs, insn);
        simulate(insn, &mut next, &mut memory, targets)
            .map(|()| next)
            .map_err(|error| memory.exception_of(&error))
    }

    /// Returns what indirect branches have to find where `insn` is. The page matters only to them.
    fn branch_targets(&self, vcpu: &dyn GuestVcpu, regs: &PtRegs, insn: Insn) -> BranchTargets {
        if !self.machine.has_branch_targets() {
            return BranchTargets::Unimplemented;
        }
        if regs.btype() == 0 && !matches!(insn, Insn::BranchReg { .. }) {
            return BranchTargets::Unguarded;
        }
        let at = GuestVirt::new(regs.pc);
        match stage1_of(vcpu).translate(&*self.machine, at, Access::Fetch) {
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
