//! The hypervisor's own helpers.

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
/// `None` in programs that are not at the return of a function.
#[inline(always)]
#[must_use]
pub fn call_time_ns() -> Option<u64> {
    call::<0x1000>()
}
