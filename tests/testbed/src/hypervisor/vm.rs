//! Virtual machines: what one is made of, and its life from creation to destruction.

use alloc::{boxed::Box, format, string::String, sync::Arc, vec::Vec};
use core::{
    ops::Range,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};

use aarch64_cpu::registers::{CNTPCT_EL0, Readable};
use axebpf::platform::{CpuId, GuestPhys, Vcpu as VcpuName, VcpuId, VmId};
use axebpf::tracepoint::{trace, vmm};
use thiserror::Error;

use super::{
    cache, checksum,
    config::{ConfigError, VmConfig},
    console::println,
    device::Device,
    exit,
    lock::Lock,
    percpu, sched,
    stage2::{MappedPage, PAGE, Stage2, Stage2Error},
    task::Task,
    vcpu::{Vcpu, VcpuState},
};

/// What a VM is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum VmState {
    /// Was never booted, or was shut down.
    Stopped = 0,
    /// Runs.
    Running = 1,
    /// Runs until each vCPU has noticed that it should not.
    Stopping = 2,
}

/// Why a VM stops, as the tracepoint `vmm:vm_shutdown` numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum StopReason {
    /// The guest switched itself off.
    GuestOff = 0,
    /// The guest asked for a reset, which the testbed does not do by itself.
    GuestReset = 1,
    /// The operator asked for it.
    Operator = 2,
    /// The guest did what it must not.
    GuestFailed = 3,
}

/// One virtual machine.
pub(crate) struct Vm {
    id: VmId,
    config: VmConfig,
    state: AtomicU32,
    stage2: Lock<Stage2>,
    device: Lock<Device>,
    vcpus: Vec<Arc<Vcpu>>,
    live: AtomicU32,
    reports: AtomicU64,
    wrong: AtomicU64,
    /// Which vCPUs have passed the guest's self-check since the boot, one bit each.
    passed: AtomicU32,
    announced: AtomicBool,
    stop_reason: AtomicU32,
}

/// What can go wrong with a VM.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum VmError {
    /// There is no such VM.
    #[error("there is no VM {vm}")]
    NoVm {
        /// The VM.
        vm: VmId,
    },
    /// There is no such vCPU.
    #[error("VM {vm} has no vCPU {vcpu}")]
    NoVcpu {
        /// The VM.
        vm: VmId,
        /// The vCPU's number.
        vcpu: u64,
    },
    /// The vCPU is on already.
    #[error("vCPU {vcpu} of VM {vm} is on already")]
    AlreadyOn {
        /// The VM.
        vm: VmId,
        /// The vCPU.
        vcpu: VcpuId,
    },
    /// The VM is not in the state that the operation needs.
    #[error("VM {vm} is {}; shut it down first", state.name())]
    NotStopped {
        /// The VM.
        vm: VmId,
        /// What it is doing.
        state: VmState,
    },
    /// The image does not fit.
    #[error("an image of {len} bytes at {at} does not fit the memory of the VM")]
    BadImage {
        /// Where it should go.
        at: GuestPhys,
        /// Its length.
        len: usize,
    },
    /// There is no memory left.
    #[error("no memory left for a vCPU's stack")]
    NoMemory,
    /// There is no memory left for a page of the VM.
    #[error(transparent)]
    Stage2(#[from] Stage2Error),
    /// The description of the VM is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl VmState {
    /// Returns the state's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Running => "running",
            Self::Stopping => "stopping",
        }
    }
}

static NEXT_ID: AtomicU32 = AtomicU32::new(1);

