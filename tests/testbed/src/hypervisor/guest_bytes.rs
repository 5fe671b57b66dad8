//! Memory that a guest may be using at the same time.

use core::arch::asm;

/// Returns how many bytes can be accessed at once at `at`, of which `left` are wanted.
fn unit(at: u64, left: usize) -> usize {
    [8, 4, 2, 1]
        .into_iter()
        .find(|&size| at.is_multiple_of(size as u64) && size <= left)
        .unwrap_or(1)
}

/// Copies from memory that a guest may be writing, each aligned group of up to 8 bytes at once.
///
/// # Safety
///
/// The memory is mapped, and stays so.
pub(super) unsafe fn read_volatile(from: u64, bytes: &mut [u8]) {
    let mut done = 0;
    while done < bytes.len() {
        let at = from + done as u64;
        let left = &mut bytes[done..];
        done += match unit(at, left.len()) {
            // SAFETY: the address is a multiple of 8, and the caller says that the memory is there.
            8 => copy(left, unsafe { load::<u64>(at) }.to_le_bytes()),
            // SAFETY: the address is a multiple of 4, and the caller says that the memory is there.
            4 => copy(left, unsafe { load::<u32>(at) }.to_le_bytes()),
            // SAFETY: the address is a multiple of 2, and the caller says that the memory is there.
            2 => copy(left, unsafe { load::<u16>(at) }.to_le_bytes()),
            // SAFETY: the caller says that the memory is there.
            _ => copy(left, unsafe { load::<u8>(at) }.to_le_bytes()),
        };
    }
}

/// Writes `value` to the beginning of `bytes`, and returns how long it is. A copy whose length is not known when this
/// is compiled would be a call.
fn copy<const SIZE: usize>(bytes: &mut [u8], value: [u8; SIZE]) -> usize {
    bytes[..SIZE].copy_from_slice(&value);
    SIZE
}

/// Copies to memory that a guest may be reading, each aligned group of up to 8 bytes at once; and 16 aligned bytes as
/// the processor does it.
///
/// # Safety
///
/// The memory is mapped and stays so, and nothing of EL2 relies on what is in it.
pub(super) unsafe fn write_volatile(to: u64, bytes: &[u8]) {
    if to.is_multiple_of(16)
        && let Ok(pair) = bytes.try_into()
    {
        // SAFETY: the address is aligned, and the caller says that the memory is there and nobody's.
        return unsafe { store_pair(to, u128::from_le_bytes(pair)) };
    }
    let mut done = 0;
    while done < bytes.len() {
        let at = to + done as u64;
        let left = &bytes[done..];
        done += match unit(at, left.len()) {
            // SAFETY: the address is a multiple of 8, and the caller says that the memory is there and nobody's.
            8 => unsafe { store(at, u64::from_le_bytes(first(left))) },
            // SAFETY: the address is a multiple of 4, and the caller says that the memory is there and nobody's.
            4 => unsafe { store(at, u32::from_le_bytes(first(left))) },
            // SAFETY: the address is a multiple of 2, and the caller says that the memory is there and nobody's.
            2 => unsafe { store(at, u16::from_le_bytes(first(left))) },
            // SAFETY: the caller says that the memory is there and nobody's.
            _ => unsafe { store(at, u8::from_le_bytes(first(left))) },
        };
    }
}

/// Returns the first `SIZE` bytes, of which there are as many.
fn first<const SIZE: usize>(bytes: &[u8]) -> [u8; SIZE] {
    bytes.first_chunk().copied().unwrap_or([0; SIZE])
}

/// Writes 16 bytes by the instruction with which a guest does, so at once where it has `FEAT_LSE2` (ARM ARM B2.2.1).
///
/// # Safety
///
/// There is memory at `at`, a multiple of 16, and nothing of EL2 relies on what is in it.
unsafe fn store_pair(at: u64, value: u128) {
    // SAFETY: the caller says that the memory is there, and that it may be written.
    unsafe {
        asm!(
            "stp {low}, {high}, [{at}]",
            low = in(reg) value as u64,
            high = in(reg) (value >> 64) as u64,
            at = in(reg) at,
            options(nostack, preserves_flags)
        )
    }
}

/// A number that one load or store of the processor moves.
///
/// # Safety
///
/// Any bytes make one, and all of its bytes say something.
pub(super) unsafe trait Word: Copy {}

// SAFETY: it is an unsigned number.
unsafe impl Word for u8 {}
// SAFETY: it is an unsigned number.
unsafe impl Word for u16 {}
// SAFETY: it is an unsigned number.
unsafe impl Word for u32 {}
// SAFETY: it is an unsigned number.
unsafe impl Word for u64 {}

/// Reads a `T` at once.
///
/// # Safety
///
/// There is memory at `at`, which is aligned for a `T`.
pub(super) unsafe fn load<T: Word>(at: u64) -> T {
    // SAFETY: the caller says that the memory is there and aligned, and any bytes make a `T`.
    unsafe { (at as *const T).read_volatile() }
}

/// Writes `value` at once, and returns how long it is.
///
/// # Safety
///
/// There is memory at `at`, which is aligned for a `T`, and nothing of EL2 relies on what is in it.
unsafe fn store<T: Word>(at: u64, value: T) -> usize {
    // SAFETY: the caller says that the memory is there, aligned, and nobody's.
    unsafe { (at as *mut T).write_volatile(value) };
    size_of::<T>()
}

/// Stores an instruction of a guest and makes it visible to the fetches of all CPUs, also to those of a vCPU with its
/// caches off (ARM ARM B2.7.4.2).
///
/// # Safety
///
/// There is memory at `to`, a multiple of 4, which EL2 neither executes nor relies on.
pub(super) unsafe fn write_instruction(to: u64, word: u32) {
    // SAFETY: the caller says that the memory is there, and that it may be written. Nothing else is changed by the
    // maintenance of the caches.
    unsafe {
        asm!(
            "str {word:w}, [{to}]",
            "dc cvac, {to}",
            "dsb ish",
            "ic ialluis",
            "dsb ish",
            "isb",
            word = in(reg) word,
            to = in(reg) to,
            options(nostack, preserves_flags)
        )
    }
}
