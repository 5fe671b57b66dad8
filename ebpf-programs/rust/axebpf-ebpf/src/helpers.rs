//! The hypervisor's own helpers.

use core::{ffi::c_void, mem::MaybeUninit};

/// The exit reason of an interrupt, next to the 64 exception classes.
pub const EXIT_IRQ: u32 = 64;

/// Calls the helper with the given number, which takes no argument and returns all ones where there is no answer.
#[inline(always)]
fn call<const NUMBER: usize>() -> Option<u64> {
    // SAFETY: In eBPF, a call through a constant is a call of the helper with that number; the ones that this module
    // names take no argument, touch no memory of the program, and return a number.
    let helper: extern "C" fn() -> u64 = unsafe { core::mem::transmute(NUMBER) };
    Some(helper()).filter(|answer| *answer != u64::MAX)
}

/// Returns the virtual machine that is loaded on this CPU, or `None` when the hypervisor runs for itself.
#[inline(always)]
#[must_use]
pub fn current_vm_id() -> Option<u32> {
    call::<100>().map(|answer| answer as u32)
}

/// Returns the virtual CPU that is loaded on this CPU, within its virtual machine, or `None` when there is none.
#[inline(always)]
#[must_use]
pub fn current_vcpu_id() -> Option<u32> {
    call::<101>().map(|answer| answer as u32)
}

/// Returns why the loaded virtual CPU last left its guest: the exception class (`ESR_EL2.EC`) or [`EXIT_IRQ`].
///
/// `None` when there is no virtual CPU, or it never ran.
#[inline(always)]
#[must_use]
pub fn exit_reason() -> Option<u32> {
    call::<102>().map(|answer| answer as u32)
}

/// Returns the nanoseconds since the function was entered at whose return the program runs.
///
/// `None` in programs that are not at the return of a function, of the hypervisor's (`hretprobe`) or a guest's
/// (`kretprobe`).
#[inline(always)]
#[must_use]
pub fn call_time_ns() -> Option<u64> {
    call::<0x1000>()
}

/// Reads a value of a guest's kernel at its virtual address, which is in the upper half, at a probe on that kernel.
///
/// # Errors
///
/// The negative error number (`-EFAULT`, -14) for an address in the lower half, one that the guest has not mapped, and
/// in programs that are attached elsewhere. Programs at tracepoints cannot call it: they are refused at load.
///
/// # Safety
///
/// Every bit pattern is a value of `T`: what is there is the guest's to choose.
#[inline(always)]
pub unsafe fn read_guest_kernel<T: Copy>(from: *const T) -> Result<T, i64> {
    // SAFETY: This is the number of a helper that reads guests; `T` is as the caller promises.
    unsafe { read_guest::<0x1001, T>(from) }
}

/// Reads a value of the guest's running program at its virtual address, which is in the lower half, at a probe on the
/// guest's kernel.
///
/// # Errors
///
/// As for [`read_guest_kernel`], with the halves changed.
///
/// # Safety
///
/// As for [`read_guest_kernel`].
#[inline(always)]
pub unsafe fn read_guest_user<T: Copy>(from: *const T) -> Result<T, i64> {
    // SAFETY: This is the number of a helper that reads guests; `T` is as the caller promises.
    unsafe { read_guest::<0x1002, T>(from) }
}

/// Reads a value by the helper with the given number.
///
/// # Safety
///
/// It is `read_guest_kernel` or `read_guest_user`, and every bit pattern is a value of `T`.
#[inline(always)]
unsafe fn read_guest<const NUMBER: usize, T: Copy>(from: *const T) -> Result<T, i64> {
    type Read = extern "C" fn(*mut c_void, u32, *const c_void) -> i64;
    let mut value = MaybeUninit::<T>::uninit();
    // SAFETY: In eBPF, a call through a constant is a call of the helper with that number; the ones that the caller
    // names take these three arguments and return a number.
    let read: Read = unsafe { core::mem::transmute(NUMBER) };
    match read(
        value.as_mut_ptr().cast(),
        size_of::<T>() as u32,
        from.cast(),
    ) {
        // SAFETY: The helper has written all of the value's bytes, of which every pattern is one (the caller's
        // promise).
        0 => Ok(unsafe { value.assume_init() }),
        error => Err(error),
    }
}
