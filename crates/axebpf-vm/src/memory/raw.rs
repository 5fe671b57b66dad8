//! Access to memory by address, the only place that turns the numbers in a program's registers into pointers.
//!
//! Private memory, the stack and the context, is accessed plainly, at any alignment. Shared memory, map values and
//! ring-buffer records, is what other CPUs access at the same time, so that each access is an atomic one with relaxed
//! ordering, which costs what a plain one costs; where the address is not aligned, byte by byte. Accesses of
//! different sizes to the same place race as they do in Linux: the program sees a mixture of old and new bytes.
#![allow(unsafe_code)]

use core::ptr::{self, with_exposed_provenance, with_exposed_provenance_mut};
use core::slice;
use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

/// Whether an unaligned access costs what an aligned one does. Bare-metal aarch64 targets forbid them, so that the
/// compiler makes each access that might be one of single bytes.
const HAS_UNALIGNED: bool = cfg!(not(target_os = "none"));

/// An unsigned number that a program loads or stores.
pub(crate) trait Word: Copy {
    /// Its length in bytes.
    const LEN: u64;

    /// Reads the number at `addr` in private memory.
    ///
    /// # Safety
    ///
    /// `Self::LEN` bytes from `addr` on are readable and initialised, belong to an object whose provenance is exposed,
    /// and nothing else writes them meanwhile.
    unsafe fn load_private(addr: u64) -> Self;

    /// Writes the number at `addr` in private memory.
    ///
    /// # Safety
    ///
    /// `Self::LEN` bytes from `addr` on are writable, belong to an object whose provenance is exposed, and nothing else
    /// accesses them meanwhile.
    unsafe fn store_private(addr: u64, value: Self);

    /// Reads the number at an aligned address in private memory.
    ///
    /// # Safety
    ///
    /// `addr` is a multiple of `Self::LEN`, and as for [`load_private`](Self::load_private).
    unsafe fn load_aligned(addr: u64) -> Self;

    /// Writes the number at an aligned address in private memory.
    ///
    /// # Safety
    ///
    /// `addr` is a multiple of `Self::LEN`, and as for [`store_private`](Self::store_private).
    unsafe fn store_aligned(addr: u64, value: Self);

    /// Reads the number at `addr` in shared memory.
    ///
    /// # Safety
    ///
    /// `Self::LEN` bytes from `addr` on are readable, writable and initialised, belong to an object whose provenance is
    /// exposed, and meanwhile only atomic operations access them.
    unsafe fn load_shared(addr: u64) -> Self;

    /// Writes the number at `addr` in shared memory.
    ///
    /// # Safety
    ///
    /// As for [`load_shared`](Self::load_shared).
    unsafe fn store_shared(addr: u64, value: Self);
}

macro_rules! word {
    ($word:ty, $atomic:ty) => {
        impl Word for $word {
            const LEN: u64 = size_of::<$word>() as u64;

            #[inline(always)]
            unsafe fn load_private(addr: u64) -> Self {
                let from = with_exposed_provenance_mut::<$word>(addr as usize);
                if HAS_UNALIGNED || !from.is_aligned() {
                    // SAFETY: the bytes are readable, initialised and exposed, and not written meanwhile, by this
                    // function's precondition. Any alignment will do.
                    unsafe { from.read_unaligned() }
                } else {
                    // SAFETY: as above, and the pointer is aligned, as just seen. Volatile, so that the compiler does
                    // not make one read of both, which would be the slow one.
                    unsafe { from.read_volatile() }
                }
            }

            #[inline(always)]
            unsafe fn store_private(addr: u64, value: Self) {
                let to = with_exposed_provenance_mut::<$word>(addr as usize);
                if HAS_UNALIGNED || !to.is_aligned() {
                    // SAFETY: the bytes are writable, exposed and not accessed meanwhile, by this function's
                    // precondition. Any alignment will do.
                    unsafe { to.write_unaligned(value) }
                } else {
                    // SAFETY: as above, and the pointer is aligned, as just seen. Volatile as in `load_private`.
                    unsafe { to.write_volatile(value) }
                }
            }

            #[inline(always)]
            unsafe fn load_aligned(addr: u64) -> Self {
                // SAFETY: the bytes are readable, initialised, exposed, aligned, and not written meanwhile, by this
                // function's precondition.
                unsafe { with_exposed_provenance::<$word>(addr as usize).read() }
            }

            #[inline(always)]
            unsafe fn store_aligned(addr: u64, value: Self) {
                // SAFETY: the bytes are writable, exposed, aligned, and not accessed meanwhile, by this function's
                // precondition.
                unsafe { with_exposed_provenance_mut::<$word>(addr as usize).write(value) }
            }

            #[inline(always)]
            unsafe fn load_shared(addr: u64) -> Self {
                let ptr = with_exposed_provenance_mut::<$word>(addr as usize);
                if ptr.is_aligned() {
                    // SAFETY: the pointer is aligned, as just seen, and valid for atomic operations, by this
                    // function's precondition.
                    unsafe { <$atomic>::from_ptr(ptr) }.load(Ordering::Relaxed)
                } else {
                    let mut bytes = [0; size_of::<$word>()];
                    // SAFETY: the precondition for `LEN` bytes is this function's.
                    unsafe { load_shared_bytes(addr, &mut bytes) };
                    <$word>::from_le_bytes(bytes)
                }
            }

            #[inline(always)]
            unsafe fn store_shared(addr: u64, value: Self) {
                let ptr = with_exposed_provenance_mut::<$word>(addr as usize);
                if ptr.is_aligned() {
                    // SAFETY: the pointer is aligned, as just seen, and valid for atomic operations, by this
                    // function's precondition.
                    unsafe { <$atomic>::from_ptr(ptr) }.store(value, Ordering::Relaxed);
                } else {
                    // SAFETY: the precondition for `LEN` bytes is this function's.
                    unsafe { store_shared_bytes(addr, &value.to_le_bytes()) };
                }
            }
        }
    };
}

