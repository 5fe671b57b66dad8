//! What a virtual machine offers.

use axebpf_platform::{GuestPhys, VmId};
use thiserror::Error;

use crate::{Capabilities, GuestMemory, GuestMemoryFault};

/// One of the stage-2 translations of a virtual machine. Each has tables of its own; all share the VMID of the VM.
///
/// All of them map the same guest-physical addresses to the same memory with all rights, as far as the hypervisor
/// itself gives them, except where [`Stage2::map_page`] has said otherwise for one of them. What the hypervisor maps
/// or unmaps later, it maps or unmaps in all views.
///
/// # One VMID
///
/// A VMID for each view would be wrong. TLB maintenance by a guest applies to the VMID in the `VTTBR_EL2` of the
/// processor that executes it (ARM ARM, TLB maintenance instructions), on other processors too. The vCPU that unmaps a
/// page is in one view; what others have cached of that page in another view would stay. They would read and write
/// memory that the guest uses for something else by then: in the steps of displaced instructions, in programs while
/// one of them is debugged (their vCPUs run in [`Original`](Self::Original) for long), and wherever the code that
/// invalidates is itself probed.
///
/// So there is one VMID, and [`SwitchView::set_view`](crate::SwitchView::set_view) keeps apart on each processor what
/// must be: nothing that was cached in one view is used in another. `VTTBR_EL2.CnP` is 0, because processors have
/// different tables under the one VMID at a time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum View {
    /// The one in which vCPUs run.
    Main,
    /// The one without probes, in which the text is what the guest thinks it is.
    Original,
    /// The one in which no page is executable but those that have been mapped so.
    Window,
}

/// What stage 2 lets a guest do with a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PageAccess {
    /// Read, write and execute: what the hypervisor gives normally.
    All,
    /// Read and write.
    ReadWrite,
    /// Read and execute.
    ReadExecute,
    /// Execute: `S2AP` is 0 and `XN` is 0.
    ExecuteOnly,
    /// Nothing. Fetches and accesses fault, with whatever status.
    None,
}

/// A page of the hypervisor's own that takes the place of one of the guest's. The number means something to
/// the hypervisor alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ShadowPage(pub u64);

/// What is behind a guest-physical page.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Backing {
    /// The guest's own memory.
    Guest,
    /// A copy.
    Shadow(ShadowPage),
}

/// Why the stage-2 translation of a page was not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Stage2Error {
    /// The guest has no memory there.
    #[error("the guest has no memory at {page}")]
    NoMemory {
        /// The page.
        page: GuestPhys,
    },
    /// There is no memory left for tables or copies.
    #[error("no memory left for the tables or the copy of the page at {page}")]
    Exhausted {
        /// The page.
        page: GuestPhys,
    },
    /// The hypervisor does not have the view.
    #[error("there is no view {view:?}")]
    NoView {
        /// The view.
        view: View,
    },
}

/// Changes a guest's data. Implemented for the whole of the guest's memory.
pub trait WriteGuest {
    /// Copies `bytes` (at most 16, within one 4 KiB page) to the guest-physical address `at`, in the guest's own
    /// memory.
    ///
    /// This stands for a store of the guest's own to Normal write-back memory, so it is made through a mapping of that
    /// kind, and as little of it can be seen half done: an aligned group of 4 or 8 bytes is written at once; and 16
    /// bytes from a multiple of 16 are where the processor has `FEAT_LSE2` (ARM ARM B2.2.1), which one `STP` of two X
    /// registers is there. `at` is a multiple of 4, and of 8 if there are more than 4 bytes.
    ///
    /// Called in exits. Stage 1 is not looked at, nor are the rights of stage 2: what the hypervisor keeps the guest
    /// from writing, or has to notice when it is written (a ROM, a page that is shared, logged or migrated), is an
    /// error here, or is dealt with here as the guest's own store would be. Memory that the hypervisor provides on
    /// first touch is provided, or the write fails. After an error the guest's own store is tried where that is
    /// possible.
    ///
    /// # Errors
    ///
    /// [`GuestMemoryFault`] if there is no memory, only a device, or memory that is not simply written. Nothing has
    /// been written then.
    fn write_guest(&self, at: GuestPhys, bytes: &[u8]) -> Result<(), GuestMemoryFault>;
}

/// Writes a guest's text in its own memory, where the guest can see it.
pub trait GuestText {
    /// Stores the instruction `word` at `at`, which is a multiple of 4, and makes it visible to the fetches of all
    /// vCPUs.
    ///
    /// Instructions are little-endian. The store is a single one of 32 bits. After it: `DC CVAU` (or `DC CVAC` if a
    /// vCPU may fetch with its MMU off), `DSB ISH`, `IC IALLUIS` (or `IC IVAU` where the instruction cache is
    /// physically tagged), `DSB ISH` (ARM ARM B2.7.4.2). No vCPU executes the page during the call: the caller has
    /// made it not executable and kicked the vCPUs out. Called in management and in exits.
    ///
    /// # Errors
    ///
    /// [`GuestMemoryFault`] if there is no memory. Nothing has changed then.
    fn write_text(&self, at: GuestPhys, word: u32) -> Result<(), GuestMemoryFault>;
}

