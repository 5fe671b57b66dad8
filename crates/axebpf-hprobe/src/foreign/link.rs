//! Links: one handler at one or many points.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use axebpf_platform::HostVirt;

use super::PtRegs;
use super::attach::{STATE, State};
use super::registry::{Point, Subscription};
use crate::link::Engine;
use crate::lock::lock;
use crate::{Config, HprobeError, HprobeHandler, LinkOptions, PointLink, ProbePoint};

/// One handler, attached to one or many points. Detached when dropped.
///
/// Made by [`attach`].
pub type HprobeLink = crate::HprobeLink<PtRegs>;

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
        Self {
            at: HostVirt::new(point.at),
            insn: point.displaced.insn.bytes().into(),
            links: PointLink::all(&point.subscriptions),
        }
    }
}