word!(u8, AtomicU8);
word!(u16, AtomicU16);
word!(u32, AtomicU32);
word!(u64, AtomicU64);

/// Returns bytes of private memory.
///
/// # Safety
///
/// As for [`Word::load_private`], for `len` bytes, for as long as the result is used.
pub(super) unsafe fn private_bytes<'a>(addr: u64, len: usize) -> &'a [u8] {
    // SAFETY: the bytes are readable, initialised, of one object, and not written meanwhile, by this function's
    // precondition; no object is longer than a slice can be.
    unsafe { slice::from_raw_parts(with_exposed_provenance(addr as usize), len) }
}

/// Reads bytes of private memory.
///
/// # Safety
///
/// As for [`Word::load_private`], for `out.len()` bytes, none of which are in `out`.
pub(super) unsafe fn load_private_bytes(addr: u64, out: &mut [u8]) {
    let from = with_exposed_provenance::<u8>(addr as usize);
    // SAFETY: the source is readable by this function's precondition, the destination writable since it is borrowed,
    // they do not overlap, and bytes are always aligned.
    unsafe { ptr::copy_nonoverlapping(from, out.as_mut_ptr(), out.len()) }
}

/// Writes bytes of private memory.
///
/// # Safety
///
/// As for [`Word::store_private`], for `bytes.len()` bytes, none of which are in `bytes`.
pub(super) unsafe fn store_private_bytes(addr: u64, bytes: &[u8]) {
    let to = with_exposed_provenance_mut::<u8>(addr as usize);
    // SAFETY: the destination is writable by this function's precondition, the source readable since it is borrowed,
    // they do not overlap, and bytes are always aligned.
    unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) }
}

/// Zeroes `len` bytes of private memory, a multiple of 8.
///
/// # Safety
///
/// As for [`Word::store_private`], for `len` bytes.
#[inline(always)]
pub(super) unsafe fn zero_private(addr: u64, len: u64) {
    for offset in (0..len).step_by(8) {
        // SAFETY: the eight bytes are among those that this function's precondition is about.
        unsafe { u64::store_private(addr + offset, 0) };
    }
}

/// Reads bytes of shared memory, each as it is at that moment.
///
/// # Safety
///
/// As for [`Word::load_shared`], for `out.len()` bytes.
#[cold]
pub(super) unsafe fn load_shared_bytes(addr: u64, out: &mut [u8]) {
    for (byte, addr) in out.iter_mut().zip(addr..) {
        let ptr = with_exposed_provenance_mut::<u8>(addr as usize);
        // SAFETY: a byte is always aligned; the rest is this function's precondition.
        *byte = unsafe { AtomicU8::from_ptr(ptr) }.load(Ordering::Relaxed);
    }
}

/// Writes bytes of shared memory, one after the other.
///
/// # Safety
///
/// As for [`Word::store_shared`], for `bytes.len()` bytes.
#[cold]
pub(super) unsafe fn store_shared_bytes(addr: u64, bytes: &[u8]) {
    for (byte, addr) in bytes.iter().zip(addr..) {
        let ptr = with_exposed_provenance_mut::<u8>(addr as usize);
        // SAFETY: a byte is always aligned; the rest is this function's precondition.
        unsafe { AtomicU8::from_ptr(ptr) }.store(*byte, Ordering::Relaxed);
    }
}

/// Returns the atomic at `addr`, in private or shared memory.
///
/// # Safety
///
/// `addr` is a multiple of 4, and as for [`Word::store_shared`] for as long as the result is used.
#[inline(always)]
pub(super) unsafe fn atomic_u32<'a>(addr: u64) -> &'a AtomicU32 {
    // SAFETY: this function's precondition is that of the call.
    unsafe { AtomicU32::from_ptr(with_exposed_provenance_mut(addr as usize)) }
}

/// Returns the atomic at `addr`, in private or shared memory.
///
/// # Safety
///
/// `addr` is a multiple of 8, and as for [`Word::store_shared`] for as long as the result is used.
#[inline(always)]
pub(super) unsafe fn atomic_u64<'a>(addr: u64) -> &'a AtomicU64 {
    // SAFETY: this function's precondition is that of the call.
    unsafe { AtomicU64::from_ptr(with_exposed_provenance_mut(addr as usize)) }
}
