//! Interrupts of a thread: a signal, and a flag that holds it off.

use core::cell::Cell;
use core::mem::transmute;
use core::ptr::null_mut;
use core::sync::atomic::{AtomicPtr, Ordering, compiler_fence};
use std::sync::Once;
use std::thread_local;

use crate::InterruptState;

thread_local! {
    // Neither has a destructor, so both are plain memory that a signal handler may touch, at any time of a
    // thread's life. Only their own thread does.
    static MASKED: Cell<bool> = const { Cell::new(false) };
    static PENDING: Cell<bool> = const { Cell::new(false) };
}

/// The kick handler, a `fn()`, or null while there is none.
static HANDLER: AtomicPtr<()> = AtomicPtr::new(null_mut());

/// The signal that stands for an interrupt: ignored by a process that does not know about it.
pub(super) const SIGNAL: libc::c_int = libc::SIGURG;

pub(super) fn mask() -> InterruptState {
    let before = MASKED.get();
    MASKED.set(true);
    compiler_fence(Ordering::SeqCst);
    InterruptState(u64::from(before))
}

pub(super) fn restore(state: InterruptState) {
    compiler_fence(Ordering::SeqCst);
    if state.0 != 0 {
        return;
    }
    MASKED.set(false);
    compiler_fence(Ordering::SeqCst);
    // A signal that arrives from here on runs the handler itself; what came before is taken over.
    if PENDING.replace(false) {
        interrupt();
    }
}

/// Makes `handler` run on each thread that is kicked from now on.
pub(super) fn set_handler(handler: fn()) {
    static INSTALL: Once = Once::new();
    HANDLER.store(handler as *mut (), Ordering::Release);
    INSTALL.call_once(install);
}

/// Runs the kick handler, now or when interrupts are unmasked.
fn interrupt() {
    if MASKED.get() {
        PENDING.set(true);
    } else {
        handle();
    }
}

/// Runs the kick handler now, with interrupts masked.
pub(super) fn handle() {
    let handler = HANDLER.load(Ordering::Acquire);
    if handler.is_null() {
        return;
    }
    // SAFETY: Not null, so `set_handler` stored it, which was given a `fn()`.
    let handler = unsafe { transmute::<*mut (), fn()>(handler) };
    let before = mask();
    handler();
    restore(before);
}

extern "C" fn on_signal(_signal: libc::c_int) {
    interrupt();
}

fn install() {
    // SAFETY: All-zero is a valid `sigaction`: no flags, no signals blocked, the default action.
    let mut action: libc::sigaction = unsafe { core::mem::zeroed() };
    action.sa_sigaction = on_signal as *const () as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: `action` is a valid action whose handler has the signature that an action without SA_SIGINFO
    // wants. The handler touches nothing but thread-locals without destructors, atomics, and the kick handler,
    // which `CoreSync` allows to be called at any time.
    let result = unsafe { libc::sigaction(SIGNAL, &action, null_mut()) };
    debug_assert_eq!(result, 0, "SIGURG can always be caught");
}
