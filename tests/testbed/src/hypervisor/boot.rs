//! From the first instruction of each CPU to its idle loop.

use alloc::vec::Vec;

use aarch64_cpu::registers::{MPIDR_EL1, Readable};
use aarch64_rt::entry;
use axebpf::platform::CpuId;
use axebpf::tracepoint::{trace, vmm};

use super::{
    config::{self, Start},
    console::println,
    gic, heap, image, mmu, payload, percpu, sched, shell, smp, stage2_control, sysreg, timer,
    tracing, traps, uart, vectors, vms,
};

/// The affinity fields of `MPIDR_EL1`.
const AFFINITY: u64 = 0xff_00ff_ffff;

entry!(main, 16);

fn main(_x0: u64, _x1: u64, _x2: u64, _x3: u64) -> ! {
    let affinity = MPIDR_EL1.get() & AFFINITY;
    percpu::init(CpuId::new(0), affinity);
    vectors::init_cpu();
    uart::init();
    heap::init();
    payload::init();
    mmu::init().expect("the address space of the hypervisor can be built");
    mmu::activate();
    let affinities = machine(affinity);
    tracing::init();
    init_cpu();
    println!("axebpf testbed: EL2, {} cpus", percpu::count());
    smp::start_others(&affinities);
    let heap = image::heap();
    trace!(vmm::vmm_init {
        cpus: percpu::count(),
        memory: heap.end - heap.start
    });
    start_guest();
    shell::start();
    sysreg::unmask_interrupts();
    sched::idle()
}

/// Sets up what the machine has once, and returns the affinities of its CPUs.
fn machine(boot_cpu: u64) -> Vec<u64> {
    let all = gic::affinities().expect("the GIC has redistributors");
    let mut affinities: Vec<u64> = all.take(percpu::MAX_CPUS).collect();
    // The executing CPU is number 0 in the GIC too.
    assert_eq!(
        affinities.first(),
        Some(&boot_cpu),
        "the machine did not boot on its first CPU"
    );
    affinities.truncate(percpu::MAX_CPUS);
    percpu::set_count(affinities.len());
    gic::init().expect("the GIC can be set up");
    uart::enable_input();
    affinities
}

/// Sets up what every CPU has of its own.
fn init_cpu() {
    stage2_control::init_cpu();
    traps::init_cpu();
    sched::init_cpu();
    timer::init_cpu();
    percpu::this().set_online();
    // A fence that began before this CPU was online does not know of it.
    axebpf::hit::text::cpu_online();
    let cpu = percpu::id().get();
    trace!(vmm::cpu_up {
        cpu,
        mpidr: percpu::this().mpidr()
    });
    trace!(vmm::vhal_init {
        cpu,
        ipa_bits: stage2_control::ADDRESS_BITS as u32,
        vtcr: stage2_control::control(),
    });
}

/// Where a CPU other than the first one comes to, on its boot stack and with the initial page table.
pub(crate) fn secondary(cpu: CpuId, affinity: u64) {
    percpu::init(cpu, affinity);
    vectors::init_cpu();
    mmu::activate();
    gic::init_cpu().expect("the GIC can be set up");
    init_cpu();
    sysreg::unmask_interrupts();
    sched::idle()
}

/// Starts the guest that was loaded beside the hypervisor, or else the one that is built in.
fn start_guest() {
    let description = payload::description().unwrap_or(config::BUILT_IN);
    let booted = vms::create(description).and_then(|vm| match vm.config().start {
        Start::AtBoot => vm.boot(),
        Start::ByCommand => Ok(()),
    });
    if let Err(error) = booted {
        println!("the guest does not start: {error}");
    }
}
