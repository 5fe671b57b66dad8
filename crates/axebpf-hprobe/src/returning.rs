//! Hits at the return of a function.

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};

use axebpf_a64::PtRegs;
use axebpf_hit::{HitGuard, Missed, NestedHit, Snapshot, enter};
use axebpf_platform::HostVirt;
use spin::Once;

use crate::registry::{Point, REGISTRY, Registry, Subscription};
use crate::returns::{LinkId, ReturnInstance, ReturnTable};
use crate::trap::Break;
use crate::{Entered, HprobeHit, ProbeKind};

/// The link register.
const LR: usize = 30;

/// The calls that are in flight, once there is a return probe.
pub(crate) static TABLE: Once<ReturnTable> = Once::new();

/// Where probed functions return to: a `BRK`, or 0 while there is none.
static TRAMPOLINE: Trampoline = Trampoline::none();

/// Where the probed functions of an engine return to: a trap, or 0 while there is none.
pub(crate) struct Trampoline(AtomicU64);

/// The part of a registry that the ends of calls need. `R` are the registers of its architecture.
pub(crate) trait Returns<R> {
    /// Returns the subscription to returns with number `id`, if it still exists.
    fn subscription(&self, id: LinkId) -> Option<&Subscription<R>>;
}

impl Returns<PtRegs> for Registry {
    fn subscription(&self, id: LinkId) -> Option<&Subscription> {
        self.find_return(id)
    }
}

impl Trampoline {
    pub(crate) const fn none() -> Self {
        Self(AtomicU64::new(0))
    }

    /// Returns where probed functions return to, once there is a return probe.
    pub(crate) fn address(&self) -> Option<HostVirt> {
        match self.0.load(Ordering::Acquire) {
            0 => None,
            at => Some(HostVirt::new(at)),
        }
    }

    /// Says where probed functions return to, which stays so for ever.
    pub(crate) fn set(&self, at: HostVirt) {
        self.0.store(at.get(), Ordering::Release);
    }
}

/// Returns where probed functions return to, once there is a return probe.
pub(crate) fn trampoline_address() -> Option<HostVirt> {
    TRAMPOLINE.address()
}

/// Says where probed functions return to, which stays so for ever.
pub(crate) fn set_trampoline(at: HostVirt) {
    TRAMPOLINE.set(at);
}

/// Finds where a function really returns to whose return address is `found`, if that is the work of a return probe.
///
/// For unwinders, inside of hits and outside. `found` has no signature (`FEAT_PAuth`) any more. `lowest_sp` is
/// the lowest stack pointer with which the function can have been entered: the address behind its frame record, or the
/// stack pointer while the return address is still in the link register.
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
    TABLE
        .get()
        .map_or(0, |table| forget(table, &REGISTRY, stack))
}

/// Takes the calls on `stack` out of `table`, so that they no longer count as waited for.
pub(crate) fn forget<R>(
    table: &ReturnTable,
    registry: &Snapshot<impl Returns<R>>,
    stack: &Range<HostVirt>,
) -> usize {
    let guard = enter().ok();
    let registry = guard.as_ref().and_then(|guard| registry.load(guard));
    table.forget_stack(stack, |call| {
        if let Some(subscription) = registry.and_then(|registry| registry.subscription(call.link)) {
            subscription.active.finish();
        }
    })
}

/// Makes the function that is entered at `point` return to the trampoline, once for each subscription to its return.
pub(crate) fn arm(point: &Point, regs: &mut PtRegs, guard: &HitGuard) {
    let (Some(trampoline), Some(table)) = (trampoline_address(), TABLE.get()) else {
        return;
    };
    // The handlers see the registers as they were, whatever those before them have armed.
    let home = regs.regs[LR];
    let mut call = Call {
        sp: regs.sp,
        return_address: home,
    };
    for subscription in point.subscriptions.iter() {
        if subscription.is(ProbeKind::Return) && subscription.claim(table, call, regs, guard) {
            call.return_address = trampoline.get();
        }
    }
    regs.regs[LR] = call.return_address;
}

/// A call of a function whose return is probed, at its entry.
#[derive(Clone, Copy)]
pub(crate) struct Call {
    /// The stack pointer.
    pub(crate) sp: u64,
    /// Where the function is about to return to.
    pub(crate) return_address: u64,
}

impl<R> Subscription<R> {
    /// Keeps `call` for this subscription, and tells whether it is waited for.
    pub(crate) fn claim(
        &self,
        table: &ReturnTable,
        call: Call,
        regs: &R,
        guard: &HitGuard,
    ) -> bool {
        if !self.active.start() {
            self.miss();
            return false;
        }
        let entry = self.handler.entry(&HprobeHit {
            guard,
            point: &self.point,
            regs,
            entered: None,
        });
        let Some(entry_data) = entry else {
            self.active.finish();
            return false;
        };
        let instance = ReturnInstance {
            sp: call.sp,
            return_address: call.return_address,
            link: self.id,
            entry_time_ns: guard.platform().now_ns(),
            entry_data,
        };
        let is_kept = table.claim(guard, instance).is_ok();
        if !is_kept {
            self.active.finish();
            self.miss();
        }
        is_kept
    }
}

/// Handles the break of the trampoline: sends the function home that has returned to it.
pub(crate) fn trampoline(regs: &mut PtRegs) -> Break {
    let Some(table) = TABLE.get() else {
        return Break::NotOurs;
    };
    // Taken out before anything else: whatever becomes of the handler, the function goes home.
    let Some(instance) = table.take(regs.sp) else {
        return Break::NotOurs;
    };
    let trampoline = HostVirt::new(regs.pc);
    regs.pc = home(table, &instance, trampoline);
    end(&instance, &REGISTRY, regs);
    // This may be the trampoline again, for the next call that has ended here.
    regs.pc = instance.return_address;
    if regs.regs[LR] == trampoline.get() {
        // As the function leaves it that returns to where it was called from.
        regs.regs[LR] = instance.return_address;
    }
    Break::Handled
}

/// Returns where the call of `instance` returns to in the end.
pub(crate) fn home(table: &ReturnTable, instance: &ReturnInstance, trampoline: HostVirt) -> u64 {
    if instance.return_address != trampoline.get() {
        return instance.return_address;
    }
    table
        .real_return_address(instance.sp, trampoline)
        .map_or(instance.return_address, HostVirt::get)
}

/// Calls the handler of a call that has returned, or counts it as missed inside a hit.
///
/// To be called in the trap of the trampoline only.
pub(crate) fn end<R>(instance: &ReturnInstance, registry: &Snapshot<impl Returns<R>>, regs: &R) {
    match enter() {
        Ok(guard) => finish(instance, registry.load(&guard), regs, &guard),
        Err(Missed::Nested) => miss(instance.link, registry),
        Err(_) => {}
    }
}

/// Calls the handler of a call that has returned, unless its link is gone.
fn finish<R>(
    instance: &ReturnInstance,
    registry: Option<&impl Returns<R>>,
    regs: &R,
    guard: &HitGuard,
) {
    let Some(subscription) = registry.and_then(|registry| registry.subscription(instance.link))
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
fn miss<R>(id: LinkId, registry: &Snapshot<impl Returns<R>>) {
    // SAFETY: `enter` has just said so. This is a trap, with interrupts masked, and the value does not leave this
    // function.
    let nested = unsafe { NestedHit::assume() };
    let registry = registry.load_nested(&nested);
    if let Some(subscription) = registry.and_then(|registry| registry.subscription(id)) {
        subscription.active.finish();
        subscription.miss();
    }
}
