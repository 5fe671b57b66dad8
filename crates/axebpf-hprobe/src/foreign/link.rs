//! Links: one handler at one or many points.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axebpf_platform::HostVirt;

use super::PtRegs;
use super::attach::STATE;
use super::registry::{Point, Subscription};
use crate::attach::new_id;
use crate::lock::lock;
use crate::returns::{LinkId, MaxActive};
use crate::{Config, HprobeError, HprobeHandler, LinkOptions, PointLink, ProbePoint};

/// One handler, attached to one or many points. Detached when dropped.
///
/// Made by [`attach`].
#[derive(Debug)]
#[must_use = "dropping it detaches it"]
pub struct HprobeLink {
    id: LinkId,
    subscriptions: Box<[Arc<Subscription>]>,
    is_attached: AtomicBool,
}

/// Says what may be probed. To be called once, after [`axebpf_hit::install`].
///
/// What the configuration says of branch targets and stores concerns aarch64 only.
///
/// # Errors
///
/// [`HprobeError::AlreadyInstalled`] the second time, [`HprobeError::InHit`] inside a hit.
pub fn install(config: Config) -> Result<(), HprobeError> {
    let mut state = lock(&STATE)?;
    if state.config.is_some() {
        return Err(HprobeError::AlreadyInstalled);
    }
    state.config = Some(config);
    Ok(())
}

/// Calls `handler` at each hit of any of `points`, until the link is detached.
///
/// All points fire, or, after an error, none. Points that are given twice count once. Any number of links can share a
/// point.
///
/// # Errors
///
/// Says which point cannot be probed and why, [`HprobeError::NotInstalled`] before [`install`], [`HprobeError::InHit`]
/// inside a hit, and what writing text can meet. Nothing has changed then.
pub fn attach(
    points: &[ProbePoint],
    handler: Arc<dyn HprobeHandler<PtRegs>>,
    options: LinkOptions,
) -> Result<HprobeLink, HprobeError> {
    let mut points: Vec<ProbePoint> = points.to_vec();
    points.sort_unstable_by_key(|point| (point.at(), point.kind() as u8));
    points.dedup_by_key(|point| (point.at(), point.kind()));
    if points.is_empty() {
        return Err(HprobeError::NoPoints);
    }
    let link = new_id();
    let active = Arc::new(MaxActive::new(options.maxactive));
    // Made before the lock is taken, so that it is dropped after it: its handler may be a user of this crate, too.
    let subscriptions: Box<[_]> = points
        .into_iter()
        .map(|point| {
            Arc::new(Subscription {
                id: new_id(),
                link,
                point,
                handler: handler.clone(),
                active: active.clone(),
                hits: AtomicU64::new(0),
                missed: AtomicU64::new(0),
            })
        })
        .collect();
    lock(&STATE)?.attach(&subscriptions)?;
    Ok(HprobeLink {
        id: link,
        subscriptions,
        is_attached: AtomicBool::new(true),
    })
}

impl HprobeLink {
    /// Returns the number of the link, which is never reused.
    #[must_use]
    pub fn id(&self) -> LinkId {
        self.id
    }

    /// Visits the points, sorted by address.
    pub fn points(&self) -> impl ExactSizeIterator<Item = &ProbePoint> {
        self.subscriptions.iter().map(|sub| &sub.point)
    }

    /// Returns how often the handler was called.
    #[must_use]
    pub fn hits(&self) -> u64 {
        let all = self.subscriptions.iter();
        all.map(|sub| sub.hits.load(Ordering::Relaxed)).sum()
    }

    /// Returns how often it could not be called: in other hits, and where a return could not be waited for.
    #[must_use]
    pub fn missed(&self) -> u64 {
        let all = self.subscriptions.iter();
        all.map(|sub| sub.missed.load(Ordering::Relaxed)).sum()
    }

    /// Detaches the link. When this returns, no CPU runs the handler for it any more, and where no other link probes, the
    /// text is as it was.
    ///
    /// Functions whose return is waited for return as if nothing had been. A link that is detached stays so.
    ///
    /// # Errors
    ///
    /// [`HprobeError::InHit`] inside a hit and [`HprobeError::Fence`] when the text cannot be written: the link is
    /// attached still. With [`HprobeError::Hit`] it is detached, but a CPU that does not leave its hit may be running
    /// the handler.
    pub fn detach(&self) -> Result<(), HprobeError> {
        let mut state = lock(&STATE)?;
        if !self.is_attached.load(Ordering::Relaxed) {
            return Ok(());
        }
        let detached = state.detach(&self.subscriptions);
        let is_detached = matches!(detached, Ok(()) | Err(HprobeError::Hit(_)));
        self.is_attached.store(!is_detached, Ordering::Relaxed);
        detached
    }
}

impl Drop for HprobeLink {
    fn drop(&mut self) {
        // What cannot be detached stays attached, which the registry keeps alive.
        let _ = self.detach();
    }
}

/// What is known of one probed instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PointInfo {
    /// Where it is.
    pub at: HostVirt,
    /// The instruction: 1 to 15 bytes.
    pub insn: Box<[u8]>,
    /// Who is told.
    pub links: Vec<PointLink>,
}

/// Lists all points, sorted by address.
///
/// # Errors
///
/// [`HprobeError::InHit`] inside a hit.
pub fn list() -> Result<Vec<PointInfo>, HprobeError> {
    Ok(lock(&STATE)?.points.values().map(PointInfo::of).collect())
}

impl PointInfo {
    fn of(point: &Point) -> Self {
        let links = point.subscriptions.iter().map(|sub| PointLink {
            link: sub.link,
            point: sub.point,
            hits: sub.hits.load(Ordering::Relaxed),
            missed: sub.missed.load(Ordering::Relaxed),
        });
        Self {
            at: HostVirt::new(point.at),
            insn: point.displaced.insn.bytes().into(),
            links: links.collect(),
        }
    }
}
