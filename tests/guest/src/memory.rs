//! Memory that the hypervisor maps when it is touched, and takes back when it is released.

use crate::hypercall;

/// Where the memory starts that the image leaves free.
const START: u64 = 0x4040_0000;
const PAGE: u64 = 4096;
/// How many pages a vCPU keeps before it gives the oldest one back.
const WINDOW: u64 = 16;
/// How many pages each vCPU walks through.
const SPAN: u64 = 256;

/// Touches the page of this `round`, checks it, and releases the page of `WINDOW` rounds ago.
pub(crate) fn touch(vcpu: u32, round: u64) -> Result<(), u64> {
    let page = page_of(vcpu, round);
    let value = round ^ page;
    write(page, value);
    let found = read(page);
    if let Some(old) = round.checked_sub(WINDOW) {
        hypercall::release_page(page_of(vcpu, old));
    }
    if found == value { Ok(()) } else { Err(found) }
}

fn page_of(vcpu: u32, round: u64) -> u64 {
    START + u64::from(vcpu) * SPAN * PAGE + (round % SPAN) * PAGE
}

fn write(page: u64, value: u64) {
    // SAFETY: the page is part of the VM's memory and of this vCPU's own span, where nothing else lies.
    unsafe { (page as *mut u64).write_volatile(value) }
}

fn read(page: u64) -> u64 {
    // SAFETY: as in `write`.
    unsafe { (page as *const u64).read_volatile() }
}