impl Vm {
    /// Makes a VM, stopped, as `config` describes it.
    pub(crate) fn new(config: VmConfig) -> Result<Arc<Self>, VmError> {
        let id = VmId::new(NEXT_ID.fetch_add(1, Ordering::Relaxed));
        // VMIDs have 8 bits, and 0 is for no VM. Two VMs would share one only with 255 others between them.
        let stage2 = Stage2::new((id.get() % 255) as u16 + 1)?;
        let offset = CNTPCT_EL0.get();
        let vcpus = (0..config.vcpus)
            .map(|number| {
                let name = VcpuName { vm: id, vcpu: VcpuId::new(number) };
                let cpu = CpuId::new(number % percpu::count());
                Arc::new(Vcpu::new(name, cpu, stage2.vttbr(), offset))
            })
            .collect();
        let vm = Arc::new(Self {
            id,
            config,
            state: AtomicU32::new(VmState::Stopped as u32),
            stage2: Lock::new(stage2),
            device: Lock::new(Device::default()),
            vcpus,
            live: AtomicU32::new(0),
            reports: AtomicU64::new(0),
            wrong: AtomicU64::new(0),
            passed: AtomicU32::new(0),
            announced: AtomicBool::new(false),
            stop_reason: AtomicU32::new(0),
        });
        vm.trace_creation();
        Ok(vm)
    }

    fn trace_creation(&self) {
        let vm_id = self.id.get();
        trace!(vmm::vm_create {
            vm_id,
            vcpus: self.config.vcpus,
            memory: self.config.memory.end - self.config.memory.start,
            name: self.config.name.as_str(),
        });
        for vcpu in &self.vcpus {
            trace!(vmm::vcpu_create {
                vm_id,
                vcpu_id: vcpu.id().get(),
                cpu_mask: 1 << vcpu.cpu().get(),
            });
        }
    }

    /// Returns the VM's number.
    pub(crate) fn id(&self) -> VmId {
        self.id
    }

    /// Returns the VM's name.
    pub(crate) fn name(&self) -> &str {
        &self.config.name
    }

    /// Returns what the VM is doing.
    pub(crate) fn state(&self) -> VmState {
        match self.state.load(Ordering::Acquire) {
            1 => VmState::Running,
            2 => VmState::Stopping,
            _ => VmState::Stopped,
        }
    }

    /// Tells whether the vCPUs should end.
    pub(crate) fn is_stopping(&self) -> bool {
        self.state() == VmState::Stopping
    }

    /// Returns where the memory lies that the guest may use.
    pub(crate) fn memory(&self) -> &Range<u64> {
        &self.config.memory
    }

    /// Returns the emulated device.
    pub(crate) fn device(&self) -> &Lock<Device> {
        &self.device
    }

    /// Returns all vCPUs.
    pub(crate) fn vcpus(&self) -> &[Arc<Vcpu>] {
        &self.vcpus
    }

    /// Returns vCPU `number`, which also is its affinity.
    pub(crate) fn vcpu(&self, number: u64) -> Option<&Arc<Vcpu>> {
        self.vcpus.get(usize::try_from(number).ok()?)
    }

    /// Returns how many pages the VM has.
    pub(crate) fn pages(&self) -> usize {
        self.stage2.lock().pages()
    }

    /// Returns how many checksums the guest has reported, and how many of them were wrong.
    pub(crate) fn reports(&self) -> Reports {
        Reports {
            right: self.reports.load(Ordering::Relaxed),
            wrong: self.wrong.load(Ordering::Relaxed),
        }
    }

    /// Copies `image` to where the description says and starts the first vCPU.
    pub(crate) fn boot(self: &Arc<Self>, image: &[u8]) -> Result<(), VmError> {
        let (stopped, running) = (VmState::Stopped as u32, VmState::Running as u32);
        if self.state.compare_exchange(stopped, running, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return Err(VmError::NotStopped { vm: self.id, state: self.state() });
        }
        self.passed.store(0, Ordering::Relaxed);
        self.announced.store(false, Ordering::Relaxed);
        for vcpu in &self.vcpus {
            vcpu.set_state(VcpuState::Off);
        }
        trace!(vmm::vm_boot {
            vm_id: self.id.get(),
            vcpus: self.config.vcpus,
            entry: self.config.entry,
        });
        let started = self.load_image(image).and_then(|()| self.start_vcpu(0, self.config.entry, 0));
        if started.is_err() {
            self.state.store(stopped, Ordering::Release);
        }
        started
    }

