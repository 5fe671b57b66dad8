//! Draws how long the calls of a function of the hypervisor take: a log2 histogram of nanoseconds.
//!
//! `link attach func_latency hretprobe:FUNCTION`, then `map dump CALL_TIMES --hist`. The entry of a call hands its time
//! to the return, so there is no map for calls in flight. Slot n of the map counts the calls that took 2^n to
//! 2^(n+1) - 1 nanoseconds.
#![no_std]
#![no_main]

use core::ffi::c_void;

use axebpf_ebpf::call_time_ns;
use aya_ebpf::{btf_maps::PerCpuArray, macros::btf_map};

/// The histogram, one on each CPU.
#[btf_map]
static CALL_TIMES: PerCpuArray<u64, 64> = PerCpuArray::new();

/// Counts how long the call took that has just returned.
#[unsafe(no_mangle)]
#[unsafe(link_section = "hretprobe")]
pub extern "C" fn func_latency(_regs: *mut c_void) -> u32 {
    // Only at the return of a function.
    let Some(took) = call_time_ns() else {
        return 0;
    };
    if let Some(slot) = CALL_TIMES.get_ptr_mut(log2(took)) {
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
