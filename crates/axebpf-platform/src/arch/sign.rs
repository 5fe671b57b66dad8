//! Signing addresses as the interrupted code would.

use core::arch::asm;

/// Signs `address` with `modifier` by `APIAKey`, if this CPU does that at this exception level, as `PACIASP` does with
/// the return address and the stack pointer (ARM ARM C6.2, `PACIA1716`).
#[must_use]
pub fn sign_with_a(address: u64, modifier: u64) -> u64 {
    let signed;
    // SAFETY: `PACIA1716` changes x17 only. It is a hint, so that a CPU without keys leaves the address as it is.
    unsafe {
        asm!("hint #8", inout("x17") address => signed, in("x16") modifier, options(nomem, nostack, preserves_flags))
    };
    signed
}

/// Signs `address` with `modifier` by `APIBKey`, if this CPU does that at this exception level, as `PACIBSP` does with
/// the return address and the stack pointer (ARM ARM C6.2, `PACIB1716`).
#[must_use]
pub fn sign_with_b(address: u64, modifier: u64) -> u64 {
    let signed;
    // SAFETY: `PACIB1716` changes x17 only. It is a hint, so that a CPU without keys leaves the address as it is.
    unsafe {
        asm!("hint #10", inout("x17") address => signed, in("x16") modifier, options(nomem, nostack, preserves_flags))
    };
    signed
}
