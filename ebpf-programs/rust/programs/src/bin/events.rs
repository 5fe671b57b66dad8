//! Sends a record through a ring buffer for each exit of a guest.
#![no_std]
#![no_main]
#![expect(
    missing_docs,
    reason = "aya's attribute exports a second function that nobody can document"
)]

use axebpf_ebpf::{event, vmm};
use aya_ebpf::{
    btf_maps::RingBuf,
    helpers::{bpf_get_smp_processor_id, bpf_ktime_get_ns},
    macros::{btf_map, tracepoint},
    programs::TracePointContext,
};

/// One exit.
#[repr(C)]
pub struct Exit {
    time_ns: u64,
    pc: u64,
    cpu: u32,
    vm_id: u32,
    vcpu_id: u32,
    reason: u32,
}

/// The records, oldest first; 64 KiB.
#[btf_map]
static EVENTS: RingBuf<Exit, 65536> = RingBuf::new();

/// Sends one record. One that finds the buffer full is dropped, and counted by the buffer.
#[tracepoint(category = "vmm", name = "vcpu_run_exit")]
pub fn events(ctx: TracePointContext) -> u32 {
    // SAFETY: The section names the event whose type this is.
    let exit = unsafe { event::<vmm::VcpuRunExit>(&ctx) };
    let Some(mut record) = EVENTS.reserve(0) else {
        return 0;
    };
    record.write(Exit {
        // SAFETY: The helper takes no argument.
        time_ns: unsafe { bpf_ktime_get_ns() },
        pc: exit.pc,
        // SAFETY: The helper takes no argument.
        cpu: unsafe { bpf_get_smp_processor_id() },
        vm_id: exit.vm_id,
        vcpu_id: exit.vcpu_id,
        reason: exit.reason,
    });
    record.submit(0);
    0
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
