//! Draws how long each exit of a guest took: a log2 histogram of the nanoseconds from `vmm:vcpu_run_exit` to the next
//! `vmm:vcpu_run_enter` of the same virtual CPU.
//!
//! Slot n of the map `LATENCY` counts the exits that took 2^n to 2^(n+1) - 1 nanoseconds.
#![no_std]
#![no_main]
#![expect(
    missing_docs,
    reason = "aya's attribute exports a second function that nobody can document"
)]

use axebpf_ebpf::{event, vmm};
use aya_ebpf::{
    btf_maps::{HashMap, PerCpuArray},
    helpers::bpf_ktime_get_ns,
    macros::{btf_map, tracepoint},
    programs::TracePointContext,
};

/// One virtual CPU.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Vcpu {
    vm_id: u32,
    vcpu_id: u32,
}

/// When each virtual CPU last left its guest, in nanoseconds.
#[btf_map]
static LEFT: HashMap<Vcpu, u64, 256> = HashMap::new();

/// The histogram, one on each CPU.
#[btf_map]
static LATENCY: PerCpuArray<u64, 64> = PerCpuArray::new();

/// Notes when a virtual CPU leaves its guest.
#[tracepoint(category = "vmm", name = "vcpu_run_exit")]
pub fn exit_latency_exit(ctx: TracePointContext) -> u32 {
    // SAFETY: The section names the event whose type this is.
    let exit = unsafe { event::<vmm::VcpuRunExit>(&ctx) };
    let vcpu = Vcpu {
        vm_id: exit.vm_id,
        vcpu_id: exit.vcpu_id,
    };
    // SAFETY: The helper takes no argument.
    let now = unsafe { bpf_ktime_get_ns() };
    // A full map leaves this virtual CPU out of the histogram; the hypervisor counts the helper's error.
    let _ = LEFT.insert(vcpu, now, 0);
    0
}

/// Counts how long it stayed away.
#[tracepoint(category = "vmm", name = "vcpu_run_enter")]
pub fn exit_latency_enter(ctx: TracePointContext) -> u32 {
    // SAFETY: The section names the event whose type this is.
    let enter = unsafe { event::<vmm::VcpuRunEnter>(&ctx) };
    let vcpu = Vcpu {
        vm_id: enter.vm_id,
        vcpu_id: enter.vcpu_id,
    };
    // SAFETY: A virtual CPU runs on one CPU at a time, so nobody else writes its entry.
    let Some(left) = (unsafe { LEFT.get(&vcpu) }) else {
        // The first entry comes before the first exit.
        return 0;
    };
    // SAFETY: The helper takes no argument.
    let took = unsafe { bpf_ktime_get_ns() }.saturating_sub(*left);
    if let Some(slot) = LATENCY.get_ptr_mut(log2(took)) {
        // SAFETY: The slot is this CPU's own aligned value in the map, and nothing interrupts a program on its CPU.
        unsafe { *slot += 1 };
    }
    0
}

/// Returns the number of the highest bit that is set, and 0 for 0.
///
/// eBPF has no instruction for it: halves the range six times.
#[inline(always)]
fn log2(value: u64) -> u32 {
    let mut rest = value;
    let mut bit = 0;
    for step in [32, 16, 8, 4, 2, 1] {
        if rest >> step != 0 {
            rest >>= step;
            bit += step;
        }
    }
    bit
}

/// Ends the program, where it cannot go on.
#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The licence, for loaders that ask for it.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
pub static LICENSE: [u8; 16] = *b"Dual GPL/Apache\0";
