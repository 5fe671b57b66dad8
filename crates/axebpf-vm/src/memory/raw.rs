//! Access to memory by address, the only place that turns the numbers in a program's registers into pointers.
//!
//! A program shares map values with other CPUs, so that each access is an atomic one with relaxed ordering, which costs
//! what a plain one costs. Where an address is not aligned, the access goes byte by byte. Accesses of different sizes
//! to the same place race as they do in Linux: the program sees a mixture of old and new bytes.
#![allow(unsafe_code)]

use core::ptr::with_exposed_provenance_mut;
use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering};

/// An unsigned number that a program loads or stores.
pub(crate) trait Word: Copy {
    /// Its length in bytes.
    const LEN: u64;

    /// Reads the number at `addr`.
    ///
    /// # Safety
    ///
    /// `Self::LEN` bytes from `addr` on are readable, belong to an object whose provenance is exposed, and are not
    /// written by anything but atomic operations or this module meanwhile.
    unsafe fn load(addr: u64) -> Self;

    /// Writes the number at `addr`.
    ///
    /// # Safety
    ///
    /// As for [`load`](Self::load), and the bytes are writable, and nothing but atomic operations or this module
    /// reads them meanwhile.
    unsafe fn store(addr: u64, value: Self);
}

macro_rules! word {
    ($word:ty, $atomic:ty) => {
        impl Word for $word {
            const LEN: u64 = size_of::<$word>() as u64;

            #[inline(always)]
            unsafe fn load(addr: u64) -> Self {
                let ptr = with_exposed_provenance_mut::<$word>(addr as usize);
                if ptr.is_aligned() {
                    // SAFETY: the pointer is aligned, as just seen, and points to readable bytes of an exposed object that
                    // only atomic operations write, by this function's precondition.
                    unsafe { <$atomic>::from_ptr(ptr) }.load(Ordering::Relaxed)
                } else {
                    let mut bytes = [0; size_of::<$word>()];
                    // SAFETY: `LEN` bytes from `addr` on fulfil the precondition, which is the same.
                    unsafe { load_bytes(addr, &mut bytes) };
                    <$word>::from_le_bytes(bytes)
                }
            }

            #[inline(always)]
            unsafe fn store(addr: u64, value: Self) {
                let ptr = with_exposed_provenance_mut::<$word>(addr as usize);
                if ptr.is_aligned() {
                    // SAFETY: the pointer is aligned, as just seen, and points to writable bytes of an exposed object that
                    // only atomic operations access, by this function's precondition.
                    unsafe { <$atomic>::from_ptr(ptr) }.store(value, Ordering::Relaxed);
                } else {
                    // SAFETY: `LEN` bytes from `addr` on fulfil the precondition, which is the same.
                    unsafe { store_bytes(addr, &value.to_le_bytes()) };
                }
            }
        }
    };
}

word!(u8, AtomicU8);
word!(u16, AtomicU16);
word!(u32, AtomicU32);
word!(u64, AtomicU64);

/// Reads `bytes.len()` bytes from `addr` on.
///
/// # Safety
///
/// As for [`Word::load`], for that number of bytes.
#[cold]
pub(crate) unsafe fn load_bytes(addr: u64, bytes: &mut [u8]) {
    for (byte, addr) in bytes.iter_mut().zip(addr..) {
        let ptr = with_exposed_provenance_mut::<u8>(addr as usize);
        // SAFETY: a byte is always aligned; the rest is this function's precondition.
        *byte = unsafe { AtomicU8::from_ptr(ptr) }.load(Ordering::Relaxed);
    }
}

/// Writes `bytes` from `addr` on.
///
/// # Safety
///
/// As for [`Word::store`], for that number of bytes.
#[cold]
pub(crate) unsafe fn store_bytes(addr: u64, bytes: &[u8]) {
    for (byte, addr) in bytes.iter().zip(addr..) {
        let ptr = with_exposed_provenance_mut::<u8>(addr as usize);
        // SAFETY: a byte is always aligned; the rest is this function's precondition.
        unsafe { AtomicU8::from_ptr(ptr) }.store(*byte, Ordering::Relaxed);
    }
}

/// Returns the atomic at `addr`.
///
/// # Safety
///
/// `addr` is a multiple of 4, and as for [`Word::store`] for as long as the result is used.
#[inline(always)]
pub(crate) unsafe fn atomic_u32<'a>(addr: u64) -> &'a AtomicU32 {
    // SAFETY: this function's precondition is that of the call.
    unsafe { AtomicU32::from_ptr(with_exposed_provenance_mut(addr as usize)) }
}

/// Returns the atomic at `addr`.
///
/// # Safety
///
/// `addr` is a multiple of 8, and as for [`Word::store`] for as long as the result is used.
#[inline(always)]
pub(crate) unsafe fn atomic_u64<'a>(addr: u64) -> &'a AtomicU64 {
    // SAFETY: this function's precondition is that of the call.
    unsafe { AtomicU64::from_ptr(with_exposed_provenance_mut(addr as usize)) }
}