/// Changes a guest's stage-2 translation.
pub trait Stage2 {
    /// Makes `view` map the 4 KiB page at `page` to `backing`, with the rights `access`.
    ///
    /// Splits a block if it has to. Accesses outside of the block of 1 GiB, aligned to its size, in which the page is
    /// never fault because of that, not even for a moment: faults elsewhere are not looked at. So where a larger block
    /// maps the page, or a contiguous group of such blocks, it is split before the guest runs.
    ///
    /// Replaces the entry with break-before-make, invalidates the TLBs of all CPUs for
    /// this page under the VMID of the VM, and returns only when this is complete: no later fetch or access uses what
    /// was mapped before. The sequence is `DSB ISHST`, `TLBI IPAS2E1IS`, `DSB ISH`, `TLBI VMALLE1IS`, `DSB ISH`, `ISB`:
    /// the first invalidation leaves what was combined from both stages. Both take the VMID from `VTTBR_EL2`. Where
    /// that has another one, the VM's is loaded for the moment, with tables that map nothing rather than with the VM's:
    /// the EL1 registers are those of another guest, and some processors walk with them speculatively (Cortex-A57
    /// 1319537, A72 1319367, A76 1165522). A vCPU that meets the entry in between faults and is to be resumed as if
    /// nothing had been. The change outlives whatever else the hypervisor does with the page. [`Backing::Guest`] with
    /// what the view has normally ends it: [`PageAccess::All`], or [`PageAccess::ReadWrite`] in [`View::Window`].
    ///
    /// Called in management and in exits, on any CPU, whether or not it has a vCPU of this VM loaded.
    ///
    /// # Errors
    ///
    /// [`Stage2Error`]; the page is mapped as it was. A page that was mapped before with this function can be mapped
    /// again without an error.
    fn map_page(
        &self,
        view: View,
        page: GuestPhys,
        backing: Backing,
        access: PageAccess,
    ) -> Result<(), Stage2Error>;
}

/// Keeps copies of a guest's pages in the hypervisor's own memory, out of the guest's reach.
pub trait ShadowPages {
    /// Returns a copy of the guest's 4 KiB page at `page`. Called in management.
    ///
    /// # Errors
    ///
    /// [`Stage2Error`] if the guest has no page there or there is no memory left.
    fn create_shadow(&self, page: GuestPhys) -> Result<ShadowPage, Stage2Error>;

    /// Stores the instruction `word` at byte `offset` (below 4096, a multiple of 4) of a copy, with the cache
    /// maintenance of [`GuestText::write_text`]. No vCPU executes the copy. Called in management and in exits.
    fn write_shadow(&self, shadow: ShadowPage, offset: u32, word: u32);

    /// Returns the instruction at byte `offset` of a copy.
    fn read_shadow(&self, shadow: ShadowPage, offset: u32) -> u32;

    /// Gives back a copy that no view maps any more. Called in management.
    fn free_shadow(&self, shadow: ShadowPage);
}

/// Makes the vCPUs of the VM leave the guest.
///
/// That takes a flag and a counter for each vCPU, and an interrupt to the CPUs of those that are in the guest.
///
/// A vCPU is in the guest from before [`prepare_entry`](crate::ProbedGuest::prepare_entry) decides how it is entered
/// until it has left: with interrupts masked, the flag is set; a full barrier follows (`DMB ISH`, `fence(SeqCst)`);
/// `prepare_entry` is called; the guest is entered, and left; the flag is cleared, and the counter goes up by one.
/// Whoever kicks has changed something, lets a full barrier follow, and looks at the flag. So one of the two sees what
/// the other has stored: the entry knows the change, or the vCPU is sent for. If the flag were set after
/// `prepare_entry`, a vCPU that has decided by what was before the change could enter the guest unnoticed.
///
/// From where the flag is set to the entry, nothing waits for whoever kicks, and nothing kicks: `prepare_entry` does
/// neither. The interrupt that comes meanwhile is masked, stays pending, and takes the vCPU out of the guest as soon
/// as it is there.
pub trait KickVcpus {
    /// Returns when each vCPU that was in the guest at the time of the call has left it at least once.
    ///
    /// It may have entered it again; entering is a context synchronisation. A vCPU that is not in the guest is not
    /// waited for, whatever else it does at EL2, so two CPUs that call this for each other's vCPUs at once, in exits,
    /// both return. The counter is read before the flag: the other way round, a vCPU that leaves and enters between
    /// the two is waited for although nobody sends for it any more. Called in management and in exits.
    fn kick_out(&self);
}

/// A virtual machine whose kernel is to be probed.
pub trait GuestMachine: GuestMemory + Send + Sync {
    /// Returns the number of the VM.
    fn vm(&self) -> VmId;

    /// Returns the number of vCPUs it can have: one more than the highest [`VcpuId`](axebpf_platform::VcpuId).
    fn vcpu_limit(&self) -> u32;

    /// Returns what its vCPUs offer, which is otherwise known only when one of them is at hand: any of
    /// [`Capabilities::VCPU`]. The other bits are not looked at.
    fn vcpu_capabilities(&self) -> Capabilities {
        Capabilities::empty()
    }

    /// Tells whether the guest's CPU has branch target identification (`FEAT_BTI`, `ID_AA64PFR1_EL1.BT`).
    fn has_branch_targets(&self) -> bool {
        false
    }

    /// Returns the way to write the guest's data, if there is one.
    fn write_guest(&self) -> Option<&dyn WriteGuest> {
        None
    }

    /// Returns the way to write the guest's text, if there is one.
    fn guest_text(&self) -> Option<&dyn GuestText> {
        None
    }

    /// Returns the way to change its stage 2, if there is one.
    fn stage2(&self) -> Option<&dyn Stage2> {
        None
    }

    /// Tells whether stage 2 has the given view. [`View::Main`] comes with [`stage2`](Self::stage2).
    fn has_view(&self, view: View) -> bool {
        view == View::Main && self.stage2().is_some()
    }

    /// Returns the way to make copies of pages, if there is one.
    fn shadow_pages(&self) -> Option<&dyn ShadowPages> {
        None
    }

    /// Returns the way to make its vCPUs leave the guest, if there is one.
    fn kick_vcpus(&self) -> Option<&dyn KickVcpus> {
        None
    }
}
