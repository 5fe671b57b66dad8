//! What can be done with an instruction that a probe displaces.

use thiserror::Error;

use crate::Insn;
use crate::word::Word;
use crate::{branch, immediate, memory_access, register, vector};

/// How a displaced instruction is executed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Execution {
    /// A copy of it elsewhere does the same: it neither reads nor writes the program counter, and it needs
    /// nothing that a trap destroys.
    OutOfLine,
    /// It depends on its address, or simulating it is simpler.
    Simulate(Insn),
}

/// Why an instruction cannot be displaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Refusal {
    /// It is unallocated, or newer than this decoder, or of a part of the instruction set that is not
    /// decoded yet.
    #[error("it is no instruction that is known here")]
    Unknown,
    /// Its effect is CONSTRAINED UNPREDICTABLE, such as a load of a pair into one register.
    #[error("its effect is unpredictable")]
    Unpredictable,
    /// It generates an exception: `SVC`, `HVC`, `SMC`, `BRK`, `HLT`, `DCPS`, `UDF`.
    #[error("it generates an exception")]
    Exception,
    /// It returns from an exception: `ERET` and its kind, `DRPS`.
    #[error("it returns from an exception")]
    ExceptionReturn,
    /// It is a load or store exclusive; the trap clears the monitor, so the sequence could never succeed.
    #[error("it is part of an exclusive sequence, which no probe can interrupt")]
    Exclusive,
    /// It is one of `CPY*` and `SET*`, which copy and fill memory in three instructions that belong together
    /// (`FEAT_MOPS`).
    #[error("it is part of a sequence that copies or fills memory")]
    MemoryOperation,
    /// It branches with pointer authentication.
    #[error("it branches with pointer authentication")]
    AuthenticatedBranch,
    /// It writes the processor state, on which the probe itself depends while it displaces the instruction.
    #[error("it writes the processor state")]
    ProcessorState,
    /// It accesses a system register that is not known to be the same during a hit.
    #[error("it accesses a system register that is not known here")]
    SystemRegister,
    /// It accesses `ELR`, `SPSR`, `ESR`, `FAR` or `HPFAR`, which the trap of the probe itself overwrites.
    #[error("it accesses a register that the trap of a probe overwrites")]
    TrapRegister,
    /// It writes a register on which the trap path depends, such as `VBAR_EL2`, `SP_EL1`, `SCTLR_EL2`, `TTBR0_EL2`,
    /// `TPIDR_EL2`.
    #[error("it writes a register on which taking a trap depends")]
    TrapControl,
    /// It is a cache, TLB or address-translation operation, or another system instruction.
    #[error("it is a system instruction")]
    SystemInstruction,
    /// It is a vector or floating-point instruction of an extension that is not decoded, such as SVE and SME.
    #[error("it is a vector instruction that is not known here")]
    Vector,
    /// It loads a vector register from near the program counter.
    #[error("it loads a vector register from near itself")]
    VectorLiteral,
}

/// What can be done with one instruction.
pub(crate) type Verdict = Result<Execution, Refusal>;

/// Says how `word` can be executed when a probe displaces it.
///
/// What is not known to be right out of line is refused. Encodings are those of ARM ARM C4.
///
/// # Errors
///
/// [`Refusal`] says why the instruction cannot be displaced.
///
/// # Examples
///
/// ```
/// use axebpf_a64::{Execution, Refusal, classify};
///
/// // add x0, x1, x2
/// assert_eq!(classify(0x8b02_0020), Ok(Execution::OutOfLine));
/// // nop
/// assert!(matches!(classify(0xd503_201f), Ok(Execution::Simulate(_))));
/// // ldxr x0, [x1]
/// assert_eq!(classify(0xc85f_7c20), Err(Refusal::Exclusive));
/// ```
pub fn classify(word: u32) -> Result<Execution, Refusal> {
    let word = Word(word);
    match word.bits(28, 25) {
        0b1000 | 0b1001 => immediate::classify(word),
        0b1010 | 0b1011 => branch::classify(word),
        0b0100 | 0b0110 | 0b1100 | 0b1110 => memory_access::classify(word),
        0b0101 | 0b1101 => register::classify(word),
        0b0111 | 0b1111 => vector::classify(word),
        0b0010 => Err(Refusal::Vector),
        // `UDF`; the rest of this group is unallocated or SME.
        0b0000 if word.is(0xffff_0000, 0) => Err(Refusal::Exception),
        _ => Err(Refusal::Unknown),
    }
}

/// Takes an encoding as independent of its place if it is `allocated`.
pub(crate) const fn out_of_line_if(allocated: bool) -> Verdict {
    if allocated {
        Ok(Execution::OutOfLine)
    } else {
        Err(Refusal::Unknown)
    }
}
