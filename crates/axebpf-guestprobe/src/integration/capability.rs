//! Which capabilities there are, and what they are enough for.

use core::fmt;

use bitflags::bitflags;
use thiserror::Error;

use crate::{GuestMachine, ProbeMode, View};

bitflags! {
    /// A set of capabilities.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub struct Capabilities: u32 {
        /// [`WriteGuest`](crate::WriteGuest).
        const WRITE_GUEST = 1;
        /// [`GuestText`](crate::GuestText).
        const GUEST_TEXT = 1 << 1;
        /// [`Stage2`](crate::Stage2).
        const STAGE2 = 1 << 2;
        /// [`ShadowPages`](crate::ShadowPages).
        const SHADOW_PAGES = 1 << 3;
        /// [`KickVcpus`](crate::KickVcpus).
        const KICK = 1 << 4;
        /// [`View::Original`].
        const ORIGINAL_VIEW = 1 << 5;
        /// [`View::Window`].
        const WINDOW_VIEW = 1 << 6;
        /// Guest `BRK`s come to EL2 (`MDCR_EL2.TDE`).
        const TRAP_BRK = 1 << 8;
        /// [`SingleStep`](crate::SingleStep).
        const SINGLE_STEP = 1 << 9;
        /// [`SwitchView`](crate::SwitchView).
        const SWITCH_VIEW = 1 << 10;
        /// [`HoldInterrupts`](crate::HoldInterrupts).
        const HOLD_INTERRUPTS = 1 << 11;
        /// [`GuestDebug`](crate::GuestDebug).
        const GUEST_DEBUG = 1 << 12;

        /// Those of a vCPU.
        const VCPU = Self::TRAP_BRK.bits() | Self::SINGLE_STEP.bits() | Self::SWITCH_VIEW.bits()
            | Self::HOLD_INTERRUPTS.bits() | Self::GUEST_DEBUG.bits();
        /// What it takes to write text behind a fence.
        const FENCE = Self::STAGE2.bits() | Self::KICK.bits();
        /// What it takes to step a displaced instruction.
        const STEP = Self::SINGLE_STEP.bits() | Self::SWITCH_VIEW.bits() | Self::ORIGINAL_VIEW.bits();
    }
}

/// What each of a set is called in an error.
const NAMES: [(Capabilities, &str); 12] = [
    (Capabilities::WRITE_GUEST, "writing guest memory"),
    (Capabilities::GUEST_TEXT, "writing guest text"),
    (Capabilities::STAGE2, "changing stage-2 pages"),
    (Capabilities::SHADOW_PAGES, "shadow pages"),
    (Capabilities::KICK, "kicking vCPUs out"),
    (Capabilities::ORIGINAL_VIEW, "a second stage-2 view"),
    (Capabilities::WINDOW_VIEW, "a stage-2 view for single pages"),
    (Capabilities::TRAP_BRK, "trapping guest BRKs"),
    (Capabilities::SINGLE_STEP, "single steps"),
    (Capabilities::SWITCH_VIEW, "switching views"),
    (Capabilities::HOLD_INTERRUPTS, "holding virtual interrupts"),
    (Capabilities::GUEST_DEBUG, "the guest's debug state"),
];

impl fmt::Display for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut separator = "";
        for (capability, name) in NAMES {
            if self.contains(capability) {
                write!(f, "{separator}{name}")?;
                separator = ", ";
            }
        }
        Ok(())
    }
}

/// A mode that a hypervisor cannot offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{mode} probes need what this hypervisor does not offer: {missing}")]
pub struct ModeUnavailable {
    /// The mode.
    pub mode: ProbeMode,
    /// What it lacks.
    pub missing: Capabilities,
}

impl Capabilities {
    /// Returns what `machine` and its vCPUs offer.
    #[must_use]
    pub fn of(machine: &dyn GuestMachine) -> Self {
        let mut all = machine.vcpu_capabilities() & Self::VCPU;
        all.set(Self::WRITE_GUEST, machine.write_guest().is_some());
        all.set(Self::GUEST_TEXT, machine.guest_text().is_some());
        all.set(Self::STAGE2, machine.stage2().is_some());
        all.set(Self::SHADOW_PAGES, machine.shadow_pages().is_some());
        all.set(Self::KICK, machine.kick_vcpus().is_some());
        all.set(Self::ORIGINAL_VIEW, machine.has_view(View::Original));
        all.set(Self::WINDOW_VIEW, machine.has_view(View::Window));
        all
    }

    /// Returns what `mode` cannot do without.
    ///
    /// With these alone, a mode may still refuse instructions that only a step can execute; see
    /// [`can_step`](Self::can_step).
    #[must_use]
    pub fn needed_by(mode: ProbeMode) -> Self {
        match mode {
            // What reads the page is stepped, so there is no hiding without steps.
            ProbeMode::HiddenBrk => Self::FENCE | Self::SHADOW_PAGES | Self::STEP | Self::TRAP_BRK,
            ProbeMode::Brk => Self::FENCE | Self::GUEST_TEXT | Self::TRAP_BRK,
            ProbeMode::Hvc => Self::FENCE | Self::GUEST_TEXT,
            ProbeMode::Stage2Fault => Self::FENCE | Self::WINDOW_VIEW | Self::SWITCH_VIEW,
        }
    }

    /// Tells whether `mode` is possible with these.
    ///
    /// # Errors
    ///
    /// [`ModeUnavailable`] says what is missing.
    pub fn mode(self, mode: ProbeMode) -> Result<(), ModeUnavailable> {
        let mut needed = Self::needed_by(mode);
        if needed.contains(Self::TRAP_BRK) && self.contains(Self::GUEST_DEBUG) {
            // While the guest debugs itself, its vCPU runs where there are no probes.
            needed |= Self::STEP | Self::SHADOW_PAGES;
        }
        let missing = needed - self;
        if missing.is_empty() {
            Ok(())
        } else {
            Err(ModeUnavailable { mode, missing })
        }
    }

    /// Returns the first of the modes that is possible: hidden `BRK`, `BRK`, `HVC`, stage-2 fault.
    ///
    /// # Errors
    ///
    /// [`ModeUnavailable`] says what hidden `BRK` lacks if nothing is possible.
    pub fn best_mode(self) -> Result<ProbeMode, ModeUnavailable> {
        [
            ProbeMode::HiddenBrk,
            ProbeMode::Brk,
            ProbeMode::Hvc,
            ProbeMode::Stage2Fault,
        ]
        .into_iter()
        .find(|&mode| self.mode(mode).is_ok())
        .map_or_else(
            || {
                self.mode(ProbeMode::HiddenBrk)
                    .map(|()| ProbeMode::HiddenBrk)
            },
            Ok,
        )
    }

    /// Tells whether an instruction that cannot be simulated can be stepped in `mode`.
    ///
    /// Where the guest's own memory is patched, the original view needs a copy of the page.
    #[must_use]
    pub fn can_step(self, mode: ProbeMode) -> bool {
        let needed = match mode {
            ProbeMode::HiddenBrk | ProbeMode::Stage2Fault => Self::STEP,
            ProbeMode::Brk | ProbeMode::Hvc => Self::STEP | Self::SHADOW_PAGES,
        };
        self.contains(needed)
    }
}
