//! What happens when a vCPU executes a trapping instruction.

use axebpf_a64::{BranchTargets, Insn, PtRegs, simulate};
use axebpf_hit::HitGuard;
use axebpf_platform::GuestVirt;

use super::access::{KernelMemory, Store, exception_of};
use super::guest::ProbedGuest;
use super::page::trap_word;
use super::point::{Armed, Link, Subscribed, count};
use super::returns::{Call, Noted};
use super::sites::Site;
use super::slot::{Purpose, Slot, Step};
use crate::context::stage1_of;
use crate::deliver;
use crate::displace::{self, Way};
use crate::integration::{GuestVcpu, Outcome};
use crate::{Access, GuestContext, GuestProbeHit, ProbeMode};

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
            return Outcome::Handled;
        };
        let Some(armed) = self.armed.load(&guard) else {
            return self.stale(vcpu, regs, &Armed::default(), mode);
        };
        match self.find(vcpu, regs, armed) {
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
    fn stale(
        &self,
        vcpu: &mut dyn GuestVcpu,
        regs: &PtRegs,
        armed: &Armed,
        mode: ProbeMode,
    ) -> Outcome {
        if self.word_at(vcpu, regs, armed) == Some(trap_word(mode)) {
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
        let task = guest.task().get();
        let hit = |link: &Link| {
            link.handler.hit(&GuestProbeHit {
                guard,
                probe: &link.probe,
                vcpu: vcpu.name(),
                regs,
                guest: &guest,
                time_ns: guard.platform().now_ns(),
            });
        };
        if subscribed.is_return_site {
            let returning = Call {
                site: subscribed.point.at,
                sp: regs.sp,
                task,
            };
            for link in &armed.returns {
                if link.returns.as_ref().is_some_and(|r| r.take(returning)) {
                    count(&link.counters.hits);
                    count(&link.counters.retired);
                    hit(link);
                }
            }
        }
        for link in &subscribed.links {
            match &link.returns {
                None => {
                    count(&link.counters.hits);
                    hit(link);
                }
                Some(_) => self.called(vcpu, regs, armed, link, task),
            }
        }
        self.execute(vcpu, slot, regs, armed, subscribed);
    }

    /// Remembers a call of a function whose returns are wanted.
    fn called(&self, vcpu: &dyn GuestVcpu, regs: &PtRegs, armed: &Armed, link: &Link, task: u64) {
        let stage1 = stage1_of(vcpu);
        let site = stage1.without_authentication(GuestVirt::new(regs.return_address()));
        let is_armed = armed
            .point(site)
            .is_some_and(|subscribed| subscribed.is_return_site);
        let noted = link.returns.as_ref().filter(|_| is_armed).map(|returns| {
            returns.note(Call {
                site,
                sp: regs.sp,
                task,
            })
        });
        if noted != Some(Noted::Kept) {
            count(&link.counters.missed);
        }
        if !is_armed && let Ok(found) = stage1.translate(&*self.machine, site, Access::Fetch) {
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
        let can_step = self.capabilities.can_step(point.page.mode);
        let Ok(way) = displace::way(point.word()) else {
            // It was replaced while this vCPU was on its way here; it finds what is there now.
            return vcpu.set_regs(regs);
        };
        let mut next = *regs;
        let error = match way {
            Way::Simulate(insn) => {
                let mut memory = self.memory_of(vcpu, armed, regs.pstate);
                let targets = self.branch_targets(vcpu, regs, insn);
                match simulate(insn, &mut next, &mut memory, targets) {
                    Ok(()) => {
                        retire(subscribed);
                        return vcpu.set_regs(&next);
                    }
                    Err(error) => Some(exception_of(&error, &memory, store_of(insn))),
                }
            }
            Way::Step => None,
        };
        vcpu.set_regs(regs);
        match error {
            // The guest takes its faults itself, where it can.
            Some(exception) if !can_step => deliver::take(vcpu, exception),
            _ if can_step => {
                count(&self.statistics.steps);
                let purpose = Purpose::Displaced(point.at);
                slot.begin(
                    vcpu,
                    Step {
                        at: regs.pc,
                        purpose,
                    },
                );
            }
            // What the guest wrote there while it was being armed; it is noticed when that page is closed.
            _ => {}
        }
    }

    /// Returns the guest's memory as its kernel sees it on `vcpu`.
    fn memory_of<'a>(
        &'a self,
        vcpu: &dyn GuestVcpu,
        armed: &'a Armed,
        pstate: u64,
    ) -> KernelMemory<'a> {
        KernelMemory {
            machine: &*self.machine,
            stage1: stage1_of(vcpu),
            pstate,
            armed,
        }
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

/// Counts a completed execution.
pub(super) fn retire(subscribed: &Subscribed) {
    for link in subscribed
        .links
        .iter()
        .filter(|link| link.returns.is_none())
    {
        count(&link.counters.retired);
    }
}

/// Tells whether `insn` writes memory.
fn store_of(insn: Insn) -> Store {
    match insn {
        Insn::LoadLiteral { .. } => Store::No,
        _ => Store::Yes,
    }
}
