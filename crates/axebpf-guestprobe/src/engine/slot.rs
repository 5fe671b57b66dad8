//! What is remembered of each vCPU between its exits.

use axebpf_platform::GuestVirt;

use super::point::GuestLinkId;
use crate::deliver::{SS, is_kernel};
use crate::displace;
use crate::integration::{GuestVcpu, SystemRegister, View};

/// Why a vCPU is stepped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// To execute the displaced instruction of the point at this address.
    Displaced {
        at: GuestVirt,
        /// The youngest of the links that were hit. What was attached since then was not.
        last: Option<GuestLinkId>,
        /// That instruction.
        word: u32,
    },
    /// To let it read, or write, a page that it does not see as it is.
    Access,
}

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Where the stepped instruction is.
    pub(super) at: u64,
    pub(super) purpose: Purpose,
}

/// How a step has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum StepEnd {
    /// The instruction has been executed.
    Retired,
    /// An exception was taken instead of it.
    Interrupted,
    /// The vCPU was left alone with it.
    Unknown,
}

/// The state of one vCPU. Only the CPU that has the vCPU loaded uses it.
pub(super) struct Slot {
    pub(super) view: View,
    pub(super) step: Option<Step>,
    /// Whether its interrupts are held because of the step.
    is_holding: bool,
    /// Whether the guest debugs itself on the vCPU, which cannot be stepped for as long.
    pub(super) debugs: bool,
    /// Whether the vCPU is left alone with an instruction instead of being stepped.
    is_alone: bool,
    /// Whether the vCPU runs without probes, because the guest debugs itself.
    pub(super) is_suspended: bool,
    /// How often mappings had been changed when the vCPU entered the guest, if it has done so since exits began to
    /// matter, or it was reset.
    pub(super) changes_at_entry: Option<u64>,
}

impl Slot {
    pub(super) const fn new() -> Self {
        Self {
            view: View::Main,
            step: None,
            is_holding: false,
            debugs: false,
            is_alone: false,
            is_suspended: false,
            changes_at_entry: None,
        }
    }

    /// Tells whether, if the vCPU has entered the guest, it has done so since mappings have been changed for the last
    /// of `changes` times, and as if there had never been a point.
    pub(super) fn is_home_since(&self, changes: u64) -> bool {
        let is_new = self.changes_at_entry.is_none_or(|seen| seen == changes);
        is_new && self.view == View::Main && self.step.is_none()
    }

    /// Makes the vCPU run in `view`.
    pub(super) fn set_view(&mut self, vcpu: &mut dyn GuestVcpu, view: View) {
        if let Some(switch) = vcpu.switch_view() {
            switch.set_view(view);
            self.view = view;
        }
    }

    /// Makes the vCPU run in `view` unless it does. For what happens at every entry.
    pub(super) fn keep_view(&mut self, vcpu: &mut dyn GuestVcpu, view: View) {
        if self.view != view {
            self.set_view(vcpu, view);
        }
    }

    /// Makes the vCPU execute the one instruction at which it goes on, in the text that the guest knows. If the guest
    /// debugs itself, it goes on there until it leaves the guest somewhere else.
    pub(super) fn begin(&mut self, vcpu: &mut dyn GuestVcpu, step: Step) {
        self.set_view(vcpu, View::Original);
        self.step = Some(step);
        self.is_alone = self.debugs;
        if self.is_alone {
            // What is left to the guest is not executed yet, whatever brought it to EL2.
            let mut regs = vcpu.regs();
            regs.pstate |= SS;
            return vcpu.set_regs(&regs);
        }
        self.is_holding = wants_quiet(vcpu.pstate(), step.purpose);
        if self.is_holding
            && let Some(interrupts) = vcpu.interrupts()
        {
            interrupts.hold_interrupts();
        }
        if let Some(single_step) = vcpu.single_step() {
            single_step.begin_step();
        }
    }

    /// Ends the step, after which the vCPU runs in `view`.
    pub(super) fn end(&mut self, vcpu: &mut dyn GuestVcpu, step: Step, view: View) -> StepEnd {
        self.step = None;
        if core::mem::take(&mut self.is_alone) {
            self.set_view(vcpu, view);
            return StepEnd::Unknown;
        }
        if let Some(single_step) = vcpu.single_step() {
            single_step.end_step();
        }
        if core::mem::take(&mut self.is_holding)
            && let Some(interrupts) = vcpu.interrupts()
        {
            interrupts.release_interrupts();
        }
        self.set_view(vcpu, view);
        if !was_interrupted(vcpu, step) {
            return StepEnd::Retired;
        }
        // The exception has kept the state of the step for when the guest returns from it.
        let spsr = vcpu.system_register(SystemRegister::SpsrEl1);
        vcpu.set_system_register(SystemRegister::SpsrEl1, spsr & !SS);
        StepEnd::Interrupted
    }
}

/// Tells whether interrupts are held for a step from `pstate`.
///
/// Not where the guest masks one kind of them itself: it may be about to read which is pending, which it could not
/// while they are held. One that is taken instead of the step is no harm.
fn wants_quiet(pstate: u64, purpose: Purpose) -> bool {
    const MASKS: u64 = 0b11 << 6;
    let waits = matches!(purpose, Purpose::Displaced { word, .. } if displace::waits(word));
    pstate & MASKS == 0 && !waits
}

/// Tells whether the vCPU is at one of its vectors, for an exception from the stepped instruction.
fn was_interrupted(vcpu: &dyn GuestVcpu, step: Step) -> bool {
    let vectors = vcpu.system_register(SystemRegister::VbarEl1) & !0x7ff;
    let into = vcpu.pc().wrapping_sub(vectors);
    is_kernel(vcpu.pstate())
        && into < 0x800
        && into.is_multiple_of(0x80)
        && vcpu.system_register(SystemRegister::ElrEl1) == step.at
}
