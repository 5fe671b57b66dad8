//! The guests that a hypervisor opens to probes.

use alloc::{sync::Arc, vec::Vec};
use core::{fmt, ops::Range};

use axebpf_guestprobe::{GuestStage, ProbedGuest};
use axebpf_platform::{GuestPhys, VmId};
use axebpf_symbols::{KernelSymbols, Slide};
use spin::Mutex;

use super::{GuestError, SymbolOrigin, kernel::Known};
use crate::{Error, Registry, link::detach_from, lock::ManagementLock};

/// What a hypervisor says about a VM before the functions of its kernel can be probed.
///
/// # Examples
///
/// ```no_run
/// use std::sync::Arc;
///
/// use axebpf::GuestSetup;
/// use axebpf::platform::GuestPhys;
/// use axebpf::probe::kprobe::ProbedGuest;
/// # fn axebpf() -> &'static axebpf::Registry { unimplemented!() }
/// # fn probes() -> Arc<ProbedGuest> { unimplemented!() }
///
/// // Where the hypervisor makes a VM; the `ProbedGuest` is what its vCPUs call at exits and entries.
/// let memory = GuestPhys::new(0x4000_0000)..GuestPhys::new(0x5000_0000);
/// axebpf().open_guest(GuestSetup::new(probes(), memory))?;
/// # Ok::<(), axebpf::Error>(())
/// ```
#[derive(Debug)]
pub struct GuestSetup {
    probes: Arc<ProbedGuest>,
    memory: Range<GuestPhys>,
}

impl GuestSetup {
    /// Takes the probes of a VM, and where the guest's memory lies, in which its kernel is looked for.
    #[must_use]
    pub fn new(probes: Arc<ProbedGuest>, memory: Range<GuestPhys>) -> Self {
        Self { probes, memory }
    }
}

/// A guest that is open to probes.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct GuestInfo {
    /// Its VM.
    pub vm: VmId,
    /// How many symbols of its kernel are known, if they have been asked for.
    pub symbols: Option<usize>,
    /// Where they come from, and by how far they were moved.
    pub origin: Option<SymbolOrigin>,
    /// Whether it is known how its kernel keeps the numbers and names of tasks.
    pub knows_tasks: bool,
    /// How far it has come since it was started.
    pub stage: GuestStage,
}

/// A guest, as the registry keeps it.
pub(crate) struct Guest {
    pub(crate) vm: VmId,
    pub(crate) probes: Arc<ProbedGuest>,
    pub(super) memory: Range<GuestPhys>,
    pub(super) known: Mutex<Known>,
    /// Whoever searches the guest's memory, which takes long, has it.
    pub(super) search: ManagementLock<()>,
}

impl Guest {
    fn info(&self) -> GuestInfo {
        GuestInfo {
            vm: self.vm,
            symbols: self.known_symbols().map(|symbols| symbols.len()),
            origin: self.symbol_origin(),
            knows_tasks: self.tasks().is_some(),
            stage: self.probes.stage(),
        }
    }
}

impl fmt::Debug for Guest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guest")
            .field("vm", &self.vm)
            .finish_non_exhaustive()
    }
}

/// Guests.
impl Registry {
    /// Opens the functions of a guest's kernel to probes.
    ///
    /// # Errors
    ///
    /// [`GuestError::Open`] if its VM is open already.
    pub fn open_guest(&self, setup: GuestSetup) -> Result<(), Error> {
        let vm = setup.probes.machine().vm();
        let mut state = self.state.lock()?;
        if state.guests.contains_key(&vm) {
            return Err(GuestError::Open { vm }.into());
        }
        let guest = Guest {
            vm,
            probes: setup.probes,
            memory: setup.memory,
            known: Mutex::default(),
            search: ManagementLock::new(()),
        };
        state.guests.insert(vm, Arc::new(guest));
        Ok(())
    }

    /// Detaches what is attached to a guest, and forgets it. The hypervisor calls it before it destroys a VM.
    ///
    /// # Errors
    ///
    /// [`GuestError::NoGuest`] if it is not open; where text of the guest cannot be written, [`GuestError::Probe`], and
    /// the guest is forgotten all the same.
    pub fn close_guest(&self, vm: VmId) -> Result<(), Error> {
        let mut state = self.state.lock()?;
        if state.guests.remove(&vm).is_none() {
            return Err(GuestError::NoGuest { vm }.into());
        }
        let links = state.links_at(vm);
        let detached = links
            .into_iter()
            .map(|link| detach_from(&mut state, link).map(drop));
        detached.fold(Ok(()), Result::and)
    }