    fn load_image(&self, image: &[u8]) -> Result<(), VmError> {
        let at = self.config.load;
        let room = self.config.memory.end.saturating_sub(at);
        if image.is_empty() || !self.config.memory.contains(&at) || image.len() as u64 > room {
            return Err(VmError::BadImage { at: GuestPhys::new(at), len: image.len() });
        }
        for (page, content) in (at..).step_by(PAGE as usize).zip(image.chunks(PAGE as usize)) {
            let target = self.map(GuestPhys::new(page))?.address();
            // SAFETY: the page belongs to this VM, which does not run yet, and is as long as the longest chunk.
            unsafe { core::ptr::copy_nonoverlapping(content.as_ptr(), target as *mut u8, content.len()) };
            cache::clean(target..target + PAGE);
        }
        trace!(vmm::image_load {
            vm_id: self.id.get(),
            gpa: at,
            size: image.len() as u64,
            name: "guest",
        });
        Ok(())
    }

    /// Starts vCPU `number` at `entry` with `context` in x0.
    pub(crate) fn start_vcpu(&self, number: u64, entry: u64, context: u64) -> Result<(), VmError> {
        let no_vcpu = VmError::NoVcpu { vm: self.id, vcpu: number };
        let vcpu = self.vcpu(number).ok_or(no_vcpu)?.clone();
        let vm = find(self.id).ok_or(VmError::NoVm { vm: self.id })?;
        if !vcpu.change_state(VcpuState::Off, VcpuState::Ready) {
            return Err(VmError::AlreadyOn { vm: self.id, vcpu: vcpu.id() });
        }
        // SAFETY: the vCPU has just been claimed, and its task is made below.
        unsafe { vcpu.reset(entry, context) };
        let body = {
            let vcpu = vcpu.clone();
            Box::new(move || run_vcpu(&vm, &vcpu))
        };
        let name: String = format!("vm{}/vcpu{}", self.id, vcpu.id());
        let Some(task) = Task::new(name, vcpu.cpu(), Some(vcpu.clone()), body) else {
            vcpu.set_state(VcpuState::Off);
            return Err(VmError::NoMemory);
        };
        let task = Arc::new(task);
        vcpu.set_task(&task);
        self.live.fetch_add(1, Ordering::AcqRel);
        sched::spawn(task);
        Ok(())
    }

    /// Asks all vCPUs to end. The VM is stopped when the last one has.
    pub(crate) fn stop(&self, reason: StopReason) {
        let (running, stopping) = (VmState::Running as u32, VmState::Stopping as u32);
        self.stop_reason.store(reason as u32, Ordering::Relaxed);
        let _ = self.state.compare_exchange(running, stopping, Ordering::AcqRel, Ordering::Relaxed);
        for vcpu in &self.vcpus {
            vcpu.kick();
        }
    }

    /// Says that one vCPU has ended.
    fn vcpu_ended(&self, vcpu: &Vcpu) {
        let state = if self.is_stopping() { VcpuState::Stopped } else { VcpuState::Off };
        vcpu.set_state(state);
        if self.live.fetch_sub(1, Ordering::AcqRel) == 1 {
            let reason = self.stop_reason.load(Ordering::Relaxed);
            trace!(vmm::vm_shutdown { vm_id: self.id.get(), reason });
            self.state.store(VmState::Stopped as u32, Ordering::Release);
        }
    }

