//! The trap handlers: what a hypervisor has in its exception vectors, as signal handlers.

use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use axebpf_hprobe::native::{PtRegs, handle_break, handle_fault};
use axebpf_hprobe::{Blacklist, Break, Config};
use axebpf_platform::host::HOST;
use axebpf_platform::{Cpus, InterruptState, Interrupts};

use crate::code::{address, native_end, native_start};

/// The interrupt flag.
const IF: u64 = 1 << 9;

/// How many faults were mended.
pub(crate) static FAULTS: AtomicU64 = AtomicU64::new(0);
/// The program counter at the last fault, as the fault handler sees it.
pub(crate) static FAULT_PC: AtomicU64 = AtomicU64::new(0);
/// What a faulting load is made to read.
pub(crate) static MENDED: u64 = 77;

/// Keeps the other tests of this process away from the functions.
pub(crate) fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    start();
    alone
}

/// Makes this thread a CPU, and, the first time, the process one that can be probed.
pub(crate) fn start() {
    static START: Once = Once::new();
    HOST.current_cpu();
    START.call_once(|| {
        axebpf_hit::install(&HOST).unwrap();
        let text = address!(native_start)..address!(native_end);
        let config = Config::new(Blacklist::new(text).unwrap());
        axebpf_hprobe::native::install(config).unwrap();
        handle(libc::SIGTRAP, on_break);
        handle(libc::SIGSEGV, on_fault);
    });
}

type Handler = extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut c_void);

fn handle(signal: libc::c_int, handler: Handler) {
    // SAFETY: All-zero is a valid `sigaction`.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    action.sa_sigaction = handler as *const () as usize;
    // Traps nest.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_NODEFER;
    // No fence stops a thread between the trap and the handler.
    // SAFETY: The set is part of a valid action.
    unsafe { libc::sigaddset(&mut action.sa_mask, libc::SIGURG) };
    // SAFETY: The handler has the signature that SA_SIGINFO asks for.
    let result = unsafe { libc::sigaction(signal, &action, null_mut()) };
    assert_eq!(result, 0);
}

extern "C" fn on_break(_signal: libc::c_int, _info: *mut libc::siginfo_t, context: *mut c_void) {
    trap(context, |regs| {
        if handle_break(regs) == Break::NotOurs {
            // SAFETY: Has no preconditions.
            unsafe { libc::abort() };
        }
    });
}

extern "C" fn on_fault(_signal: libc::c_int, _info: *mut libc::siginfo_t, context: *mut c_void) {
    trap(context, |regs| {
        handle_fault(regs);
        if FAULTS.fetch_add(1, Ordering::Relaxed) > 0 {
            // SAFETY: Has no preconditions.
            unsafe { libc::abort() };
        }
        FAULT_PC.store(regs.rip, Ordering::Relaxed);
        regs.rdi = &raw const MENDED as u64;
    });
}

/// Enters and leaves a trap: the mask of `HOST` is the interrupt flag of this processor.
fn trap(context: *mut c_void, handler: impl FnOnce(&mut PtRegs)) {
    let mask = HOST.mask();
    // SAFETY: Has no preconditions.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: It is this thread's for as long as that lives.
    let errno_before = unsafe { *errno };
    // SAFETY: The kernel passes the context of the interrupted code, which is the handler's to change.
    let context = unsafe { &mut *context.cast::<libc::ucontext_t>() };
    let gregs = &mut context.uc_mcontext.gregs;
    let mut regs = PtRegs::default();
    for_each_register(&mut regs, |register, index| *register = gregs[index] as u64);
    let is_on = if mask == InterruptState(0) { IF } else { 0 };
    regs.rflags = regs.rflags & !IF | is_on;
    handler(&mut regs);
    let is_on = regs.rflags & IF != 0;
    for_each_register(&mut regs, |register, index| gregs[index] = *register as i64);
    // SAFETY: As above.
    unsafe { *errno = errno_before };
    HOST.restore(InterruptState(u64::from(!is_on)));
}

fn for_each_register(regs: &mut PtRegs, mut each: impl FnMut(&mut u64, usize)) {
    use libc::*;
    each(&mut regs.r8, REG_R8 as usize);
    each(&mut regs.r9, REG_R9 as usize);
    each(&mut regs.r10, REG_R10 as usize);
    each(&mut regs.r11, REG_R11 as usize);
    each(&mut regs.r12, REG_R12 as usize);
    each(&mut regs.r13, REG_R13 as usize);
    each(&mut regs.r14, REG_R14 as usize);
    each(&mut regs.r15, REG_R15 as usize);
    each(&mut regs.rdi, REG_RDI as usize);
    each(&mut regs.rsi, REG_RSI as usize);
    each(&mut regs.rbp, REG_RBP as usize);
    each(&mut regs.rbx, REG_RBX as usize);
    each(&mut regs.rdx, REG_RDX as usize);
    each(&mut regs.rax, REG_RAX as usize);
    each(&mut regs.rcx, REG_RCX as usize);
    each(&mut regs.rsp, REG_RSP as usize);
    each(&mut regs.rip, REG_RIP as usize);
    each(&mut regs.rflags, REG_EFL as usize);
}
