//! Virtual machines: what one is made of.

mod life;

use alloc::{sync::Arc, vec::Vec};
use core::{
    ops::Range,
    sync::atomic::{AtomicU32, Ordering},
};

use aarch64_cpu::registers::{CNTPCT_EL0, Readable};
use axebpf::platform::{CpuId, GuestPhys, Vcpu as VcpuName, VcpuId, VmId};
use axebpf::probe::kprobe::ProbedGuest;
use axebpf::tracepoint::{trace, vmm};

use super::{
    checksum::{Checks, Verdict},
    config::{Guest, VmConfig},
    console::println,
    device::Device,
    distributor::{AtReset, Distributor, Line},
    guest_console::GuestConsole,
    guest_machine::ProbedMachine,
    lock::Lock,
    percpu,
    pl011::{self, Pl011},
    stage2::{Granule, MappedPage, PAGE, Stage2, Stage2Error, Vmid},
    vcpu::Vcpu,
    vm_error::VmError,
    vm_state::VmState,
};

/// One virtual machine.
pub(crate) struct Vm {
    id: VmId,
    config: VmConfig,
    state: AtomicU32,
    stage2: Arc<Stage2>,
    device: Lock<Device>,
    distributor: Arc<Distributor>,
    uart: Lock<Pl011>,
    console: Lock<GuestConsole>,
    vcpus: Vec<Arc<Vcpu>>,
    probes: Arc<ProbedGuest>,
    live: AtomicU32,
    checks: Checks,
    stop_reason: AtomicU32,
}

static NEXT_ID: AtomicU32 = AtomicU32::new(1);

impl Vm {
    /// Makes a VM, stopped, as `config` describes it.
    pub(crate) fn new(config: VmConfig) -> Result<Arc<Self>, VmError> {
        let id = VmId::new(NEXT_ID.fetch_add(1, Ordering::Relaxed));
        let is_linux = matches!(config.guest, Guest::Linux(_));
        let (granule, at_reset) = if is_linux {
            (Granule::Block, AtReset::Disabled)
        } else {
            (Granule::Page, AtReset::Enabled)
        };
        let stage2 = Arc::new(Stage2::new(Vmid::claim()?, granule)?);
        let distributor = Arc::new(Distributor::new(at_reset));
        let vcpu_count = config.vcpus;
        let vcpus = new_vcpus(id, vcpu_count, &stage2, &distributor);
        let machine = ProbedMachine::new(id, stage2.clone(), vcpus.clone());
        let vm = Arc::new(Self {
            id,
            probes: Arc::new(ProbedGuest::new(Arc::new(machine))),
            config,
            state: AtomicU32::new(VmState::Stopped as u32),
            stage2,
            device: Lock::new(Device::default()),
            distributor,
            uart: Lock::new(Pl011::default()),
            console: Lock::new(GuestConsole::default()),
            vcpus,
            live: AtomicU32::new(0),
            checks: Checks::new(vcpu_count),
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
            3 => VmState::Paused,
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

    /// Returns the probes on the guest.
    pub(crate) fn probes(&self) -> &Arc<ProbedGuest> {
        &self.probes
    }

    /// Returns the description that the VM was made from.
    pub(crate) fn config(&self) -> &VmConfig {
        &self.config
    }

    /// Returns the interrupt controller's distributor.
    pub(crate) fn distributor(&self) -> &Distributor {
        &self.distributor
    }

    /// Returns the serial line.
    pub(crate) fn uart(&self) -> &Lock<Pl011> {
        &self.uart
    }

    /// Returns what the guest wrote to the serial line.
    pub(crate) fn console(&self) -> &Lock<GuestConsole> {
        &self.console
    }

    /// Says whether a device holds the line of the shared interrupt `number`.
    pub(crate) fn set_line(&self, number: u32, line: Line) {
        if self.distributor.set_line(number, line)
            && line == Line::Asserted
            && let Some(vcpu) = self.vcpu(self.distributor.route(number).into())
        {
            vcpu.kick();
        }
    }

    /// Lets the guest receive `bytes` on its serial line.
    pub(crate) fn type_in(&self, bytes: &[u8]) {
        let mut uart = self.uart.lock();
        uart.receive(bytes);
        self.set_line(pl011::INTERRUPT, uart.line());
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
        self.stage2.pages()
    }

    /// Returns what the guest has reported.
    pub(crate) fn checks(&self) -> &Checks {
        &self.checks
    }

    /// Maps the page at `at`, if it is not mapped already.
    pub(crate) fn map(&self, at: GuestPhys) -> Result<MappedPage, Stage2Error> {
        const READ_WRITE_EXECUTE: u32 = 7;
        let mapped = self.stage2.map(at)?;
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
        let unmapped = self.memory().contains(&at.get()) && self.stage2.unmap(at);
        if unmapped {
            trace!(vmm::memory_unmap {
                vm_id: self.id.get(),
                gpa: at.get(),
                size: PAGE
            });
        }
        unmapped
    }

    /// Passes the tracepoints of the VM's end.
    pub(crate) fn trace_destruction(&self) {
        let vm_id = self.id.get();
        for vcpu in &self.vcpus {
            trace!(vmm::vcpu_destroy {
                vm_id,
                vcpu_id: vcpu.id().get()
            });
        }
        let memory = self.memory();
        trace!(vmm::memory_unmap {
            vm_id,
            gpa: memory.start,
            size: memory.end - memory.start
        });
        trace!(vmm::vm_destroy { vm_id });
    }

    /// Takes the guest's word that it computed `checksum` from `seed`, and checks it.
    pub(crate) fn take_report(&self, vcpu: &Vcpu, seed: u64, checksum: u64) {
        match self.checks.take(vcpu.id(), seed, checksum) {
            Verdict::Right => {}
            Verdict::AllPassed => {
                println!(
                    "vm {}: self-check passed on {} vcpus",
                    self.id,
                    self.vcpus.len()
                );
            }
            Verdict::Wrong => {
                println!(
                    "vm {} vcpu {}: wrong checksum {checksum:#x}",
                    self.id,
                    vcpu.id()
                );
            }
        }
    }
}

/// Makes the vCPUs of VM `vm`, each for a CPU of the machine in turn. Their counters begin now.
fn new_vcpus(
    vm: VmId,
    count: u32,
    stage2: &Arc<Stage2>,
    distributor: &Arc<Distributor>,
) -> Vec<Arc<Vcpu>> {
    let offset = CNTPCT_EL0.get();
    let vcpu = |number| {
        let name = VcpuName {
            vm,
            vcpu: VcpuId::new(number),
        };
        let cpu = CpuId::new(number % percpu::count());
        let (stage2, distributor) = (stage2.clone(), distributor.clone());
        Arc::new(Vcpu::new(name, cpu, stage2, distributor, offset))
    };
    (0..count).map(vcpu).collect()
}
