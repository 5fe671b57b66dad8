//! What differs between the architectures.

#[cfg(target_arch = "loongarch64")]
mod loongarch64;
#[cfg(target_arch = "riscv64")]
mod riscv64;
#[cfg(target_arch = "x86_64")]
mod x86_64;

#[cfg(target_arch = "loongarch64")]
pub use loongarch64::PtRegs;
#[cfg(target_arch = "loongarch64")]
pub(super) use loongarch64::{ALIGN, BREAKPOINT, MAX_INSN, check, trap_len, write_return};
#[cfg(target_arch = "riscv64")]
pub use riscv64::PtRegs;
#[cfg(target_arch = "riscv64")]
pub(super) use riscv64::{ALIGN, BREAKPOINT, MAX_INSN, check, trap_len, write_return};
#[cfg(target_arch = "x86_64")]
pub use x86_64::PtRegs;
#[cfg(target_arch = "x86_64")]
pub(super) use x86_64::{ALIGN, BREAKPOINT, MAX_INSN, check, trap_len, write_return};

// `kprobe` has the same layout, from the same source.
const _: () = assert!(size_of::<PtRegs>() == size_of::<kprobe::PtRegs>());
