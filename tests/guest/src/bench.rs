//! What the hypervisor's `bench` has this guest do: one kind of exit, as often as it is told, with nothing in between.

mod tables;
mod task;

use core::arch::{asm, global_asm};

/// What the hypervisor asks for a guest that does this and nothing else.
pub(crate) const ROLE: u64 = 3;

/// The hypercall that asks what to do next: the number of an [`Action`], how often, and an address.
const NEXT: u64 = 0xc600_0010;
/// The immediate of the `HVC` that the hypervisor answers by returning.
const NOTHING: u16 = 0xbe9c;

/// What is done.
mod action {
    /// `HVC` that does nothing.
    pub(super) const TRAP: u64 = 0;
    /// A call of the function at the address.
    pub(super) const CALL: u64 = 1;
    /// A load from the address.
    pub(super) const LOAD: u64 = 2;
}

unsafe extern "C" {
    /// Traps `times` times.
    fn bench_trap(times: u64);
    /// Calls `function` `times` times.
    fn bench_call(times: u64, function: u64);
    /// Loads from `address` `times` times.
    fn bench_load(times: u64, address: u64);
    static bench_store: u8;
    static bench_hint: u8;
    static bench_add: u8;
}

// The functions that are probed have pages of their own, so that each of them, and whoever calls them, can be in a mode
// of its own.
global_asm!(
    ".section .text.bench, \"ax\"",
    ".balign 4096",
    "bench_trap:",
    "cbz x0, 2f",
    "1: hvc #{nothing}",
    "subs x0, x0, #1",
    "b.ne 1b",
    "2: ret",
    "bench_call:",
    "stp x29, x30, [sp, #-32]!",
    "stp x19, x20, [sp, #16]",
    "mov x19, x0",
    "mov x20, x1",
    "1: cbz x19, 2f",
    "sub x19, x19, #1",
    "blr x20",
    "b 1b",
    "2: ldp x19, x20, [sp, #16]",
    "ldp x29, x30, [sp], #32",
    "ret",
    "bench_load:",
    "cbz x0, 2f",
    "1: ldr w2, [x1]",
    "subs x0, x0, #1",
    "b.ne 1b",
    "2: ret",
    // Starts as most functions that call others do.
    ".balign 4096",
    "bench_store:",
    "stp x29, x30, [sp, #-16]!",
    "mov x29, sp",
    "ldp x29, x30, [sp], #16",
    "ret",
    // Starts as functions do of a kernel that can be traced.
    ".balign 4096",
    "bench_hint:",
    "nop",
    "ret",
    // Starts with an instruction that is executed by the guest itself.
    ".balign 4096",
    "bench_add:",
    "add x0, x0, x1",
    "ret",
    ".balign 4096",
    nothing = const NOTHING,
);

/// What is to be done.
struct Job {
    action: u64,
    times: u64,
    address: u64,
}

/// Does what the hypervisor says, for ever.
pub(crate) fn run() -> ! {
    tables::install();
    task::install();
    loop {
        let job = next();
        match job.action {
            // SAFETY: the function keeps to the calling convention, and the hypervisor changes no register.
            action::TRAP => unsafe { bench_trap(job.times) },
            // SAFETY: so does this one, and the address is that of a function which this guest has named.
            action::CALL => unsafe { bench_call(job.times, job.address) },
            // SAFETY: so does this one, and the address is that of a register of a device.
            action::LOAD => unsafe { bench_load(job.times, job.address) },
            _ => {}
        }
    }
}

/// Ends what was measured, names the functions that can be probed, and asks for what is next.
fn next() -> Job {
    let (action, times, address);
    // SAFETY: the hypervisor changes no register but those of the result.
    unsafe {
        asm!(
            "hvc #0",
            inout("x0") NEXT => action,
            inout("x1") &raw const bench_store => times,
            inout("x2") &raw const bench_hint => address,
            in("x3") &raw const bench_add,
            options(nostack)
        );
    }
    Job {
        action,
        times,
        address,
    }
}
