//! What becomes of a point whose instruction can be executed by nobody but the guest, where there are no steps.

use super::guest::ProbedGuest;
use super::point::{Point, count};
use super::slot::Slot;
use crate::ProbeMode;
use crate::integration::GuestVcpu;

impl ProbedGuest {
    /// Lets a vCPU that is at `point` execute the instruction there by itself, without a step.
    ///
    /// Where text is patched, the instruction is put back for all, and the links see nothing any more, as their
    /// [`LinkState`](crate::LinkState) says. Otherwise the vCPU executes the page for as long as it stays there.
    pub(super) fn withdraw(&self, vcpu: &mut dyn GuestVcpu, slot: &mut Slot, point: &Point) {
        if point.page.mode == ProbeMode::Stage2Fault {
            return self.open_window(vcpu, slot, &point.page);
        }
        // Whoever does not get the lock comes here again.
        let Some(_lock) = self.text.try_lock() else {
            return;
        };
        if !point.is_armed() {
            return;
        }
        count(match self.text_of().disarm(point) {
            Ok(()) => &self.statistics.withdrawn,
            Err(_) => &self.statistics.errors,
        });
    }
}
