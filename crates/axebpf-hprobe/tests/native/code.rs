//! The functions that are probed.

use axebpf_hprobe::{HprobeError, ProbePoint};
use axebpf_platform::{HostVirt, ReadMemory, host::HOST};

std::arch::global_asm!(
    ".text",
    ".p2align 4",
    ".globl native_start",
    "native_start:",
    // fn counted(calls: &AtomicU64, n: u64) -> u64: counts the call and returns n + 1.
    ".globl native_counted",
    "native_counted:",
    "push rbx",
    "mov rbx, rsi",
    "lock inc qword ptr [rdi]",
    "lea rax, [rbx + 1]",
    "cmp rax, rbx",
    "pop rbx",
    "ret",
    // The same again, for tests that are not to disturb each other.
    ".p2align 4",
    ".globl native_stressed",
    "native_stressed:",
    "push rbx",
    "mov rbx, rsi",
    "lock inc qword ptr [rdi]",
    "lea rax, [rbx + 1]",
    "cmp rax, rbx",
    "pop rbx",
    "ret",
    // fn sum(n: u64) -> u64: n + (n - 1) + ... + 0, by recursion.
    ".p2align 4",
    ".globl native_sum",
    "native_sum:",
    "push rbx",
    "mov rbx, rdi",
    "xor eax, eax",
    "test rdi, rdi",
    "jz 2f",
    "dec rdi",
    "call native_sum",
    "2:",
    "add rax, rbx",
    "pop rbx",
    "ret",
    // fn outer(n: u64) -> u64: ends in a call of inner with n + 1.
    ".p2align 4",
    ".globl native_outer",
    "native_outer:",
    "add rdi, 1",
    "jmp native_inner",
    // fn inner(n: u64) -> u64: returns 2 n.
    ".p2align 4",
    ".globl native_inner",
    "native_inner:",
    "lea rax, [rdi + rdi]",
    "ret",
    // fn call(function: extern fn(u64), argument: u64) -> u64: calls the function and returns the argument.
    ".p2align 4",
    ".globl native_call",
    "native_call:",
    "push rbx",
    "mov rbx, rsi",
    "mov rax, rdi",
    "mov rdi, rsi",
    "call rax",
    "mov rax, rbx",
    "pop rbx",
    "ret",
    // fn load(from: *const u64) -> u64
    ".p2align 4",
    ".globl native_load",
    "native_load:",
    "mov rax, [rdi]",
    "ret",
    // What cannot be probed.
    ".p2align 4",
    ".globl native_refused",
    "native_refused:",
    "pushfq",
    "popfq",
    "lea rax, [rip + native_refused]",
    "jecxz 3f",
    "3:",
    "call 4f",
    "4:",
    "jmp 5f",
    "5:",
    "ret",
    "int3",
    ".byte 0x06",
    "nop",
    "nop",
    "nop",
    ".globl native_end",
    "native_end:",
);

unsafe extern "C" {
    pub(crate) safe fn native_start();
    pub(crate) safe fn native_end();
    pub(crate) safe fn native_counted(calls: &std::sync::atomic::AtomicU64, n: u64) -> u64;
    pub(crate) safe fn native_stressed(calls: &std::sync::atomic::AtomicU64, n: u64) -> u64;
    pub(crate) safe fn native_sum(n: u64) -> u64;
    pub(crate) safe fn native_outer(n: u64) -> u64;
    pub(crate) safe fn native_inner(n: u64) -> u64;
    pub(crate) safe fn native_call(function: extern "C" fn(u64), argument: u64) -> u64;
    pub(crate) fn native_load(from: *const u64) -> u64;
    pub(crate) safe fn native_refused();
}

/// The offsets of the instructions of `counted` and `stressed`, up to the `ret`.
pub(crate) const INSTRUCTIONS: [u64; 7] = [0, 1, 4, 8, 12, 15, 16];

/// Returns the address of a function.
macro_rules! address {
    ($function:expr) => {
        axebpf_platform::HostVirt::new($function as *const () as u64)
    };
}
pub(crate) use address;

/// Returns the bytes of all functions.
pub(crate) fn text() -> Vec<u8> {
    let (start, end) = (address!(native_start), address!(native_end));
    let mut bytes = vec![0; (end.get() - start.get()) as usize];
    HOST.read_memory(start, &mut bytes).unwrap();
    bytes
}

pub(crate) fn at(function: HostVirt, offset: u64) -> Result<ProbePoint, HprobeError> {
    ProbePoint::entry_unaligned(function, offset)
}
