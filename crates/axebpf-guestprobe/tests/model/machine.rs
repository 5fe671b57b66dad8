//! The virtual machine: memory, stage 2, and running vCPUs one after the other.

use std::cell::OnceCell;
use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};

use axebpf_guestprobe::{
    Backing, Capabilities, GuestMachine, GuestMemory, GuestMemoryFault, GuestText, KickVcpus,
    PageAccess, ProbedGuest, ShadowPage, ShadowPages, Stage2, Stage2Error, View, WriteGuest,
};
use axebpf_platform::mock::{MOCK, set_mock_cpu_id};
use axebpf_platform::{GuestPhys, VmId};

use crate::vcpu::ModelVcpu;

pub(crate) const PAGE: u64 = 4096;
pub(crate) const MEMORY: u64 = 64 * PAGE;
pub(crate) const VM: VmId = VmId::new(7);

/// Tests share the CPUs of the mock platform, so they run one after the other.
static TURN: Mutex<()> = Mutex::new(());

thread_local! {
    /// The turn of this thread, which it has until it ends.
    static OURS: OnceCell<MutexGuard<'static, ()>> = const { OnceCell::new() };
}

/// Waits for the turn of this thread.
///
/// A test has it for all its models, because between two of them its thread keeps the number of its CPU, for which the
/// test whose turn it were then would wait.
fn take_turn() {
    OURS.with(|ours| _ = ours.get_or_init(|| locked(&TURN)));
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) struct Machine {
    pub(crate) memory: Mutex<Vec<u8>>,
    mappings: Mutex<HashMap<(View, u64), (Backing, PageAccess)>>,
    shadows: Mutex<Vec<Option<Vec<u8>>>>,
    vcpus: Vec<Mutex<ModelVcpu>>,
    probes: OnceLock<Weak<ProbedGuest>>,
    random: Mutex<u64>,
    /// How many vCPU steps there may be at each step of management.
    unrest: u64,
    capabilities: Capabilities,
    /// Whether indirect branches have to find landing pads in guarded pages, of which the program has none.
    pub(crate) has_branch_targets: AtomicBool,
    /// Whether vCPUs run on another thread than management.
    is_beside: AtomicBool,
    pub(crate) calls: Mutex<Calls>,
}

/// How often the hypervisor was asked for something.
#[derive(Default, Clone, Copy, Debug)]
pub(crate) struct Calls {
    pub(crate) maps: usize,
    pub(crate) kicks: usize,
    pub(crate) writes: usize,
    pub(crate) stores: usize,
}

/// A machine under test.
pub(crate) struct Model {
    pub(crate) machine: Arc<Machine>,
    pub(crate) probes: Arc<ProbedGuest>,
}

impl Model {
    pub(crate) fn new(vcpus: u32, seed: u64, unrest: u64) -> Self {
        Self::with(vcpus, seed, unrest, Capabilities::all())
    }

    pub(crate) fn with(vcpus: u32, seed: u64, unrest: u64, capabilities: Capabilities) -> Self {
        take_turn();
        axebpf_hit::install(&MOCK).unwrap();
        set_mock_cpu_id(0);
        let machine = Arc::new(Machine {
            memory: Mutex::new(vec![0; MEMORY as usize]),
            mappings: Mutex::default(),
            shadows: Mutex::default(),
            vcpus: (0..vcpus)
                .map(|id| Mutex::new(ModelVcpu::new(id)))
                .collect(),
            probes: OnceLock::new(),
            random: Mutex::new(seed | 1),
            unrest,
            capabilities,
            has_branch_targets: AtomicBool::new(false),
            is_beside: AtomicBool::new(false),
            calls: Mutex::default(),
        });
        let probes = Arc::new(ProbedGuest::new(machine.clone()));
        assert!(machine.probes.set(Arc::downgrade(&probes)).is_ok());
        Self { machine, probes }
    }

    pub(crate) fn vcpu(&self, id: usize) -> MutexGuard<'_, ModelVcpu> {
        locked(&self.machine.vcpus[id])
    }

    /// Runs vCPUs in some order until all have halted.
    pub(crate) fn run(&self) {
        for _ in 0..4_000_000 {
            if self.machine.vcpus.iter().all(|vcpu| locked(vcpu).halted) {
                return;
            }
            self.machine.step_some_vcpu();
        }
        panic!("the guest does not get on");
    }

    /// Runs vCPUs for a while.
    pub(crate) fn run_for(&self, steps: usize) {
        (0..steps).for_each(|_| self.machine.step_some_vcpu());
    }

    pub(crate) fn read_word(&self, at: u64) -> u64 {
        let memory = locked(&self.machine.memory);
        u64::from_le_bytes(memory[at as usize..][..8].try_into().unwrap())
    }

    /// Returns whether nothing of probes is left in the stage-2 translation.
    pub(crate) fn is_clean(&self) -> bool {
        locked(&self.machine.mappings).is_empty()
            && locked(&self.machine.shadows).iter().all(Option::is_none)
    }
}

