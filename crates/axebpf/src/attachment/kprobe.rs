//! Programs at functions of a guest's kernel.

use alloc::{sync::Arc, vec::Vec};

use axebpf_guestprobe::{
    GuestCounts, GuestLinkId, GuestProbe, GuestProbeError, GuestProbeHandler, GuestProbeHit,
    LinkState, ProbeKind, ProbeMode, Stage1,
};
use axebpf_hit::HitGuard;
use axebpf_platform::{GuestVirt, HostVirt, VmId};
use axebpf_vm::{CallStack, Context, StackStart};
use spin::Mutex;
use zerocopy::IntoBytes;

use super::{
    Runner,
    registers::{Call, Fields, FilteredHit, RegisterFilter},
};
use crate::{
    Error, GuestLinkInfo, LinkOptions, ProbeType, Target,
    kprobe::{Guest, GuestError, Place, Places, TaskLayout, TaskView, Wanted, places},
};

/// The frame pointer (AAPCS64, section 6.4.6).
const FP: usize = 29;
/// The link register.
const LR: usize = 30;

/// A runner that is told of hits at one function.
struct Handler {
    runner: Arc<Runner>,
    filter: Option<Arc<RegisterFilter>>,
    function: GuestVirt,
    tasks: Option<TaskLayout>,
}

impl GuestProbeHandler for Handler {
    fn hit(&self, hit: &GuestProbeHit<'_>) {
        let call = hit.entered.map(|entered| Call {
            duration_ns: hit.time_ns.saturating_sub(entered.time_ns),
            arguments: entered.arguments,
        });
        if let Some(filter) = &self.filter {
            let seen = FilteredHit {
                guard: hit.guard,
                vcpu: Some(hit.vcpu),
                regs: hit.regs,
                call,
            };
            if !filter.passes(&seen) {
                return;
            }
        }
        let stack = HitStack {
            hit,
            function: self.function,
        };
        let guest = TaskView {
            guest: hit.guest,
            layout: self.tasks,
        };
        let env = self.runner.env(&stack);
        let mut env = env.with_function(self.function.get()).with_guest(&guest);
        if let Some(call) = call {
            env = env.with_call_time_ns(call.duration_ns);
        }
        self.runner
            .run(hit.guard, Context::new(hit.regs.as_bytes()), &env);
    }
}

/// The guest's call chain at a hit. Its addresses are those of the guest.
struct HitStack<'h> {
    hit: &'h GuestProbeHit<'h>,
    function: GuestVirt,
}

impl CallStack for HitStack<'_> {
    fn start(&self) -> Option<StackStart> {
        let GuestProbeHit { probe, regs, .. } = self.hit;
        let start = StackStart::new(HostVirt::new(regs.pc), HostVirt::new(regs.regs[FP]));
        let is_entered = probe.kind() == ProbeKind::Entry && probe.at() == self.function;
        Some(if is_entered {
            start.with_return_address(HostVirt::new(regs.regs[LR]))
        } else {
            start
        })
    }

    fn read_frame(&self, _guard: &HitGuard, frame: HostVirt) -> Option<[u64; 2]> {
        let mut record = [0; 16];
        let at = GuestVirt::new(frame.get());
        self.hit.guest.read(at, &mut record).ok()?;
        let word = u128::from_le_bytes(record);
        Some([word as u64, (word >> 64) as u64])
    }

    fn real_return(&self, _frame: Option<HostVirt>, saved: HostVirt) -> HostVirt {
        let stage1 = self.hit.guest.stage1();
        let plain = stage1.without_authentication(GuestVirt::new(saved.get()));
        HostVirt::new(plain.get())
    }

    /// What is above the guest's addresses is left to [`real_return`](CallStack::real_return), which knows where that
    /// is.
    fn address_bits(&self) -> u32 {
        u64::BITS
    }
}

/// A runner that is attached to functions of a guest.
pub(crate) struct Kprobe {
    guest: Arc<Guest>,
    links: Vec<GuestLinkId>,
    left_out: usize,
    mode: ProbeMode,
    /// What had happened at the places that are detached.
    finished: Mutex<GuestCounts>,
}

impl Kprobe {
    pub(crate) fn attach(
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
        let stage1 = guest.probes.stage1();
        let stage1 = stage1.ok_or(GuestError::NoKernel { vm: guest.vm })?;
        let capabilities = guest.probes.capabilities();
        let mode = match options.mode {
            Some(mode) => mode,
            None => capabilities
                .best_mode()
                .map_err(|error| GuestError::Probe(error.into()))?,
        };
        // Looks for the symbols, and with them for the layout of tasks, unless the target is an address.
        let places = places(guest, &wanted)?;
        let mut attached = Self {
            guest: Arc::clone(guest),
            links: Vec::new(),
            left_out: 0,
            mode,
            finished: Mutex::default(),
        };
        let attaching = Attaching {
            runner,
            filter,
            stage1,
            kind: wanted.kind,
            maxactive: options.maxactive,
        };
        let result = attached.attach_all(&attaching, places);
        if result.is_err() {
            // The first error is the one to be told.
            let _ = attached.detach();
        }
        result.map(|()| attached)
    }

