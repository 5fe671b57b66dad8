//! The way from a probe point to a program.

#[cfg(feature = "hprobe")]
mod hprobe;
#[cfg(feature = "guest-kprobe")]
mod kprobe;
#[cfg(feature = "hprobe")]
mod registers;
#[cfg(feature = "tracepoint-support")]
mod tracepoint;

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU64, Ordering};

#[cfg(feature = "guest-kprobe")]
pub(crate) use self::kprobe::Kprobe;

use axebpf_hit::HitGuard;
use axebpf_vm::{CallStack, Context, Program, RunEnv};

#[cfg(feature = "guest-kprobe")]
use crate::GuestLinkInfo;
#[cfg(feature = "hprobe")]
use crate::ProbeType;
use crate::{Error, LinkCounts, LinkOptions, Target, printk::ProgramPrintk, state::State};

/// What runs a program at each hit of one link.
pub(crate) struct Runner {
    program: Arc<Program>,
    printk: ProgramPrintk,
    cookie: u64,
    hits: AtomicU64,
    errors: AtomicU64,
}

impl Runner {
    pub(crate) fn new(program: &Arc<Program>, printk: ProgramPrintk, cookie: u64) -> Self {
        Self {
            program: Arc::clone(program),
            printk,
            cookie,
            hits: AtomicU64::new(0),
            errors: AtomicU64::new(0),
        }
    }

    fn counts(&self, missed: u64) -> LinkCounts {
        LinkCounts {
            hits: self.hits.load(Ordering::Relaxed),
            missed,
            errors: self.errors.load(Ordering::Relaxed),
        }
    }

    /// Returns what the program gets besides its context, with the call chain of what it probes. Each
    /// kind of probe adds what else it knows.
    #[cfg_attr(not(feature = "tracepoint-support"), expect(dead_code))]
    fn env<'e>(&'e self, stack: &'e dyn CallStack) -> RunEnv<'e> {
        RunEnv::new()
            .with_printk(&self.printk)
            .with_cookie(self.cookie)
            .with_stack(stack)
    }

