//! The engine of architectures other than aarch64, on the `kprobe` crate.
//!
//! What `kprobe` does is to decide which instructions can be executed out of place, and to say which instruction traps
//! in their stead. It never touches text: it works on copies, and what it would write is written behind the fence of
//! `axebpf-hit`, after the points have been published. Everything that happens in a trap is this module's: `kprobe`'s
//! own handlers lock and allocate, its return probes panic where a function returns that it does not expect, and its
//! breakpoint is live before its registry knows of it.
//!
//! It is [`attach`]ed and detached, and hits are handled, as with the engine of aarch64:
//!
//! - The displaced instruction is executed in a *slot*, with interrupts masked in the processor state of the trap, and
//!   a second breakpoint behind it leads on. So no interrupt finds a program counter in a slot, and no fence completes
//!   while a CPU is in one.
//! - A probe that fires in a hit is counted as missed, and stepped over.
//! - Functions whose return is probed return to a breakpoint, which stays for ever; the calls are in a
//!   [`ReturnTable`](crate::ReturnTable).
//!
//! # What the hypervisor has to do
//!
//! Its handler of breakpoints (`#BP`, `EBREAK`, `BREAK`) calls [`handle_break`], and its handlers of other synchronous
//! exceptions of its own code call [`handle_fault`], before anything else, with interrupts masked. They go on with the
//! registers as they are afterwards, the interrupt mask and the stack pointer included. Nothing is single-stepped. On
//! x86_64 the breakpoint is handled on another stack (`IST`), or below the 128 bytes that the interrupted code may use;
//! its code segment and the others are not changed. All that is reachable from there is closed to probes with
//! [`Blacklist::protect`](crate::Blacklist::protect).
//!
//! # What remains
//!
//! - A place on x86_64 or riscv64 is checked to be the start of an instruction by decoding the function up to it; data
//!   within the function can make that fail.
//! - Instructions that depend on their place are refused, not simulated: calls, jumps, and operands relative to the
//!   program counter. A function that begins with one can be probed behind it only, and not at its return.
//! - With control-flow enforcement on (x86_64 IBT and shadow stacks, RISC-V Zicfilp and Zicfiss), neither the
//!   breakpoint over `ENDBR64` nor the changed return address works.
//! - riscv64 and loongarch64 are built, not run. The fence makes each CPU call
//!   [`synchronize_context`](axebpf_platform::CoreSync::synchronize_context), which has to be `FENCE.I` or `IBAR 0` there.

mod arch;
mod attach;
mod displace;
mod hit;
mod link;
mod registry;
mod returning;
mod step;
mod text;

pub use arch::PtRegs;
pub use hit::{handle_break, handle_fault};
pub use link::{HprobeLink, PointInfo, attach, install, list};
pub use returning::{forget_stack, real_return_address};
