//! Programs at functions of a guest's kernel.

mod handler;
mod places;

use alloc::{sync::Arc, vec::Vec};

use axebpf_guestprobe::{
    GuestCounts, GuestLinkId, GuestProbe, GuestProbeError, GuestStage, LinkState, ProbeKind,
    ProbeMode, Stage1,
};
use spin::Mutex;

use self::{handler::Handler, places::Attached};
use super::{
    Runner,
    registers::{Fields, RegisterFilter},
};
use crate::{
    Error, GuestLinkInfo, LinkOptions, ProbeType, Target,
    kprobe::{Guest, GuestError, Place, Places, Search, Wanted, pause_ns},
};

/// A runner for functions of a guest: attached to them, or waiting until that is possible.
pub(crate) struct Kprobe {
    guest: Arc<Guest>,
    runner: Arc<Runner>,
    filter: Option<Arc<RegisterFilter>>,
    wanted: Wanted,
    mode: ProbeMode,
    maxactive: Option<u32>,
    state: Mutex<State>,
}

/// Where a runner is.
struct State {
    phase: Phase,
    /// What had happened at places that are detached.
    finished: GuestCounts,
}

enum Phase {
    Waiting(Waiting),
    Attached(Attached),
    /// The link is gone.
    Detached,
}

/// What a runner waits for, and when to try again.
struct Waiting {
    why: GuestError,
    tries: u32,
    again_ns: u64,
}

impl Waiting {
    fn new(why: GuestError) -> Self {
        Self {
            why,
            tries: 0,
            again_ns: 0,
        }
    }
}

impl Kprobe {
    /// Takes what is to be attached. It waits until [`arm_first`](Self::arm_first).
    pub(crate) fn new(
        runner: &Arc<Runner>,
        guest: &Arc<Guest>,
        target: &Target,
        options: &LinkOptions<'_>,
    ) -> Result<Self, Error> {
        let wanted = wanted(target, options)?;
        let fields = match wanted.kind {
            ProbeKind::Entry => Fields::Entry,
            ProbeKind::Return => Fields::ReturnWithArguments,
        };
        let filter = options
            .filter
            .map(|text| RegisterFilter::compile(text, fields).map(Arc::new))
            .transpose()?;
        let capabilities = guest.probes.capabilities();
        let mode = match options.mode {
            Some(mode) => capabilities.mode(mode).map(|()| mode),
            None => capabilities.best_mode(),
        };
        let mode = mode.map_err(|error| GuestError::Probe(error.into()))?;
        let vm = guest.vm;
        Ok(Self {
            guest: Arc::clone(guest),
            runner: Arc::clone(runner),
            filter,
            wanted,
            mode,
            maxactive: options.maxactive,
            state: Mutex::new(State {
                phase: Phase::Waiting(Waiting::new(GuestError::NoKernel { vm })),
                finished: GuestCounts::default(),
            }),
        })
    }

    /// Attaches for the first time. What the start of the guest may bring is waited for.
    pub(crate) fn arm_first(&self) -> Result<(), GuestError> {
        let Err(error) = self.arm(Search::Now) else {
            return Ok(());
        };
        if !self.may_come(&error) {
            return Err(error);
        }
        self.wait_for(error, 0);
        Ok(())
    }

    /// Tells whether what is missing may come by itself: only while the guest is starting.
    fn may_come(&self, error: &GuestError) -> bool {
        match error {
            GuestError::NoKernel { .. } | GuestError::TooEarly { .. } => true,
            GuestError::Scan { .. }
            | GuestError::Symbols(_)
            | GuestError::Elsewhere { .. }
            | GuestError::Probe(GuestProbeError::Walk(_)) => {
                self.guest.probes.stage() < GuestStage::User
            }
            _ => false,
        }
    }

    /// Attaches if the link waits and it is time to try, and returns to how many places.
    pub(crate) fn try_again(&self, now_ns: u64) -> usize {
        let is_due = match &self.state.lock().phase {
            Phase::Waiting(waiting) => waiting.again_ns <= now_ns,
            _ => false,
        };
        if !is_due {
            return 0;
        }
        match self.arm(Search::IfDue { now_ns }) {
            Ok(()) => self.places(),
            Err(error) => {
                self.wait_for(error, now_ns);
                0
            }
        }
    }

    /// Notes what the link waits for.
    fn wait_for(&self, why: GuestError, now_ns: u64) {
        // Somebody else sees to when the guest is looked at again.
        let is_paced = matches!(
            why,
            GuestError::NoKernel { .. }
                | GuestError::TooEarly { .. }
                | GuestError::Scan { .. }
                | GuestError::Symbols(_)
                | GuestError::Elsewhere { .. }
                | GuestError::NoSlide { .. }
        );
        if let Phase::Waiting(waiting) = &mut self.state.lock().phase {
            waiting.why = why;
            if !is_paced {
                waiting.tries = waiting.tries.saturating_add(1);
                waiting.again_ns = now_ns.saturating_add(pause_ns(waiting.tries));
            }
        }
    }

    /// Finds the places and attaches to them, unless that was done. Takes long if the symbols have to be looked for.
    fn arm(&self, search: Search) -> Result<(), GuestError> {
        let guest = &*self.guest;
        let no_kernel = GuestError::NoKernel { vm: guest.vm };
        let starts = guest.starts();
        let stage1 = guest.probes.stage1().ok_or(no_kernel.clone())?;
        let symbols = if self.wanted.needs_symbols() {
            guest.fitting_symbols(&stage1, search)?
        } else {
            Arc::default()
        };
        let places = self.wanted.places(guest.vm, &symbols, search)?;
        self.check_stage(&places)?;
        let mut state = self.state.lock();
        if guest.starts() != starts {
            return Err(no_kernel);
        }
        if let Phase::Waiting(_) = state.phase {
            let attach = |place: &Place| self.attach_one(&stage1, place);
            state.phase = Phase::Attached(Attached::new(&guest.probes, places, attach)?);
        }
        Ok(())
    }

