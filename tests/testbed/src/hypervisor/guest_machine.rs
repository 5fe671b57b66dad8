//! What probes on a guest ask of its VM, answered by this hypervisor.

use alloc::{sync::Arc, vec::Vec};

use axebpf::platform::{GuestPhys, VmId};
use axebpf::probe::kprobe::{
    Backing, Capabilities, GuestMachine, GuestMemory, GuestMemoryFault, GuestText, KickVcpus,
    PageAccess, ShadowPage, ShadowPages, Stage2 as ProbeStage2, Stage2Error as ProbeStage2Error,
    View as ProbeView, WriteGuest,
};

use super::{
    cache,
    guest_bytes::{load, read_volatile, write_instruction, write_volatile},
    heap, id_registers,
    stage2::{Content, PAGE, Rights, Stage2, Stage2Error, View},
    sysreg,
    vcpu::Vcpu,
};

/// The part of a VM that probes deal with. It outlives the VM if they do.
pub(crate) struct ProbedMachine {
    vm: VmId,
    stage2: Arc<Stage2>,
    vcpus: Vec<Arc<Vcpu>>,
}

impl ProbedMachine {
    /// Takes the memory and the vCPUs of VM `vm`.
    pub(crate) fn new(vm: VmId, stage2: Arc<Stage2>, vcpus: Vec<Arc<Vcpu>>) -> Self {
        Self { vm, stage2, vcpus }
    }

    /// Calls `work` with each piece of `len` bytes from `at` that lies in one page: its address in the machine's
    /// memory, which stays for as long, and its place among the bytes.
    fn pieces(
        &self,
        at: GuestPhys,
        len: usize,
        mut work: impl FnMut(u64, core::ops::Range<usize>),
    ) -> Result<(), GuestMemoryFault> {
        let mut done = 0;
        while done < len {
            let here = GuestPhys::new(at.get().wrapping_add(done as u64));
            let offset = here.get() % PAGE;
            let count = (len - done).min((PAGE - offset) as usize);
            self.stage2
                .with_page(here, |page| work(page + offset, done..done + count))
                .map_err(|_| GuestMemoryFault { at: here })?;
            done += count;
        }
        Ok(())
    }
}

impl GuestMemory for ProbedMachine {
    fn read_guest(&self, at: GuestPhys, bytes: &mut [u8]) -> Result<(), GuestMemoryFault> {
        self.pieces(at, bytes.len(), |from, part| {
            // SAFETY: the range lies in one page of the guest's memory, which stays as long as this runs.
            unsafe { read_volatile(from, &mut bytes[part]) }
        })
    }

    fn read_descriptor(&self, at: GuestPhys) -> Result<[u8; 8], GuestMemoryFault> {
        let offset = (at.get() % PAGE) & !7;
        let read = self.stage2.with_page(at, |page| {
            // SAFETY: the page is one of the guest's memory, which stays as long as this runs, and the offset is a
            // multiple of 8 and within.
            unsafe { load::<u64>(page + offset) }
        });
        read.map(u64::to_le_bytes)
            .map_err(|_| GuestMemoryFault { at })
    }
}

impl WriteGuest for ProbedMachine {
    fn write_guest(&self, at: GuestPhys, bytes: &[u8]) -> Result<(), GuestMemoryFault> {
        self.pieces(at, bytes.len(), |to, part| {
            // SAFETY: as in `read_guest`; nothing of EL2 but these functions accesses the guest's memory.
            unsafe { write_volatile(to, &bytes[part]) }
        })
    }
}

impl GuestText for ProbedMachine {
    fn write_text(&self, at: GuestPhys, word: u32) -> Result<(), GuestMemoryFault> {
        let at = GuestPhys::new(at.get() & !3);
        self.pieces(at, 4, |to, _| {
            // SAFETY: `to` is a multiple of 4 in a page of the guest's memory, which stays as long as this runs, and
            // nothing of EL2 but these functions accesses it.
            unsafe { write_instruction(to, word) }
        })
    }
}

impl ProbeStage2 for ProbedMachine {
    fn map_page(
        &self,
        view: ProbeView,
        page: GuestPhys,
        backing: Backing,
        access: PageAccess,
    ) -> Result<(), ProbeStage2Error> {
        let own = view_of(view).ok_or(ProbeStage2Error::NoView { view })?;
        let result = match (backing, access) {
            // What this means in the view for single pages is that the page is executable there.
            (Backing::Guest, PageAccess::All) if own != View::Window => {
                self.stage2.reset_page(own, page)
            }
            _ => self
                .stage2
                .set_page(own, page, content_of(backing), rights_of(access)),
        };
        result.map_err(error_of)
    }
}