impl Machine {
    fn random(&self, below: u64) -> u64 {
        let mut state = locked(&self.random);
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        *state % below
    }

    /// Says that vCPUs run on another thread than management.
    pub(crate) fn run_beside(&self) {
        self.is_beside.store(true, Ordering::Relaxed);
    }

    pub(crate) fn step_some_vcpu(&self) {
        let chosen = self.random(self.vcpus.len() as u64) as usize;
        // One that is in an exit already, below on this stack, cannot run.
        if let Ok(mut vcpu) = self.vcpus[chosen].try_lock()
            && let Some(probes) = self.probes.get().and_then(Weak::upgrade)
        {
            let before = axebpf_platform::Cpus::current_cpu(&MOCK).get();
            set_mock_cpu_id(chosen as u32 + 1);
            let forget = self.random(8) == 0;
            vcpu.step(self, &probes, forget);
            set_mock_cpu_id(before);
        }
    }

    /// Lets vCPUs run in the middle of whatever management, or an exit, is doing.
    fn interfere(&self) {
        if self.unrest > 0 {
            let steps = self.random(self.unrest);
            (0..steps).for_each(|_| self.step_some_vcpu());
        }
    }

    fn mapping(&self, view: View, page: u64) -> (Backing, PageAccess) {
        let default = match view {
            View::Window => PageAccess::ReadWrite,
            _ => PageAccess::All,
        };
        locked(&self.mappings)
            .get(&(view, page))
            .copied()
            .unwrap_or((Backing::Guest, default))
    }

    /// Returns what a vCPU finds at `at`, if `view` allows it `access`.
    pub(crate) fn access(&self, view: View, at: u64, access: Wanted) -> Option<Backing> {
        let (backing, allowed) = self.mapping(view, at & !(PAGE - 1));
        let is_allowed = match allowed {
            PageAccess::All => true,
            PageAccess::ReadWrite => access != Wanted::Fetch,
            PageAccess::ReadExecute => access != Wanted::Write,
            PageAccess::ExecuteOnly => access == Wanted::Fetch,
            PageAccess::None => false,
        };
        (is_allowed && at < MEMORY).then_some(backing)
    }

    pub(crate) fn load(&self, backing: Backing, at: u64, bytes: &mut [u8]) {
        match backing {
            Backing::Guest => {
                bytes.copy_from_slice(&locked(&self.memory)[at as usize..][..bytes.len()]);
            }
            Backing::Shadow(shadow) => {
                let shadows = locked(&self.shadows);
                let page = shadows[shadow.0 as usize]
                    .as_ref()
                    .expect("freed page used");
                bytes.copy_from_slice(&page[(at % PAGE) as usize..][..bytes.len()]);
            }
        }
    }

    pub(crate) fn store(&self, at: u64, bytes: &[u8]) {
        locked(&self.memory)[at as usize..][..bytes.len()].copy_from_slice(bytes);
    }

    /// Panics if a vCPU may be executing `backing`: text is written only behind a fence.
    fn check_not_executed(&self, wanted: Backing, page: Option<u64>) {
        for vcpu in &self.vcpus {
            let Ok(vcpu) = vcpu.try_lock() else { continue };
            for &at in vcpu.prefetched.keys() {
                let (backing, _) = self.mapping(vcpu.view, at & !(PAGE - 1));
                let is_same = page.is_none_or(|page| at & !(PAGE - 1) == page);
                assert!(
                    backing != wanted || !is_same,
                    "text is written that a vCPU has fetched, at {at:#x}"
                );
            }
        }
    }
}

/// What a vCPU wants to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wanted {
    Fetch,
    Read,
    Write,
}

impl GuestMemory for Machine {
    fn read_guest(&self, at: GuestPhys, bytes: &mut [u8]) -> Result<(), GuestMemoryFault> {
        if at.get() + bytes.len() as u64 > MEMORY {
            return Err(GuestMemoryFault { at });
        }
        self.load(Backing::Guest, at.get(), bytes);
        Ok(())
    }
}

impl WriteGuest for Machine {
    fn write_guest(&self, at: GuestPhys, bytes: &[u8]) -> Result<(), GuestMemoryFault> {
        assert!(at.get() % PAGE + bytes.len() as u64 <= PAGE);
        locked(&self.calls).stores += 1;
        if at.get() + bytes.len() as u64 > MEMORY {
            return Err(GuestMemoryFault { at });
        }
        self.store(at.get(), bytes);
        Ok(())
    }
}

impl GuestText for Machine {
    fn write_text(&self, at: GuestPhys, word: u32) -> Result<(), GuestMemoryFault> {
        self.check_not_executed(Backing::Guest, Some(at.get() & !(PAGE - 1)));
        self.store(at.get(), &word.to_le_bytes());
        locked(&self.calls).writes += 1;
        self.interfere();
        Ok(())
    }
}