    /// Maps the page at `at`, if it is not mapped already.
    pub(crate) fn map(&self, at: GuestPhys) -> Result<MappedPage, Stage2Error> {
        const READ_WRITE_EXECUTE: u32 = 7;
        let mapped = self.stage2.lock().map(at)?;
        if let MappedPage::New(hpa) = mapped {
            trace!(vmm::memory_map {
                vm_id: self.id.get(),
                gpa: at.get(),
                hpa,
                size: PAGE,
                flags: READ_WRITE_EXECUTE,
            });
        }
        Ok(mapped)
    }

    /// Unmaps the page at `at` and tells whether there was one. Called by a vCPU of the VM.
    pub(crate) fn unmap(&self, at: GuestPhys) -> bool {
        let unmapped = self.memory().contains(&at.get()) && self.stage2.lock().unmap(at);
        if unmapped {
            trace!(vmm::memory_unmap { vm_id: self.id.get(), gpa: at.get(), size: PAGE });
        }
        unmapped
    }

    fn trace_destruction(&self) {
        let vm_id = self.id.get();
        for vcpu in &self.vcpus {
            trace!(vmm::vcpu_destroy { vm_id, vcpu_id: vcpu.id().get() });
        }
        let memory = self.memory();
        trace!(vmm::memory_unmap { vm_id, gpa: memory.start, size: memory.end - memory.start });
        trace!(vmm::vm_destroy { vm_id });
    }

    /// Takes the guest's word that it computed `checksum` from `seed`, and checks it.
    pub(crate) fn take_report(&self, vcpu: &Vcpu, seed: u64, checksum: u64) {
        if checksum::expected(seed) != checksum {
            self.wrong.fetch_add(1, Ordering::Relaxed);
            println!("vm {} vcpu {}: wrong checksum {checksum:#x}", self.id, vcpu.id());
            return;
        }
        self.reports.fetch_add(1, Ordering::Relaxed);
        let bit = 1 << vcpu.id().get();
        let passed = self.passed.fetch_or(bit, Ordering::AcqRel) | bit;
        let all = (1 << self.vcpus.len()) - 1;
        if passed == all && !self.announced.swap(true, Ordering::AcqRel) {
            println!("vm {}: self-check passed on {} vcpus", self.id, self.vcpus.len());
        }
    }
}

/// What a guest has reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reports {
    /// Checksums that were right.
    pub(crate) right: u64,
    /// Checksums that were wrong.
    pub(crate) wrong: u64,
}

/// What the task of a vCPU does.
fn run_vcpu(vm: &Vm, vcpu: &Vcpu) {
    vcpu.set_state(VcpuState::Running);
    while !vm.is_stopping() && vcpu.state() != VcpuState::Off {
        let reason = vcpu.run();
        exit::handle(vm, vcpu, reason);
        sched::preempt();
    }
    vm.vcpu_ended(vcpu);
}

static VMS: Lock<Vec<Arc<Vm>>> = Lock::new(Vec::new());

/// Makes a VM as `description` says, and lists it.
pub(crate) fn create(description: &str) -> Result<Arc<Vm>, VmError> {
    let config = VmConfig::parse(description)?;
    let size = description.len() as u64;
    let vm = Vm::new(config)?;
    trace!(vmm::config_load { vm_id: vm.id().get(), size, name: vm.name() });
    VMS.lock().push(vm.clone());
    Ok(vm)
}

/// Returns VM `id`.
pub(crate) fn find(id: VmId) -> Option<Arc<Vm>> {
    VMS.lock().iter().find(|vm| vm.id() == id).cloned()
}

/// Returns all VMs.
pub(crate) fn all() -> Vec<Arc<Vm>> {
    VMS.lock().clone()
}

/// Forgets VM `id`, which must be stopped, and frees what it has.
pub(crate) fn destroy(id: VmId) -> Result<(), VmError> {
    let vm = find(id).ok_or(VmError::NoVm { vm: id })?;
    if vm.state() != VmState::Stopped {
        return Err(VmError::NotStopped { vm: id, state: vm.state() });
    }
    VMS.lock().retain(|other| other.id() != id);
    vm.trace_destruction();
    Ok(())
}
