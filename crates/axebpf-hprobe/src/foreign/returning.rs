//! Hits at the return of a function.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

use axebpf_hit::{HitGuard, Missed, NestedHit, enter};
use axebpf_platform::HostVirt;
use spin::Once;

use super::PtRegs;
use super::arch::write_return;
use super::registry::{Point, REGISTRY, Subscription};
use crate::returns::{LinkId, ReturnInstance, ReturnTable};
use crate::{Break, Entered, HprobeHit, ProbeKind};

/// The calls that are in flight, once there is a return probe.
pub(crate) static TABLE: Once<ReturnTable> = Once::new();

/// Where probed functions return to: a breakpoint, or 0 while there is none.
static TRAMPOLINE: AtomicU64 = AtomicU64::new(0);

/// Returns where probed functions return to, once there is a return probe.
pub(crate) fn trampoline_address() -> Option<HostVirt> {
    match TRAMPOLINE.load(Ordering::Acquire) {
        0 => None,
        at => Some(HostVirt::new(at)),
    }
}

/// Says where probed functions return to, which stays so for ever.
pub(crate) fn set_trampoline(at: HostVirt) {
    TRAMPOLINE.store(at.get(), Ordering::Release);
}

/// Finds where a function really returns to whose return address is `found`, if that is the work of a return probe.
///
/// For unwinders, inside of hits and outside. `lowest_sp` is the lowest stack pointer with which the function can have been
/// entered: on x86_64 the address of the return address itself.
#[must_use]
pub fn real_return_address(found: u64, lowest_sp: u64) -> Option<HostVirt> {
    let trampoline = trampoline_address().filter(|at| at.get() == found)?;
    TABLE.get()?.real_return_address(lowest_sp, trampoline)
}

/// Forgets the calls on a stack that will not return, and returns how many there were.
///
/// To be called when a task has died, or its stack is thrown away, before the memory serves as a stack again, and
/// while nothing runs on it.
pub fn forget_stack(stack: &Range<HostVirt>) -> usize {
    let Some(table) = TABLE.get() else {
        return 0;
    };
    let guard = enter().ok();
    let registry = guard.as_ref().and_then(|guard| REGISTRY.load(guard));
    table.forget_stack(stack, |call| {
        if let Some(subscription) = registry.and_then(|registry| registry.find_return(call.link)) {
            subscription.active.finish();
        }
    })
}

/// Makes the function that is entered at `point` return to the trampoline, once for each subscription to its return.
pub(crate) fn arm(point: &Point, regs: &mut PtRegs, guard: &HitGuard) {
    let returns = || {
        let all = point.subscriptions.iter();
        all.filter(|sub| sub.is(ProbeKind::Return))
    };
    let ready = trampoline_address().zip(TABLE.get());
    let home = regs.return_address(guard.platform());
    let Some(((trampoline, table), home)) = ready.zip(home) else {
        returns().for_each(|subscription| subscription.miss());
        return;
    };
    let mut return_address = home;
    for subscription in returns() {
        if claim(subscription, table, return_address, regs, guard) {
            return_address = trampoline.get();
        }
    }
    if return_address != home {
        write_return(regs, return_address);
    }
}

/// Keeps a call for one subscription, and tells whether it is waited for.
fn claim(
    subscription: &Subscription,
    table: &ReturnTable,
    return_address: u64,
    regs: &PtRegs,
    guard: &HitGuard,
) -> bool {
    if !subscription.active.start() {
        subscription.miss();
        return false;
    }
    let entry = subscription.handler.entry(&HprobeHit {
        guard,
        point: &subscription.point,
        regs,
        entered: None,
    });
    let Some(entry_data) = entry else {
        subscription.active.finish();
        return false;
    };
    let instance = ReturnInstance {
        sp: regs.entry_sp(),
        return_address,
        link: subscription.id,
        entry_time_ns: guard.platform().now_ns(),
        entry_data,
    };
    let is_kept = table.claim(guard, instance).is_ok();
    if !is_kept {
        subscription.active.finish();
        subscription.miss();
    }
    is_kept
}

/// Handles the breakpoint at `at`, the trampoline: sends the function home that has returned to it.
pub(crate) fn trampoline(regs: &mut PtRegs, at: u64) -> Break {
    // Taken out before anything else: whatever becomes of the handler, the function goes home.
    let instance = TABLE
        .get()
        .and_then(|table| Some((table, table.take(regs.sp_before_return())?)));
    let Some((table, instance)) = instance else {
        return Break::NotOurs;
    };
    regs.set_pc(home(table, &instance, HostVirt::new(at)));
    match enter() {
        Ok(guard) => finish(&instance, regs, &guard),
        Err(Missed::Nested) => miss(instance.link),
        Err(_) => {}
    }
    // This may be the trampoline again, for the next call that has ended here.
    regs.set_pc(instance.return_address);
    Break::Handled
}

/// Returns where the call of `instance` returns to in the end.
fn home(table: &ReturnTable, instance: &ReturnInstance, trampoline: HostVirt) -> u64 {
    if instance.return_address != trampoline.get() {
        return instance.return_address;
    }
    table
        .real_return_address(instance.sp, trampoline)
        .map_or(instance.return_address, HostVirt::get)
}

/// Calls the handler of a call that has returned, unless its link is gone.
fn finish(instance: &ReturnInstance, regs: &PtRegs, guard: &HitGuard) {
    let registry = REGISTRY.load(guard);
    let Some(subscription) = registry.and_then(|registry| registry.find_return(instance.link))
    else {
        return;
    };
    subscription.active.finish();
    let entered = Entered {
        time_ns: instance.entry_time_ns,
        data: instance.entry_data,
    };
    subscription.fire(regs, guard, Some(entered));
}

/// Counts a return inside a hit as missed.
#[allow(
    unsafe_code,
    reason = "reads what is published without a guard of its own"
)]
fn miss(id: LinkId) {
    // SAFETY: `enter` has just said so. This is a trap, with interrupts masked, and the value does not leave this function.
    let nested = unsafe { NestedHit::assume() };
    let registry = REGISTRY.load_nested(&nested);
    if let Some(subscription) = registry.and_then(|registry| registry.find_return(id)) {
        subscription.active.finish();
        subscription.miss();
    }
}