impl ShadowPages for ProbedMachine {
    fn create_shadow(&self, page: GuestPhys) -> Result<ShadowPage, ProbeStage2Error> {
        let shadow = heap::alloc_pages(1).ok_or(ProbeStage2Error::Exhausted { page })?;
        let copied = self.stage2.with_page(page, |from| {
            // SAFETY: the page has just been allocated, has this size, and belongs to nobody else.
            let copy = unsafe { core::slice::from_raw_parts_mut(shadow as *mut u8, PAGE as usize) };
            // SAFETY: the guest's page stays as long as this runs. The guest may be writing it.
            unsafe { read_volatile(from, copy) };
        });
        if let Err(error) = copied {
            // SAFETY: the page was allocated above, and nobody has seen it.
            unsafe { heap::free_pages(shadow, 1) };
            return Err(error_of(error));
        }
        cache::clean(shadow..shadow + PAGE);
        Ok(ShadowPage(shadow))
    }

    fn write_shadow(&self, shadow: ShadowPage, offset: u32, word: u32) {
        let at = shadow.0 + u64::from(offset & 0xffc);
        // SAFETY: the number is one that `create_shadow` returned, the address of a page that is not freed yet and has
        // no other use; the offset is a multiple of 4 and within.
        unsafe { write_instruction(at, word) };
    }

    fn read_shadow(&self, shadow: ShadowPage, offset: u32) -> u32 {
        let at = shadow.0 + u64::from(offset & 0xffc);
        // SAFETY: the number is one that `create_shadow` returned, the address of a page that is not freed yet; the
        // offset is aligned and within.
        unsafe { (at as *const u32).read_volatile() }
    }

    fn free_shadow(&self, shadow: ShadowPage) {
        // SAFETY: the page came from `alloc_pages(1)` in `create_shadow`, and the caller says that no view maps it any
        // more.
        unsafe { heap::free_pages(shadow.0, 1) };
    }
}

impl KickVcpus for ProbedMachine {
    fn kick_out(&self) {
        // What was changed is seen by who enters from here on; who was in the guest before is sent for.
        sysreg::full_barrier();
        for vcpu in &self.vcpus {
            if let Some(inside) = vcpu.send_out() {
                vcpu.wait_until_out(inside);
            }
        }
    }
}

impl GuestMachine for ProbedMachine {
    fn vm(&self) -> VmId {
        self.vm
    }

    fn vcpu_limit(&self) -> u32 {
        self.vcpus.len() as u32
    }

    fn vcpu_capabilities(&self) -> Capabilities {
        Capabilities::VCPU
    }

    fn has_branch_targets(&self) -> bool {
        id_registers::has_branch_targets()
    }

    fn write_guest(&self) -> Option<&dyn WriteGuest> {
        Some(self)
    }

    fn guest_text(&self) -> Option<&dyn GuestText> {
        Some(self)
    }

    fn stage2(&self) -> Option<&dyn ProbeStage2> {
        Some(self)
    }

    fn has_view(&self, view: ProbeView) -> bool {
        view_of(view).is_some()
    }

    fn shadow_pages(&self) -> Option<&dyn ShadowPages> {
        Some(self)
    }

    fn kick_vcpus(&self) -> Option<&dyn KickVcpus> {
        Some(self)
    }
}

/// Returns this hypervisor's name of a view, if it has it.
pub(crate) fn view_of(view: ProbeView) -> Option<View> {
    match view {
        ProbeView::Main => Some(View::Main),
        ProbeView::Original => Some(View::Original),
        ProbeView::Window => Some(View::Window),
        _ => None,
    }
}

fn content_of(backing: Backing) -> Content {
    match backing {
        Backing::Guest => Content::Guest,
        Backing::Shadow(ShadowPage(machine)) => Content::Machine(machine),
    }
}

fn rights_of(access: PageAccess) -> Rights {
    match access {
        PageAccess::All => Rights::ALL,
        PageAccess::ReadWrite => Rights::READ_WRITE,
        PageAccess::ReadExecute => Rights::READ_EXECUTE,
        PageAccess::ExecuteOnly => Rights::EXECUTE,
        PageAccess::None => Rights::NONE,
    }
}

fn error_of(error: Stage2Error) -> ProbeStage2Error {
    match error {
        Stage2Error::NoMemory { at } => ProbeStage2Error::Exhausted { page: at },
        // Who changes a mapping waits for the tables, so they are not busy here.
        Stage2Error::NotMapped { at } | Stage2Error::Busy { at } => {
            ProbeStage2Error::NoMemory { page: at }
        }
    }
}
