//! Draws how long the calls of a function of a guest's kernel take: a log2 histogram of nanoseconds, which are those of
//! the hypervisor's clock and include what the hits themselves cost.
//!
//! `link attach guest_func_entry kprobe:vm1:FUNCTION`, `link attach guest_func_return kretprobe:vm1:FUNCTION`, then
//! `map dump GUEST_LATENCY --hist`. Slot n of the map counts the calls that took 2^n to 2^(n+1) - 1 nanoseconds. Of a
//! recursion only the innermost call is measured; the time that a call sleeps counts.
#![no_std]
#![no_main]

use core::ffi::c_void;

use aya_ebpf::{
    btf_maps::{HashMap, PerCpuArray},
    helpers::{bpf_get_current_task, bpf_ktime_get_ns},
    macros::btf_map,
};

/// When each task of the guest entered the function, in nanoseconds, by the address of the task.
#[btf_map]
static ENTERED: HashMap<u64, u64, 4096> = HashMap::new();

/// The histogram, one on each CPU.
#[btf_map]
static GUEST_LATENCY: PerCpuArray<u64, 64> = PerCpuArray::new();

/// Notes when a task enters the function.
#[unsafe(no_mangle)]
#[unsafe(link_section = "kprobe")]
pub extern "C" fn guest_func_entry(_regs: *mut c_void) -> u32 {
    // SAFETY: The helpers take no argument.
    let (task, now) = unsafe { (bpf_get_current_task(), bpf_ktime_get_ns()) };
    // A full map leaves this call out of the histogram; the hypervisor counts the helper's error.
    let _ = ENTERED.insert(task, now, 0);
    0
}

/// Counts how long the call took that has just returned.
#[unsafe(no_mangle)]
#[unsafe(link_section = "kretprobe")]
pub extern "C" fn guest_func_return(_regs: *mut c_void) -> u32 {
    // SAFETY: The helpers take no argument.
    let (task, now) = unsafe { (bpf_get_current_task(), bpf_ktime_get_ns()) };
    // SAFETY: A task runs on one virtual CPU at a time, so nobody else writes its entry.
    let Some(entered) = (unsafe { ENTERED.get(&task) }) else {
        // The program came when the call had begun.
        return 0;
    };
    let took = now.saturating_sub(*entered);
    // What is not there is not missed.
    let _ = ENTERED.remove(&task);
    if let Some(slot) = GUEST_LATENCY.get_ptr_mut(log2(took)) {
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
