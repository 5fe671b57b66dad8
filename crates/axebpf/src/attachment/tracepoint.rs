//! Programs at tracepoints.

use alloc::{format, sync::Arc};

use axebpf_platform::HostVirt;
use axebpf_tp::{Event, Filter, Site, Subscription, TraceHandler, TraceHit};
use axebpf_vm::{CallStack, Context, StackStart};

use super::Runner;
use crate::{Error, Target};

impl TraceHandler for Runner {
    fn hit(&self, hit: &TraceHit<'_>) {
        let stack = SiteStack(hit.site);
        let env = self.env(&stack);
        self.run(hit.guard, Context::new(hit.record), &env);
    }
}

/// The call chain at a tracepoint: the place itself, and its callers where functions keep frame
/// records.
struct SiteStack(Option<Site>);

impl CallStack for SiteStack {
    fn start(&self) -> Option<StackStart> {
        let site = self.0?;
        let none = HostVirt::new(0);
        Some(StackStart::new(site.pc, site.frame_pointer.unwrap_or(none)))
    }
}

/// A runner that listens to an event.
pub(crate) struct Tracepoint {
    subscription: Subscription,
    /// What the event had missed before.
    missed_before: u64,
}

impl Tracepoint {
    pub(crate) fn attach(
        runner: &Arc<Runner>,
        target: &Target,
        filter: Option<&str>,
    ) -> Result<Self, Error> {
        let event = find(target)?;
        let filter = filter
            .map(|text| Filter::compile(text, event))
            .transpose()?;
        let missed_before = event.missed();
        let handler: Arc<dyn TraceHandler> = Arc::clone(runner) as _;
        let subscription = axebpf_tp::subscribe(event, handler, filter)?;
        Ok(Self {
            subscription,
            missed_before,
        })
    }

    pub(crate) fn detach(self) -> Result<(), Error> {
        Ok(self.subscription.cancel()?)
    }

    /// Counts the firings of the event since the program was attached that no program could be run
    /// for. Whether the filter would have let them through is not known: it was not run either.
    pub(crate) fn missed(&self) -> u64 {
        self.subscription
            .event()
            .missed()
            .saturating_sub(self.missed_before)
    }
}

fn find(target: &Target) -> Result<&'static Event, Error> {
    match target {
        Target::Tracepoint { system, name } => {
            let name = format!("{system}:{name}");
            axebpf_tp::find(&name).ok_or(Error::NoEvent { name })
        }
        _ => Err(Error::NotAvailable {
            target: target.clone(),
        }),
    }
}
