//! From the first instruction of each vCPU to its work loop.

use core::{arch::asm, panic::PanicInfo};

use aarch64_rt::{DEFAULT_MAIR, InitialPagetable, Stack, entry, initial_pagetable, start_core};
use smccc::{Hvc, psci};

use crate::{bench, hostile, hypercall, interrupt, timer, translation, work};

/// What the hypervisor asks for a guest that checks the walker of its translation tables.
const TRANSLATION: u64 = 1;
/// What it asks for a guest that does its worst.
const HOSTILE: u64 = 2;

// Bits of a stage 1 block descriptor (ARM ARM D8.3).
const VALID: usize = 1;
const NORMAL_MEMORY: usize = 1 << 2;
const INNER_SHAREABLE: usize = 3 << 8;
const ACCESSED: usize = 1 << 10;
const EXECUTE_NEVER: usize = 1 << 54;

// The low gigabyte holds devices, the next one memory; `DEFAULT_MAIR` makes index 0 Device and index 1 Normal memory.
initial_pagetable!(
    {
        let mut map = [0; 512];
        map[0] = VALID | ACCESSED | EXECUTE_NEVER;
        // Programs, of which there are none, may not execute what the kernel does.
        map[1] = 0x4000_0000 | VALID | NORMAL_MEMORY | INNER_SHAREABLE | ACCESSED | EXECUTE_NEVER;
        InitialPagetable(map)
    },
    DEFAULT_MAIR
);

entry!(main, 4);

#[unsafe(link_section = ".stack.second")]
static mut SECOND_STACK: Stack<4> = Stack::new();

fn main(role: u64, _x1: u64, _x2: u64, _x3: u64) -> ! {
    match role {
        bench::ROLE => bench::run(),
        TRANSLATION => translation::run(),
        HOSTILE => hostile::run(),
        _ => work(),
    }
}

/// Works on both vCPUs.
fn work() -> ! {
    let stack = &raw mut SECOND_STACK;
    // SAFETY: the stack is used by nothing but the second vCPU, which is started here, once, and it is mapped
    // by the page table that both vCPUs share.
    let started = unsafe { start_core::<Hvc, _, 4>(1, stack, || run(1)) };
    if started.is_err() {
        // A VM with a single vCPU refuses this; the first one then works alone.
        hypercall::note(hypercall::Note::Alone);
    }
    run(0)
}

fn run(vcpu: u32) -> ! {
    interrupt::init();
    timer::start();
    work::run(vcpu)
}

/// Sleeps until an interrupt is pending.
pub(crate) fn wait_for_interrupt() {
    // SAFETY: `WFI` has no effect but to wait.
    unsafe { asm!("wfi", options(nomem, nostack, preserves_flags)) }
}

#[panic_handler]
fn panic(_info: &PanicInfo<'_>) -> ! {
    hypercall::note(hypercall::Note::Panic);
    switch_off()
}

/// Switches the virtual machine off.
pub(crate) fn switch_off() -> ! {
    let _ = psci::system_off::<Hvc>();
    loop {
        wait_for_interrupt();
    }
}
