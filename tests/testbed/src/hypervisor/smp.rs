//! Starting the other CPUs.

use aarch64_rt::{Stack, start_core};
use axebpf::platform::CpuId;
use smccc::Smc;

use super::{boot, console::println, heap, percpu};

const STACK_PAGES: usize = 16;

/// Starts all CPUs but the executing one. `affinities` are theirs, in the order of their numbers.
pub(crate) fn start_others(affinities: &[u64]) {
    for (number, &affinity) in affinities.iter().enumerate() {
        let cpu = CpuId::new(number as u32);
        if cpu == percpu::id() {
            continue;
        }
        match start(cpu, affinity) {
            Ok(()) => wait_for(cpu),
            Err(error) => println!("cpu {cpu} does not start: {error}"),
        }
    }
}

fn start(cpu: CpuId, affinity: u64) -> Result<(), smccc::psci::Error> {
    let Some(stack) = heap::alloc_pages(STACK_PAGES) else {
        return Err(smccc::psci::Error::InternalFailure);
    };
    let stack = stack as *mut Stack<STACK_PAGES>;
    // SAFETY: the pages were just allocated and are never freed, so that the stack is the CPU's own for ever; they are
    // Normal memory in the initial page table and in the final one.
    unsafe {
        start_core::<Smc, _, STACK_PAGES>(affinity, stack, move || boot::secondary(cpu, affinity))
    }
}

/// Waits until `cpu` is up, so that CPUs come up in order.
fn wait_for(cpu: CpuId) {
    while percpu::get(cpu).is_some_and(|cpu| !cpu.is_online()) {
        core::hint::spin_loop();
    }
}
