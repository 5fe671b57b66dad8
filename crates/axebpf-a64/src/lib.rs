//! A64 instructions that a probe displaces: may they be, and what do they do?
//!
//! A probe puts a trapping instruction in the place of another one. That other one must still be executed,
//! exactly once and with exactly its effect. [`classify`] says for each of the 2³² instruction words how:
//! out of line, by [`simulate`], or not at all.
//!
//! | word | class |
//! |---|---|
//! | `B`, `BL`, `B.cond`, `BC.cond`, `CBZ`, `CBNZ`, `TBZ`, `TBNZ`, `CB<cc>`, `BR`, `BLR`, `RET` | simulated |
//! | `ADR`, `ADRP`; `LDR`, `LDRSW` and `PRFM` of a literal | simulated |
//! | `NOP`, `YIELD`, `DGH`, `BTI` | simulated |
//! | `ADD` and `SUB` of an immediate with and without flags, `MOVZ`, `MOVN`, `MOVK`, `MOV` of a register | simulated |
//! | `STR` and `STP` with pre-indexing | simulated |
//! | `MRS` of `NZCV`, `DAIF`, `CurrentEL`, `SPSel`, `PAN` and the other parts of the processor state | simulated |
//! | `MSR NZCV` | simulated |
//! | other data processing, with `FEAT_PAuth`, `FEAT_FlagM`, `FEAT_FlagM2`, `FEAT_CRC32` | out of line |
//! | other loads and stores, with `FEAT_LSE`, `FEAT_LOR`, `FEAT_LRCPC2` and `LDRAA`, `LDRAB` | out of line |
//! | `PACIASP` and the other hints of pointer authentication, `WFE`, `WFI`, `SEV`, `CSDB`, barriers | out of line |
//! | vector and floating-point instructions of Armv8.0, with scalar FP16, FHM, FRINTTS, AES and SHA | out of line |
//! | `MRS` of what identifies and controls the processor, of `TPIDR_*`, `PAR_EL1`, `ICC_*`, `ICH_*` | out of line |
//! | `MSR` of `TPIDR_EL0`, `TPIDR_EL1`, `SP_EL0`, `FPCR`, `PAR_EL1`, `ICC_*`, `ICH_*`, `VTTBR_EL2`, `*_EL12` | out of line |
//! | `MRS` and `MSR` of counters and timers | out of line |
//! | everything else | refused, with a [`Refusal`] to tell the user |
//!
//! `PACIASP` and `PACIBSP`, with which functions begin, need no copy where the host can sign in a hit:
//! [`sign_return`].
//!
//! Among what is refused: exclusives (and, by [`exclusive_sequence`], every place inside a sequence of them),
//! what generates an exception or returns from one, branches with authentication, writes of `DAIF`, `SPSel` and
//! `PAN`, all accesses to `ELR`, `SPSR`, `ESR`, `FAR` and `HPFAR`, writes of what the trap path depends on, the
//! cache and TLB instructions, `CPY*` and `SET*`, SVE, SME and MTE, literals in vector registers, `UDF`, and
//! what is unallocated.
//!
//! # What the host has to do
//!
//! Out of line is what does the same at another address, after a trap and before the next one, if the host keeps
//! what the interrupted code can see:
//!
//! - the general registers and the flags, through the trap frame, and `PAR_EL1`;
//! - the vector and floating-point registers, `FPCR` and `FPSR`, if anything in a hit uses them. Code for a
//!   `softfloat` target does not.
//! - `ESR`, `FAR` and `HPFAR_EL2` of an exit cannot be kept: a trap at EL2 replaces `ELR`, `SPSR` and `ESR`, and
//!   leaves `FAR` and `HPFAR` unknown (ARM ARM, `AArch64.ReportException`). So a host that reads them late must not
//!   be probed before it has: refusing the instruction that reads is not enough.
//!
//! Interrupts have to be masked until the copy has been executed. The simulator reads `DAIF` and the like from
//! [`PtRegs::pstate`], which is that of the interrupted code, and so is right where a copy would not be.
//!
//! A branch to an address with a tag leaves the tag in [`PtRegs::pc`]. The exception return removes it, as the
//! branch would have done.
//!
//! # Tests
//!
//! `tests/a64-diff` executes random instructions of each class on a processor (or `qemu-aarch64`): simulated
//! ones must leave what the simulator leaves, others must do the same at two addresses. It asks LLVM's
//! disassembler whether what is accepted exists. `BC.cond`, `CB<cc>`, and what needs privileges, have
//! hand-written vectors.
//!
//! # Examples
//!
//! ```
//! use axebpf_a64::{Execution, classify};
//!
//! fn explain(word: u32) -> String {
//!     match classify(word) {
//!         Ok(Execution::OutOfLine) => "executed out of line".into(),
//!         Ok(Execution::Simulate(insn)) => format!("simulated as {insn:?}"),
//!         Err(why) => format!("cannot be probed: {why}"),
//!     }
//! }
//!
//! assert_eq!(explain(0xd69f_03e0), "cannot be probed: it returns from an exception");
//! assert_eq!(explain(0x1400_0001), "simulated as Branch { offset: 4 }");
//! ```
#![no_std]
#![forbid(unsafe_code)]

mod arithmetic;
mod branch;
mod class;
mod effect;
mod floating_point;
mod immediate;
mod insn;
mod memory_access;
mod operand;
mod register;
mod regs;
mod sequence;
mod signing;
mod simulate;
mod system;
mod vector;
mod vector_access;
mod vector_table;
mod word;

pub use class::{Execution, Refusal, classify};
pub use insn::Insn;
pub use operand::{
    AddSub, BranchIf, Comparand, Comparison, LandingPad, Literal, MoveWide, Size, StateField, Width,
};
pub use regs::{Cond, Flags, PtRegs, Reg, RegSp};
pub use sequence::{ExclusiveSequence, exclusive_sequence};
pub use signing::{SigningKey, sign_return};
pub use simulate::{BranchTargets, Memory, MemoryFault, SimulateError, simulate};