    fn attach_all(&mut self, attaching: &Attaching<'_>, places: Places) -> Result<(), Error> {
        let places = match places {
            Places::One(place) => {
                let link = self.attach_one(attaching, place);
                self.links.push(link.map_err(GuestError::from)?);
                return Ok(());
            }
            Places::Many(places) => places,
        };
        let mut first = None;
        for place in places {
            match self.attach_one(attaching, place) {
                Ok(link) => self.links.push(link),
                Err(error) => {
                    self.left_out += 1;
                    first = first.or(Some(error));
                }
            }
        }
        match first {
            Some(error) if self.links.is_empty() => Err(GuestError::from(error).into()),
            _ => Ok(()),
        }
    }

    fn attach_one(
        &self,
        attaching: &Attaching<'_>,
        place: Place,
    ) -> Result<GuestLinkId, GuestProbeError> {
        let mut probe = GuestProbe::new(self.guest.vm, place.at, attaching.kind, self.mode)?;
        if let Some(calls) = attaching.maxactive {
            probe = probe.with_max_active(u16::try_from(calls).unwrap_or(u16::MAX));
        }
        let handler = Handler {
            runner: Arc::clone(attaching.runner),
            filter: attaching.filter.clone(),
            function: place.function,
            tasks: self.guest.tasks(),
        };
        let probes = &self.guest.probes;
        probes.attach(&attaching.stage1, &probe, Arc::new(handler))
    }

    /// Takes the probes out of the guest. When this returns, no CPU runs the program for them any more.
    pub(crate) fn detach(&self) -> Result<(), Error> {
        let detached = self.links.iter().map(|link| {
            match self.guest.probes.detach(*link) {
                Ok(counts) => {
                    let mut finished = self.finished.lock();
                    *finished = add(*finished, counts);
                    Ok(())
                }
                // An attempt before this one has detached it.
                Err(GuestProbeError::NoLink { .. }) => Ok(()),
                Err(error) => Err(GuestError::from(error).into()),
            }
        });
        detached.fold(Ok(()), Result::and)
    }

    /// Returns what has happened at all places.
    fn counts(&self) -> GuestCounts {
        let live = self
            .links
            .iter()
            .filter_map(|link| self.guest.probes.counts(*link).ok());
        live.fold(*self.finished.lock(), add)
    }

    pub(crate) fn missed(&self) -> u64 {
        self.counts().missed
    }

    pub(crate) fn info(&self) -> GuestLinkInfo {
        GuestLinkInfo {
            vm: self.guest.vm,
            mode: self.mode,
            retired: self.counts().retired,
            suspended: self.suspended(),
        }
    }

    pub(crate) fn vm(&self) -> VmId {
        self.guest.vm
    }

    pub(crate) fn places(&self) -> usize {
        self.links.len()
    }

    pub(crate) fn left_out(&self) -> usize {
        self.left_out
    }

    /// Counts the places that see nothing at present.
    fn suspended(&self) -> usize {
        let is_suspended = |link: &&GuestLinkId| {
            let state = self.guest.probes.link_state(**link);
            matches!(state, Ok(LinkState::Suspended { .. }))
        };
        self.links.iter().filter(is_suspended).count()
    }
}

impl Drop for Kprobe {
    fn drop(&mut self) {
        // Where text cannot be written there is nobody left to tell; the handlers are detached all the same.
        let _ = self.detach();
    }
}

fn add(a: GuestCounts, b: GuestCounts) -> GuestCounts {
    GuestCounts {
        hits: a.hits.saturating_add(b.hits),
        retired: a.retired.saturating_add(b.retired),
        missed: a.missed.saturating_add(b.missed),
    }
}

/// What all places of one link have in common.
struct Attaching<'a> {
    runner: &'a Arc<Runner>,
    filter: Option<Arc<RegisterFilter>>,
    stage1: Stage1,
    kind: ProbeKind,
    maxactive: Option<u32>,
}

fn wanted<'t>(target: &'t Target, options: &LinkOptions<'_>) -> Result<Wanted<'t>, Error> {
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
    Ok(Wanted {
        symbol,
        offset: *offset,
        kind,
        limit: options.max_functions.unwrap_or(LinkOptions::MAX_FUNCTIONS),
    })
}