    /// Runs the program once. This is the hot path: nothing here allocates or waits.
    #[cfg_attr(not(feature = "tracepoint-support"), expect(dead_code))]
    fn run(&self, guard: &HitGuard, context: Context<'_>, env: &RunEnv<'_>) {
        // The reason of a failure is in the counters of the program.
        let counter = match self.program.run(guard, context, env) {
            Ok(_) => &self.hits,
            Err(_) => &self.errors,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl Place {
    #[cfg_attr(not(feature = "guest-kprobe"), allow(unused_variables))]
    fn attach(
        state: &State,
        runner: &Arc<Runner>,
        target: &Target,
        options: &LinkOptions<'_>,
    ) -> Result<Self, Error> {
        match target {
            #[cfg(feature = "tracepoint-support")]
            Target::Tracepoint { .. } => {
                tracepoint::Tracepoint::attach(runner, target, options.filter).map(Self::Tracepoint)
            }
            #[cfg(feature = "hprobe")]
            Target::Function {
                kind: ProbeType::Hprobe | ProbeType::Hretprobe,
                ..
            } => hprobe::Hprobe::attach(runner, target, options).map(Self::Hprobe),
            #[cfg(feature = "guest-kprobe")]
            Target::GuestFunction { vm, .. } => {
                let place = Kprobe::new(runner, state.guest(*vm)?, target, options)?;
                Ok(Self::Kprobe(Arc::new(place)))
            }
            _ if options.filter.is_some() && !matches!(target, Target::Tracepoint { .. }) => {
                Err(Error::NoFields {
                    target: target.clone(),
                })
            }
            _ => Err(Error::NotAvailable {
                target: target.clone(),
            }),
        }
    }

    fn missed(&self) -> u64 {
        match self {
            #[cfg(feature = "tracepoint-support")]
            Self::Tracepoint(place) => place.missed(),
            #[cfg(feature = "hprobe")]
            Self::Hprobe(place) => place.missed(),
            #[cfg(feature = "guest-kprobe")]
            Self::Kprobe(place) => place.missed(),
            #[cfg(not(feature = "tracepoint-support"))]
            Self::Nowhere(never) => match *never {},
        }
    }

    fn detach(self) -> Result<(), Error> {
        match self {
            #[cfg(feature = "tracepoint-support")]
            Self::Tracepoint(place) => place.detach(),
            #[cfg(feature = "hprobe")]
            Self::Hprobe(place) => place.detach(),
            #[cfg(feature = "guest-kprobe")]
            Self::Kprobe(place) => place.detach(),
            #[cfg(not(feature = "tracepoint-support"))]
            Self::Nowhere(never) => match never {},
        }
    }
}

/// A runner at its probe point.
pub(crate) struct Attachment {
    runner: Arc<Runner>,
    place: Place,
}

/// Where a runner is.
enum Place {
    #[cfg(feature = "tracepoint-support")]
    Tracepoint(tracepoint::Tracepoint),
    #[cfg(feature = "hprobe")]
    Hprobe(hprobe::Hprobe),
    #[cfg(feature = "guest-kprobe")]
    Kprobe(Arc<Kprobe>),
    /// No kind of probe point that this build can attach to.
    #[cfg(not(feature = "tracepoint-support"))]
    #[expect(dead_code)]
    Nowhere(core::convert::Infallible),
}

impl Attachment {
    /// Puts `runner` at `target`. It may run before this returns. At a guest it waits until it is armed, which takes
    /// too long for the management lock.
    pub(crate) fn new(
        state: &State,
        runner: Runner,
        target: &Target,
        options: &LinkOptions<'_>,
    ) -> Result<Self, Error> {
        if options.maxactive == Some(0) {
            let target = target.clone();
            return Err(Error::NoCalls { target });
        }
        let runner = Arc::new(runner);
        let place = Place::attach(state, &runner, target, options)?;
        Ok(Self { runner, place })
    }

    /// Takes away what can be left in place if that goes wrong: the attachment is then as it was.
    pub(crate) fn release(&self) -> Result<(), Error> {
        match &self.place {
            #[cfg(feature = "hprobe")]
            Place::Hprobe(place) => place.detach(),
            #[cfg(feature = "guest-kprobe")]
            Place::Kprobe(place) => place.detach(),
            _ => Ok(()),
        }
    }

    /// Returns how many places there are.
    pub(crate) fn places(&self) -> usize {
        match &self.place {
            #[cfg(feature = "hprobe")]
            Place::Hprobe(place) => place.places(),
            #[cfg(feature = "guest-kprobe")]
            Place::Kprobe(place) => place.places(),
            _ => 1,
        }
    }

    /// Returns how many places that were meant cannot be probed.
    pub(crate) fn left_out(&self) -> usize {
        match &self.place {
            #[cfg(feature = "hprobe")]
            Place::Hprobe(place) => place.left_out(),
            #[cfg(feature = "guest-kprobe")]
            Place::Kprobe(place) => place.left_out(),
            _ => 0,
        }
    }

    /// Returns what there is to know of a link to a guest.
    #[cfg(feature = "guest-kprobe")]
    pub(crate) fn guest(&self) -> Option<GuestLinkInfo> {
        match &self.place {
            Place::Kprobe(place) => Some(place.info()),
            _ => None,
        }
    }

    /// Returns what is attached to a guest, or waits for it.
    #[cfg(feature = "guest-kprobe")]
    pub(crate) fn kprobe(&self) -> Option<&Arc<Kprobe>> {
        match &self.place {
            Place::Kprobe(place) => Some(place),
            _ => None,
        }
    }

    /// Takes the runner away. When this returns, no CPU runs the program for it any more.
    pub(crate) fn detach(self) -> Result<LinkCounts, Error> {
        let missed = self.place.missed();
        self.place.detach()?;
        Ok(self.runner.counts(missed))
    }

    pub(crate) fn counts(&self) -> LinkCounts {
        self.runner.counts(self.place.missed())
    }
}