    /// Checks that the guest has come far enough.
    fn check_stage(&self, places: &Places) -> Result<(), GuestError> {
        let (vm, mode) = (self.guest.vm, self.mode);
        let place = match places {
            Places::One(place) => Some(place),
            Places::Many(places) => places.first(),
        };
        // Of a kernel in the lower half no stages are known.
        if place.is_none_or(|place| place.at.get() >> 63 == 0) {
            return Ok(());
        }
        // In these modes the guest sees its text as it is.
        let is_hidden = matches!(mode, ProbeMode::HiddenBrk | ProbeMode::Stage2Fault);
        match self.guest.probes.stage() {
            GuestStage::Off => Err(GuestError::NoKernel { vm }),
            GuestStage::Kernel if !is_hidden => Err(GuestError::TooEarly { vm, mode }),
            _ => Ok(()),
        }
    }

    fn attach_one(&self, stage1: &Stage1, place: &Place) -> Result<GuestLinkId, GuestProbeError> {
        let mut probe = GuestProbe::new(self.guest.vm, place.at, self.wanted.kind, self.mode)?;
        if let Some(calls) = self.maxactive {
            probe = probe.with_max_active(u16::try_from(calls).unwrap_or(u16::MAX));
        }
        let handler = Handler {
            runner: Arc::clone(&self.runner),
            filter: self.filter.clone(),
            function: place.function,
            tasks: self.guest.tasks(),
        };
        let probes = &self.guest.probes;
        probes.attach(stage1, &probe, Arc::new(handler))
    }

    /// Takes the probes out of the guest, for good. When this returns, no CPU runs the program for them any more.
    pub(crate) fn detach(&self) -> Result<(), Error> {
        Ok(self.leave(Phase::Detached)?)
    }

    /// Takes the probes out of the guest, and waits for a kernel.
    pub(crate) fn wait_for_kernel(&self) -> Result<(), GuestError> {
        let vm = self.guest.vm;
        self.leave(Phase::Waiting(Waiting::new(GuestError::NoKernel { vm })))
    }

    /// Takes the probes out of the guest and goes on in `next`; where text cannot be written, stays as it is.
    fn leave(&self, next: Phase) -> Result<(), GuestError> {
        let State { phase, finished } = &mut *self.state.lock();
        match phase {
            Phase::Attached(attached) => attached.detach(finished)?,
            Phase::Waiting(_) => {}
            Phase::Detached => return Ok(()),
        }
        *phase = next;
        Ok(())
    }

    /// Returns what has happened at all places.
    fn counts(&self) -> GuestCounts {
        let state = self.state.lock();
        match &state.phase {
            Phase::Attached(attached) => places::add(state.finished, attached.counts()),
            _ => state.finished,
        }
    }

    pub(crate) fn missed(&self) -> u64 {
        self.counts().missed
    }

    pub(crate) fn info(&self) -> GuestLinkInfo {
        let retired = self.counts().retired;
        let state = self.state.lock();
        let (attached, waiting) = match &state.phase {
            Phase::Attached(attached) => (Some(attached), None),
            Phase::Waiting(waiting) => (None, Some(waiting.why.clone())),
            Phase::Detached => (None, None),
        };
        let count = |is_like: fn(&LinkState) -> bool| {
            attached.map_or(0, |attached| attached.count(is_like))
        };
        GuestLinkInfo {
            vm: self.guest.vm,
            mode: self.mode,
            retired,
            suspended: count(|state| matches!(state, LinkState::Suspended { .. })),
            partly: count(|state| matches!(state, LinkState::Partly { .. })),
            left_out: attached.map_or(Vec::new(), |attached| attached.reasons().to_vec()),
            waiting,
        }
    }

    pub(crate) fn guest(&self) -> &Arc<Guest> {
        &self.guest
    }

    pub(crate) fn is_waiting(&self) -> bool {
        matches!(self.state.lock().phase, Phase::Waiting(_))
    }

    pub(crate) fn places(&self) -> usize {
        match &self.state.lock().phase {
            Phase::Attached(attached) => attached.len(),
            _ => 0,
        }
    }

    pub(crate) fn left_out(&self) -> usize {
        match &self.state.lock().phase {
            Phase::Attached(attached) => attached.left_out(),
            _ => 0,
        }
    }
}

impl Drop for Kprobe {
    fn drop(&mut self) {
        // Where text cannot be written there is nobody left to tell; the handlers are detached all the same.
        let _ = self.detach();
    }
}

fn wanted(target: &Target, options: &LinkOptions<'_>) -> Result<Wanted, Error> {
    let not_available = || Error::NotAvailable {
        target: target.clone(),
    };
    let Target::GuestFunction {
        kind,
        symbol,
        offset,
        ..
    } = target
    else {
        return Err(not_available());
    };
    let kind = match kind {
        ProbeType::Kprobe => ProbeKind::Entry,
        ProbeType::Kretprobe => ProbeKind::Return,
        _ => return Err(not_available()),
    };
    let limit = options.max_functions.unwrap_or(LinkOptions::MAX_FUNCTIONS);
    Wanted::new(kind, symbol, *offset, limit)
}
