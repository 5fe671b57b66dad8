//! Programs at functions of the hypervisor.

use alloc::sync::Arc;

use axebpf_hprobe::{HprobeHandler, HprobeHit, HprobeLink, ProbeKind};
use axebpf_platform::HostVirt;
use axebpf_vm::{CallStack, Context, StackStart};
use zerocopy::IntoBytes;

use super::{
    Runner,
    registers::{Call, Fields, FilteredHit, RegisterFilter},
};
use crate::{
    Error, LinkOptions, ProbeType, Target,
    hprobe::{Points, Wanted, functions, points},
};

/// The frame pointer (AAPCS64, section 6.4.6).
const FP: usize = 29;
/// The link register.
const LR: usize = 30;

/// A runner that is told of hits.
struct Handler {
    runner: Arc<Runner>,
    filter: Option<RegisterFilter>,
}

impl HprobeHandler for Handler {
    fn hit(&self, hit: &HprobeHit<'_>) {
        let call_time = hit
            .entered
            .map(|entered| hit.now_ns().saturating_sub(entered.time_ns));
        if let Some(filter) = &self.filter {
            let seen = FilteredHit {
                guard: hit.guard,
                vcpu: hit.guard.platform().current_vcpu(),
                regs: hit.regs,
                call: call_time.map(|duration_ns| Call {
                    duration_ns,
                    ..Call::default()
                }),
            };
            if !filter.passes(&seen) {
                return;
            }
        }
        let stack = HitStack(hit);
        let env = self.runner.env(&stack);
        let mut env = env.with_function(hit.point.function().get());
        if let Some(call_time) = call_time {
            env = env.with_call_time_ns(call_time);
        }
        self.runner
            .run(hit.guard, Context::new(hit.regs.as_bytes()), &env);
    }
}

/// The call chain at a hit.
struct HitStack<'h>(&'h HprobeHit<'h>);

impl CallStack for HitStack<'_> {
    fn start(&self) -> Option<StackStart> {
        let HprobeHit { point, regs, .. } = self.0;
        let start = StackStart::new(HostVirt::new(regs.pc), HostVirt::new(regs.regs[FP]));
        // At its first instruction, a function has no frame record yet. At its return it has none any more, but there
        // the program counter is the caller's.
        let is_entered = point.kind() == ProbeKind::Entry && point.at() == point.function();
        Some(if is_entered {
            start.with_return_address(HostVirt::new(regs.regs[LR]))
        } else {
            start
        })
    }

    fn real_return(&self, frame: Option<HostVirt>, saved: HostVirt) -> HostVirt {
        /// Bytes of a frame record.
        const RECORD: u64 = 16;
        let lowest_sp = frame.map_or(self.0.regs.sp, |frame| frame.get().saturating_add(RECORD));
        axebpf_hprobe::real_return_address(saved.get(), lowest_sp).unwrap_or(saved)
    }
}

/// A runner that is attached to functions.
pub(crate) struct Hprobe {
    link: HprobeLink,
    left_out: usize,
}

impl Hprobe {
    pub(crate) fn attach(
        runner: &Arc<Runner>,
        target: &Target,
        options: &LinkOptions<'_>,
    ) -> Result<Self, Error> {
        let (kind, wanted) = wanted(target, options)?;
        let fields = match kind {
            ProbeKind::Entry => Fields::Entry,
            ProbeKind::Return => Fields::Return,
        };
        let filter = options
            .filter
            .map(|text| RegisterFilter::compile(text, fields))
            .transpose()?;
        let Points { points, left_out } = points(functions()?, &wanted)?;
        if let ([], Some(first)) = (points.as_slice(), left_out.first()) {
            return Err(Error::NothingToProbe {
                glob: wanted.symbol.into(),
                found: left_out.len(),
                first: first.why,
            });
        }
        let handler = Handler {
            runner: Arc::clone(runner),
            filter,
        };
        let mut link_options = axebpf_hprobe::LinkOptions::default();
        if let Some(maxactive) = options.maxactive {
            link_options = link_options.with_maxactive(maxactive);
        }
        let link = axebpf_hprobe::attach(&points, Arc::new(handler), link_options)?;
        Ok(Self {
            link,
            left_out: left_out.len(),
        })
    }

    /// Takes the probe out of the text. When this returns, no CPU runs the program for it any more.
    pub(crate) fn detach(&self) -> Result<(), Error> {
        Ok(self.link.detach()?)
    }

    pub(crate) fn missed(&self) -> u64 {
        self.link.missed()
    }

    pub(crate) fn places(&self) -> usize {
        self.link.points().len()
    }

    pub(crate) fn left_out(&self) -> usize {
        self.left_out
    }
}

fn wanted<'t>(
    target: &'t Target,
    options: &LinkOptions<'_>,
) -> Result<(ProbeKind, Wanted<'t>), Error> {
    let not_available = || Error::NotAvailable {
        target: target.clone(),
    };
    let Target::Function {
        kind,
        symbol,
        offset,
    } = target
    else {
        return Err(not_available());
    };
    let kind = match kind {
        ProbeType::Hprobe => ProbeKind::Entry,
        ProbeType::Hretprobe => ProbeKind::Return,
        _ => return Err(not_available()),
    };
    let wanted = Wanted {
        symbol,
        offset: *offset,
        kind,
        limit: options.max_functions.unwrap_or(LinkOptions::MAX_FUNCTIONS),
    };
    Ok((kind, wanted))
}
