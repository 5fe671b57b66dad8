//! Hits at the return of a function.

use core::ops::Range;

use axebpf_hit::HitGuard;
use axebpf_platform::HostVirt;
use spin::Once;

use super::PtRegs;
use super::arch::write_return;
use super::registry::{Point, REGISTRY, Registry, Subscription};
use crate::returning::{Call, Returns, Trampoline, end, forget, home};
use crate::returns::{LinkId, ReturnTable};
use crate::{Break, ProbeKind};

/// The calls that are in flight, once there is a return probe.
pub(crate) static TABLE: Once<ReturnTable> = Once::new();

/// Where probed functions return to: a breakpoint, or 0 while there is none.
static TRAMPOLINE: Trampoline = Trampoline::none();

impl Returns<PtRegs> for Registry {
    fn subscription(&self, id: LinkId) -> Option<&Subscription> {
        self.find_return(id)
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
/// For unwinders, inside of hits and outside. `lowest_sp` is the lowest stack pointer with which the function can have
/// been entered: on x86_64 the address of the return address itself.
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
    let mut call = Call {
        sp: regs.entry_sp(),
        return_address: home,
    };
    for subscription in returns() {
        if subscription.claim(table, call, regs, guard) {
            call.return_address = trampoline.get();
        }
    }
    if call.return_address != home {
        write_return(regs, call.return_address);
    }
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
    end(&instance, &REGISTRY, regs);
    // This may be the trampoline again, for the next call that has ended here.
    regs.set_pc(instance.return_address);
    Break::Handled
}