    /// Lists the guests that are open to probes.
    ///
    /// # Errors
    ///
    /// [`Error::InHit`].
    pub fn guests(&self) -> Result<Vec<GuestInfo>, Error> {
        Ok(self
            .open_guests()?
            .iter()
            .map(|guest| guest.info())
            .collect())
    }

    /// Returns the symbols of a guest's kernel. Those that were not given before are looked for in its memory, which
    /// takes long; with them, how the kernel keeps its tasks.
    ///
    /// # Errors
    ///
    /// [`GuestError::NoGuest`], and [`GuestError::Scan`] if they are not there.
    pub fn guest_symbols(&self, vm: VmId) -> Result<Arc<KernelSymbols>, Error> {
        Ok(self.guest(vm)?.symbols()?)
    }

    /// Looks for the symbols of a guest's kernel in its memory, whatever is known of them: after another kernel was
    /// booted, or the same one elsewhere.
    ///
    /// # Errors
    ///
    /// As for [`guest_symbols`](Self::guest_symbols).
    pub fn find_guest_symbols(&self, vm: VmId) -> Result<Arc<KernelSymbols>, Error> {
        Ok(self.guest(vm)?.search()?)
    }

    /// Takes `file` as the symbols of a guest's kernel: the text of `/proc/kallsyms` or of a `System.map`, or a blob
    /// that `cargo xtask guest-symbols` has made of one or of a `vmlinux`.
    ///
    /// `slide` is by how far the kernel runs from where the file says. Without it, that is found out: the kernel may
    /// choose its place at random each time, while `/proc/kallsyms` says where it is. For that, the symbols that the
    /// kernel has of itself are looked for in the guest's memory, which takes long, and compared with those of the
    /// file. A kernel that has none is where something of the length of its text, which the file says, is executed. If
    /// it does not run yet, that is done when it does, before anything is attached, and each time it is started anew.
    ///
    /// The symbols stay when the guest is started anew. Links are attached as long as they fit the kernel that runs.
    ///
    /// # Errors
    ///
    /// [`GuestError::NoGuest`], [`GuestError::Symbols`] if that is something else, and [`GuestError::NoSlide`] if
    /// where the kernel runs cannot be found out: it has no symbols of itself, or other ones. Then what was known
    /// before stays.
    pub fn set_guest_symbols(
        &self,
        vm: VmId,
        file: &[u8],
        slide: Option<Slide>,
    ) -> Result<Arc<KernelSymbols>, Error> {
        let guest = self.guest(vm)?;
        let symbols = KernelSymbols::from_file(file).map_err(GuestError::from)?;
        Ok(match slide {
            Some(slide) => guest.take_symbols(symbols, slide),
            None => guest.place_symbols(symbols)?,
        })
    }

    /// Returns the type information of the kernel of a guest, or of the only one. It is looked for in the guest's
    /// memory if that was not done since the guest was started, which takes long.
    ///
    /// # Errors
    ///
    /// [`GuestError::NoGuest`], [`GuestError::NoGuests`], [`GuestError::WhichGuest`], and [`GuestError::NoTypes`] if
    /// there is none.
    pub fn guest_types(&self, vm: Option<VmId>) -> Result<Arc<[u8]>, Error> {
        let guest = Arc::clone(self.state.lock()?.guest(vm)?);
        Ok(guest.types()?)
    }

    pub(super) fn guest(&self, vm: VmId) -> Result<Arc<Guest>, Error> {
        let state = self.state.lock()?;
        let guest = state.guests.get(&vm).cloned();
        Ok(guest.ok_or(GuestError::NoGuest { vm })?)
    }

    /// Returns the symbols of a guest's kernel as far as they are known and say where it runs; `None` without a guest,
    /// too.
    pub(crate) fn placed_symbols(&self, vm: VmId) -> Result<Option<Arc<KernelSymbols>>, Error> {
        let guest = self.state.lock()?.guests.get(&vm).cloned();
        Ok(guest.and_then(|guest| guest.placed_symbols()))
    }

    pub(crate) fn open_guests(&self) -> Result<Vec<Arc<Guest>>, Error> {
        Ok(self.state.lock()?.guests.values().cloned().collect())
    }
}
