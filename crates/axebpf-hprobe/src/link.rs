//! Links: one handler at one or many points.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axebpf_a64::{Execution, PtRegs};
use axebpf_platform::HostVirt;
use spin::mutex::SpinMutex;

use crate::attach::{STATE, State, new_id};
use crate::lock::lock;
use crate::registry::{Point, Subscription};
use crate::returns::{LinkId, MaxActive};
use crate::{Config, HprobeError, HprobeHandler, ProbePoint};

/// How a link behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LinkOptions {
    /// How many calls of the link can be waiting for their return at a time; the returns of others are missed.
    pub maxactive: u32,
}

impl Default for LinkOptions {
    fn default() -> Self {
        Self { maxactive: 256 }
    }
}

impl LinkOptions {
    /// Allows `maxactive` calls to wait for their return at a time.
    #[must_use]
    pub fn with_maxactive(mut self, maxactive: u32) -> Self {
        self.maxactive = maxactive;
        self
    }
}

/// One handler, attached to one or many points. Detached when dropped.
///
/// Made by [`attach`]. `R` are the registers of the architecture.
#[must_use = "dropping it detaches it"]
pub struct HprobeLink<R: 'static = PtRegs> {
    id: LinkId,
    subscriptions: Box<[Arc<Subscription<R>>]>,
    is_attached: AtomicBool,
    engine: &'static Locked<R>,
}

/// What attaches and detaches the subscriptions of a link. `R` are the registers of its architecture.
pub(crate) trait Engine<R>: Send {
    /// Makes all of `subscriptions` fire, or, after an error, none.
    fn subscribe_to_all(
        &mut self,
        subscriptions: &[Arc<Subscription<R>>],
    ) -> Result<(), HprobeError>;

    /// Makes none of `subscriptions` fire any more.
    fn unsubscribe_from_all(
        &mut self,
        subscriptions: &[Arc<Subscription<R>>],
    ) -> Result<(), HprobeError>;
}

/// An engine, behind its management lock.
type Locked<R> = SpinMutex<dyn Engine<R>>;

/// Says what may be probed, and how. To be called once, after [`axebpf_hit::install`].
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
    handler: Arc<dyn HprobeHandler>,
    options: LinkOptions,
) -> Result<HprobeLink, HprobeError> {
    HprobeLink::attach(&STATE, points, &handler, options)
}

impl Engine<PtRegs> for State {
    fn subscribe_to_all(&mut self, subscriptions: &[Arc<Subscription>]) -> Result<(), HprobeError> {
        self.attach(subscriptions)
    }

    fn unsubscribe_from_all(
        &mut self,
        subscriptions: &[Arc<Subscription>],
    ) -> Result<(), HprobeError> {
        self.detach(subscriptions)
    }
}

impl<R> HprobeLink<R> {
    /// Attaches `handler` to all of `points` in `engine`.
    pub(crate) fn attach(
        engine: &'static Locked<R>,
        points: &[ProbePoint],
        handler: &Arc<dyn HprobeHandler<R>>,
        options: LinkOptions,
    ) -> Result<Self, HprobeError> {
        let mut points: Vec<ProbePoint> = points.to_vec();
        points.sort_unstable_by_key(|point| (point.at(), point.kind() as u8));
        points.dedup_by_key(|point| (point.at(), point.kind()));
        if points.is_empty() {
            return Err(HprobeError::NoPoints);
        }
        let id = new_id();
        let active = Arc::new(MaxActive::new(options.maxactive));
        // Made before the lock is taken, so that it is dropped after it: its handler may be a user of this crate, too.
        let subscriptions: Box<[_]> = points
            .into_iter()
            .map(|point| {
                Arc::new(Subscription {
                    id: new_id(),
                    link: id,
                    point,
                    handler: handler.clone(),
                    active: active.clone(),
                    hits: AtomicU64::new(0),
                    missed: AtomicU64::new(0),
                })
            })
            .collect();
        lock(engine)?.subscribe_to_all(&subscriptions)?;
        Ok(Self {
            id,
            subscriptions,
            is_attached: AtomicBool::new(true),
            engine,
        })
    }

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

    /// Detaches the link. When this returns, no CPU runs the handler for it any more, and where no other link probes,
    /// the text is as it was.
    ///
    /// Functions whose return is waited for return as if nothing had been. A link that is detached stays so.
    ///
    /// # Errors
    ///
    /// [`HprobeError::InHit`] inside a hit and [`HprobeError::Fence`] when the text cannot be written: the link is
    /// attached still. With [`HprobeError::Hit`] it is detached, but a CPU that does not leave its hit may be running
    /// the handler.
    pub fn detach(&self) -> Result<(), HprobeError> {
        let mut engine = lock(self.engine)?;
        if !self.is_attached.load(Ordering::Relaxed) {
            return Ok(());
        }
        let detached = engine.unsubscribe_from_all(&self.subscriptions);
        let is_detached = matches!(detached, Ok(()) | Err(HprobeError::Hit(_)));
        self.is_attached.store(!is_detached, Ordering::Relaxed);
        detached
    }
}

impl<R> Drop for HprobeLink<R> {
    fn drop(&mut self) {
        // What cannot be detached stays attached, which the registry keeps alive.
        let _ = self.detach();
    }
}

impl<R> fmt::Debug for HprobeLink<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HprobeLink")
            .field("id", &self.id)
            .field("subscriptions", &self.subscriptions)
            .field("is_attached", &self.is_attached)
            .finish_non_exhaustive()
    }
}

/// What is known of one probed instruction.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PointInfo {
    /// Where it is.
    pub at: HostVirt,
    /// The instruction.
    pub word: u32,
    /// How it is executed.
    pub execution: Execution,
    /// Who is told.
    pub links: Vec<PointLink>,
}

/// What is known of one link at one point.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct PointLink {
    /// The link.
    pub link: LinkId,
    /// The point, as the link names it.
    pub point: ProbePoint,
    /// How often the handler was called for this point.
    pub hits: u64,
    /// How often it could not be called.
    pub missed: u64,
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
        Self {
            at: HostVirt::new(point.at),
            word: point.word,
            execution: point.execution,
            links: PointLink::all(&point.subscriptions),
        }
    }
}

impl PointLink {
    /// Lists the links that `subscriptions`, those to one point, belong to.
    pub(crate) fn all<R>(subscriptions: &[Arc<Subscription<R>>]) -> Vec<Self> {
        let links = subscriptions.iter().map(|sub| Self {
            link: sub.link,
            point: sub.point,
            hits: sub.hits.load(Ordering::Relaxed),
            missed: sub.missed.load(Ordering::Relaxed),
        });
        links.collect()
    }
}
