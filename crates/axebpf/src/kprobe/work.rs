//! What is done for guests later: places to which calls return, and links that wait for a kernel.

use alloc::{sync::Arc, vec::Vec};

use axebpf_platform::VmId;

use super::{Guest, GuestError};
use crate::{Error, Registry, attachment::Kprobe};

/// The work for guests.
impl Registry {
    /// Does what has to be done for guests outside of hits, and returns how many places were armed: those to which
    /// probed functions return (calls that return earlier count as missed), and those of links that wait for the kernel
    /// of a guest.
    ///
    /// The hypervisor calls it in a task every few milliseconds. When a guest has come up for which links wait, the
    /// call takes as long as a search for the kernel's symbols. No lock is held then that other management would want.
    ///
    /// # Errors
    ///
    /// [`GuestError::Probe`] for the first return that cannot be armed; all others have been tried. Why a link goes on
    /// waiting, [`GuestLinkInfo::waiting`](crate::GuestLinkInfo::waiting) says.
    pub fn run_guest_work(&self) -> Result<usize, Error> {
        let mut armed = 0;
        let mut result = Ok(());
        for guest in self.open_guests()? {
            if guest.probes.has_deferred() {
                match guest.probes.run_deferred() {
                    Ok(count) => armed += count,
                    Err(error) => result = result.and(Err(GuestError::from(error).into())),
                }
            }
        }
        let now_ns = self.platform().now_ns();
        for link in self.guest_links(None)? {
            armed += link.try_again(now_ns);
        }
        result.map(|()| armed)
    }

    /// Forgets what was found out about the kernel of a guest, and makes the links to it wait for the kernel that comes
    /// up. What they have counted stays.
    ///
    /// The hypervisor calls it each time before it starts the guest, while none of its vCPUs runs and before it fills
    /// the guest's memory. All traps are taken out of the guest
    /// ([`ProbedGuest::disarm_all`](axebpf_guestprobe::ProbedGuest::disarm_all)). Symbols that were given stay.
    ///
    /// # Errors
    ///
    /// [`GuestError::NoGuest`] if it is not open, and [`GuestError::Probe`] if a trap could not be taken out.
    pub fn guest_restarted(&self, vm: VmId) -> Result<(), Error> {
        let guest = self.guest(vm)?;
        // From here on nothing is armed, because no kernel has been seen.
        let disarmed = guest.probes.disarm_all().map_err(GuestError::from);
        guest.forget();
        let links = self.guest_links(Some(&guest))?;
        let waiting = links.iter().map(|link| link.wait_for_kernel());
        let waiting = waiting.fold(Ok(()), Result::and);
        Ok(disarmed.and(waiting)?)
    }

    /// Returns the links to `guest`, or those to any guest that wait.
    fn guest_links(&self, guest: Option<&Arc<Guest>>) -> Result<Vec<Arc<Kprobe>>, Error> {
        let state = self.state.lock()?;
        let links = state.links.values();
        let links = links.filter_map(|link| link.attachment.kprobe());
        let is_chosen = |link: &&Arc<Kprobe>| match guest {
            Some(guest) => Arc::ptr_eq(link.guest(), guest),
            None => link.is_waiting(),
        };
        Ok(links.filter(is_chosen).cloned().collect())
    }
}
