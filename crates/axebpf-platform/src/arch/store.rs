//! Storing as the interrupted code would.

use core::arch::global_asm;

// The last argument is the address, those before it the values; returns 0 when they are stored, and else what is not 0.
global_asm!(
    ".pushsection .text.axebpf_store, \"ax\", %progbits",
    ".balign 4",
    ".hidden axebpf_store_pair, axebpf_store_one, axebpf_store_half, axebpf_store_failed",
    ".hidden axebpf_store_pair_at, axebpf_store_one_at, axebpf_store_half_at",
    ".globl axebpf_store_pair, axebpf_store_one, axebpf_store_half, axebpf_store_failed",
    ".globl axebpf_store_pair_at, axebpf_store_one_at, axebpf_store_half_at",
    ".type axebpf_store_pair, %function",
    "axebpf_store_pair:",
    "bti c",
    "axebpf_store_pair_at:",
    "stp x0, x1, [x2]",
    "mov x0, #0",
    "ret",
    ".size axebpf_store_pair, . - axebpf_store_pair",
    ".type axebpf_store_one, %function",
    "axebpf_store_one:",
    "bti c",
    "axebpf_store_one_at:",
    "str x0, [x1]",
    "mov x0, #0",
    "ret",
    ".size axebpf_store_one, . - axebpf_store_one",
    ".type axebpf_store_half, %function",
    "axebpf_store_half:",
    "bti c",
    "axebpf_store_half_at:",
    "str w0, [x1]",
    "mov x0, #0",
    "ret",
    "axebpf_store_failed:",
    "mov x0, #1",
    "ret",
    ".size axebpf_store_half, . - axebpf_store_half",
    ".popsection",
);

unsafe extern "C" {
    fn axebpf_store_pair(first: u64, second: u64, at: u64) -> u64;
    fn axebpf_store_one(value: u64, at: u64) -> u64;
    fn axebpf_store_half(value: u32, at: u64) -> u64;
    fn axebpf_store_pair_at();
    fn axebpf_store_one_at();
    fn axebpf_store_half_at();
    fn axebpf_store_failed();
}

/// Returns where to go on after an abort at `elr`, if that is a store of [`store`].
pub(super) fn fixup(elr: u64) -> Option<u64> {
    let place = |label: unsafe extern "C" fn()| label as usize as u64;
    let stores = [
        axebpf_store_pair_at,
        axebpf_store_one_at,
        axebpf_store_half_at,
    ];
    stores
        .map(place)
        .contains(&elr)
        .then(|| place(axebpf_store_failed))
}

/// Stores `bytes`, 4, 8 or 16 of them, at `addr`, by one instruction, and tells whether that could be done.
///
/// Needs the data-abort vector to call [`fault_fixup`](super::fault_fixup). An abort changes the registers that
/// describe the last exception, so the caller is one that saves and restores them for what it interrupted: a trap.
/// Other lengths are not stored.
///
/// # Safety
///
/// If `addr` is mapped writable, the bytes there are the caller's to write.
#[must_use = "the store may have failed"]
pub unsafe fn store(addr: u64, bytes: &[u8]) -> bool {
    // SAFETY: Any bytes are words.
    let (head, words, tail) = unsafe { bytes.align_to::<u64>() };
    // Whole words where they are aligned, as a frame on the stack is: a target with strict alignment reads bytes
    // otherwise.
    let failed = if let ([], &[first, second], []) = (head, words, tail) {
        // SAFETY: Follows the C calling convention and writes only the bytes, which are the caller's; an abort is
        // mended.
        unsafe { axebpf_store_pair(u64::from_le(first), u64::from_le(second), addr) }
    } else if let Ok([first, second]) = <[u8; 16]>::try_from(bytes).map(halves) {
        // SAFETY: As above.
        unsafe { axebpf_store_pair(first, second, addr) }
    } else if let Ok(value) = bytes.try_into().map(u64::from_le_bytes) {
        // SAFETY: As above.
        unsafe { axebpf_store_one(value, addr) }
    } else if let Ok(value) = bytes.try_into().map(u32::from_le_bytes) {
        // SAFETY: As above.
        unsafe { axebpf_store_half(value, addr) }
    } else {
        1
    };
    failed == 0
}

/// Returns 16 bytes as two numbers.
fn halves(bytes: [u8; 16]) -> [u64; 2] {
    let all = u128::from_le_bytes(bytes);
    [all as u64, (all >> 64) as u64]
}

// The aborts that `fault_fixup` mends, for the exception table of `ax-cpu`: where from and where to, each relative to
// the word that says so.
#[cfg(feature = "axhal")]
global_asm!(
    ".pushsection __nofault_ex_table, \"a\"",
    ".balign 4",
    ".word axebpf_store_pair_at - .",
    ".word axebpf_store_failed - .",
    ".word axebpf_store_one_at - .",
    ".word axebpf_store_failed - .",
    ".word axebpf_store_half_at - .",
    ".word axebpf_store_failed - .",
    ".popsection",
);