impl Stage2 for Machine {
    fn map_page(
        &self,
        view: View,
        page: GuestPhys,
        backing: Backing,
        access: PageAccess,
    ) -> Result<(), Stage2Error> {
        if page.get() >= MEMORY {
            return Err(Stage2Error::NoMemory { page });
        }
        self.interfere();
        // Break, and whoever comes by faults.
        locked(&self.mappings).insert((view, page.get()), (backing, PageAccess::None));
        self.interfere();
        let normal = match view {
            View::Window => PageAccess::ReadWrite,
            _ => PageAccess::All,
        };
        if (backing, access) == (Backing::Guest, normal) {
            locked(&self.mappings).remove(&(view, page.get()));
        } else {
            locked(&self.mappings).insert((view, page.get()), (backing, access));
        }
        locked(&self.calls).maps += 1;
        self.interfere();
        Ok(())
    }
}

impl ShadowPages for Machine {
    fn create_shadow(&self, page: GuestPhys) -> Result<ShadowPage, Stage2Error> {
        let mut bytes = vec![0; PAGE as usize];
        self.load(Backing::Guest, page.get(), &mut bytes);
        let mut shadows = locked(&self.shadows);
        shadows.push(Some(bytes));
        Ok(ShadowPage(shadows.len() as u64 - 1))
    }

    fn write_shadow(&self, shadow: ShadowPage, offset: u32, word: u32) {
        self.check_not_executed(Backing::Shadow(shadow), None);
        let mut shadows = locked(&self.shadows);
        let page = shadows[shadow.0 as usize]
            .as_mut()
            .expect("freed page written");
        page[offset as usize..][..4].copy_from_slice(&word.to_le_bytes());
        locked(&self.calls).writes += 1;
    }

    fn read_shadow(&self, shadow: ShadowPage, offset: u32) -> u32 {
        let mut bytes = [0; 4];
        self.load(Backing::Shadow(shadow), offset.into(), &mut bytes);
        u32::from_le_bytes(bytes)
    }

    fn free_shadow(&self, shadow: ShadowPage) {
        let is_mapped = locked(&self.mappings)
            .values()
            .any(|&(backing, _)| backing == Backing::Shadow(shadow));
        assert!(!is_mapped, "a page is freed that is mapped");
        assert!(locked(&self.shadows)[shadow.0 as usize].take().is_some());
    }
}

impl KickVcpus for Machine {
    fn kick_out(&self) {
        locked(&self.calls).kicks += 1;
        self.interfere();
        let is_management = axebpf_platform::Cpus::current_cpu(&MOCK).get() == 0;
        let waits = is_management && self.is_beside.load(Ordering::Relaxed);
        let Some(probes) = self.probes.get().and_then(Weak::upgrade) else {
            return;
        };
        for (index, vcpu) in self.vcpus.iter().enumerate() {
            if waits {
                locked(vcpu).prefetched.clear();
            } else if let Ok(mut vcpu) = vcpu.try_lock() {
                // One that cannot be locked is at EL2, below on this stack.
                let before = axebpf_platform::Cpus::current_cpu(&MOCK).get();
                set_mock_cpu_id(index as u32 + 1);
                vcpu.enter_again(&probes);
                set_mock_cpu_id(before);
            }
        }
    }
}

impl GuestMachine for Machine {
    fn vm(&self) -> VmId {
        VM
    }

    fn vcpu_limit(&self) -> u32 {
        self.vcpus.len() as u32
    }

    fn vcpu_capabilities(&self) -> Capabilities {
        self.capabilities & Capabilities::VCPU
    }

    fn has_branch_targets(&self) -> bool {
        self.has_branch_targets.load(Ordering::Relaxed)
    }

    fn write_guest(&self) -> Option<&dyn WriteGuest> {
        self.has(Capabilities::WRITE_GUEST).then_some(self)
    }

    fn guest_text(&self) -> Option<&dyn GuestText> {
        self.has(Capabilities::GUEST_TEXT).then_some(self)
    }

    fn stage2(&self) -> Option<&dyn Stage2> {
        self.has(Capabilities::STAGE2).then_some(self)
    }

    fn has_view(&self, view: View) -> bool {
        match view {
            View::Original => self.has(Capabilities::ORIGINAL_VIEW),
            View::Window => self.has(Capabilities::WINDOW_VIEW),
            _ => true,
        }
    }

    fn shadow_pages(&self) -> Option<&dyn ShadowPages> {
        self.has(Capabilities::SHADOW_PAGES).then_some(self)
    }

    fn kick_vcpus(&self) -> Option<&dyn KickVcpus> {
        self.has(Capabilities::KICK).then_some(self)
    }
}

impl Machine {
    pub(crate) fn has(&self, capability: Capabilities) -> bool {
        self.capabilities.contains(capability)
    }
}
