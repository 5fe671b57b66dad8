//! Executing an instruction on a set of registers.

use thiserror::Error;

use crate::arithmetic::{compare, process, truncate};
use crate::insn::Insn;
use crate::operand::{BranchIf, Comparand, LandingPad, Literal, StateField, Width};
use crate::{PtRegs, RegSp};

/// Memory as the simulated instruction sees it.
///
/// Addresses are those that the instruction computes, data is little-endian. The implementation answers for
/// the rights of the interrupted code.
pub trait Memory {
    /// Reads `bytes.len()` bytes (4 or 8) at `addr`.
    ///
    /// # Errors
    ///
    /// [`MemoryFault`] if the interrupted code could not have read there.
    fn read(&mut self, addr: u64, bytes: &mut [u8]) -> Result<(), MemoryFault>;

    /// Writes `bytes` (4, 8 or 16 of them) at `addr`, all or none.
    ///
    /// # Errors
    ///
    /// [`MemoryFault`] if the interrupted code could not have written there.
    fn write(&mut self, addr: u64, bytes: &[u8]) -> Result<(), MemoryFault>;
}

/// Memory that the simulated instruction cannot access.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("cannot access memory at {addr:#x}")]
pub struct MemoryFault {
    /// The address that the instruction used.
    pub addr: u64,
}

/// Whether indirect branches have to find landing pads where the instruction is (`FEAT_BTI`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BranchTargets {
    /// The processor does not have them; `BTYPE` is always zero.
    Unimplemented,
    /// The page of the instruction is not guarded.
    Unguarded,
    /// The page of the instruction is guarded.
    Guarded,
}

/// Why an instruction was not executed. Neither registers nor memory have changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SimulateError {
    /// It faults on memory.
    #[error(transparent)]
    Memory(#[from] MemoryFault),
    /// It accesses memory through a stack pointer that is not a multiple of 16, which faults where that is
    /// checked.
    #[error("the stack pointer is {sp:#x}, which is no multiple of 16")]
    StackAlignment {
        /// The stack pointer.
        sp: u64,
    },
    /// It is no landing pad for the indirect branch that came here, and its page is guarded.
    #[error("no landing pad for an indirect branch of type {btype}")]
    BranchTarget {
        /// `PSTATE.BTYPE`, 1 to 3.
        btype: u8,
    },
    /// It reads a register that EL0 may not read, at EL0.
    #[error("the register cannot be read at EL0")]
    Privileged,
}

/// The link register.
const LR: usize = 30;

/// Executes `insn`, which is at `regs.pc`, on `regs` and `memory`.
///
/// Afterwards `regs.pc` is the address of the next instruction, and `BTYPE` is what the instruction leaves
/// there. `PSTATE.SS` is left alone.
///
/// # Errors
///
/// [`SimulateError`] if the instruction would have taken an exception. Nothing has changed then.
///
/// # Examples
///
/// ```
/// use axebpf_a64::{BranchTargets, Execution, Memory, MemoryFault, PtRegs, classify, simulate};
///
/// /// Memory that is nowhere.
/// struct Nowhere;
///
/// impl Memory for Nowhere {
///     fn read(&mut self, addr: u64, _: &mut [u8]) -> Result<(), MemoryFault> {
///         Err(MemoryFault { addr })
///     }
///     fn write(&mut self, addr: u64, _: &[u8]) -> Result<(), MemoryFault> {
///         Err(MemoryFault { addr })
///     }
/// }
///
/// let mut regs = PtRegs { pc: 0x8000_0000, ..PtRegs::default() };
/// // bl .+8
/// let Ok(Execution::Simulate(insn)) = classify(0x9400_0002) else { unreachable!() };
/// simulate(insn, &mut regs, &mut Nowhere, BranchTargets::Unimplemented)?;
/// assert_eq!(regs.pc, 0x8000_0008);
/// assert_eq!(regs.return_address(), 0x8000_0004);
/// # Ok::<(), axebpf_a64::SimulateError>(())
/// ```
pub fn simulate(
    insn: Insn,
    regs: &mut PtRegs,
    memory: &mut impl Memory,
    targets: BranchTargets,
) -> Result<(), SimulateError> {
    land(insn.landing_pad(), regs, targets)?;
    let next = regs.pc.wrapping_add(4);
    let target = branch_target(insn, regs);
    if target.is_none() {
        compute(insn, regs, memory)?;
    }
    if matches!(insn, Insn::BranchLink { .. } | Insn::BranchLinkReg { .. }) {
        regs.regs[LR] = next;
    }
    regs.pc = target.unwrap_or(next);
    regs.set_btype(btype_after(insn, targets));
    Ok(())
}

/// Checks that an instruction with this `pad` may follow the branch that came here.
pub(crate) fn land(
    pad: LandingPad,
    regs: &PtRegs,
    targets: BranchTargets,
) -> Result<(), SimulateError> {
    let btype = regs.btype();
    if pad.accepts(btype) || targets != BranchTargets::Guarded {
        Ok(())
    } else {
        Err(SimulateError::BranchTarget { btype })
    }
}

/// Returns `BTYPE` after `insn`.
fn btype_after(insn: Insn, targets: BranchTargets) -> u8 {
    match (insn, targets) {
        (_, BranchTargets::Unimplemented) => 0,
        (Insn::BranchLinkReg { .. }, _) => 2,
        // A jump through X16 or X17 is what a linker's veneer does, and may go where calls go.
        (Insn::BranchReg { target }, BranchTargets::Guarded)
            if !matches!(target.index(), 16 | 17) =>
        {
            3
        }
        (Insn::BranchReg { .. }, _) => 1,
        _ => 0,
    }
}

/// Returns where `insn` branches to, or `None` if it does not branch.
fn branch_target(insn: Insn, regs: &PtRegs) -> Option<u64> {
    let taken = |offset: i64| Some(regs.pc.wrapping_add_signed(offset));
    match insn {
        Insn::Branch { offset } | Insn::BranchLink { offset } => taken(offset),
        Insn::BranchCond { cond, offset } if cond.holds(regs.flags()) => taken(offset),
        Insn::CompareBranch {
            reg,
            width,
            when,
            offset,
        } if fits(truncate(regs.get(reg), width), when) => taken(offset),
        Insn::CompareTwo {
            test,
            left,
            right,
            size,
            offset,
        } => {
            let right = match right {
                Comparand::Reg(reg) => regs.get(reg),
                Comparand::Immediate(value) => value.into(),
            };
            let holds = compare(test, regs.get(left), right, size);
            holds.then_some(offset).and_then(taken)
        }
        Insn::TestBranch {
            reg,
            bit,
            when,
            offset,
        } if fits(regs.get(reg) >> bit & 1, when) => taken(offset),
        Insn::BranchReg { target } | Insn::BranchLinkReg { target } | Insn::Ret { target } => {
            Some(regs.get(target))
        }
        _ => None,
    }
}

/// Tells whether `value` is such that a branch `when` branches.
fn fits(value: u64, when: BranchIf) -> bool {
    match when {
        BranchIf::Zero => value == 0,
        BranchIf::NonZero => value != 0,
    }
}

/// Does what `insn` does to registers and memory, apart from branching.
fn compute(insn: Insn, regs: &mut PtRegs, memory: &mut impl Memory) -> Result<(), SimulateError> {
    match insn {
        Insn::Adr { dest, offset } => regs.set(dest, regs.pc.wrapping_add_signed(offset)),
        Insn::Adrp { dest, offset } => {
            regs.set(dest, (regs.pc & !0xfff).wrapping_add_signed(offset));
        }
        Insn::Move { .. }
        | Insn::MoveWide { .. }
        | Insn::AddSub { .. }
        | Insn::AddSubFlags { .. } => process(insn, regs),
        Insn::ReadState { dest, field } => {
            if regs.pstate & StateField::CurrentEl.mask() == 0 && !field.is_open() {
                return Err(SimulateError::Privileged);
            }
            regs.set(dest, regs.pstate & field.mask());
        }
        Insn::WriteFlags { value } => {
            let mask = StateField::Nzcv.mask();
            regs.pstate = regs.pstate & !mask | regs.get(value) & mask;
        }
        Insn::LoadLiteral {
            literal,
            dest,
            offset,
        } => {
            let value = load(memory, regs.pc.wrapping_add_signed(offset), literal)?;
            regs.set(dest, value);
        }
        Insn::StorePre { .. } | Insn::StorePairPre { .. } => store(insn, regs, memory)?,
        // What only branches, and what does nothing.
        _ => {}
    }
    Ok(())
}

/// Loads `literal` from `addr`.
fn load(memory: &mut impl Memory, addr: u64, literal: Literal) -> Result<u64, MemoryFault> {
    let mut bytes = [0; 8];
    let len = match literal {
        Literal::Doubleword => 8,
        Literal::Word | Literal::SignedWord => 4,
    };
    memory.read(addr, &mut bytes[..len])?;
    let value = u64::from_le_bytes(bytes);
    Ok(match literal {
        Literal::SignedWord => i64::from(value as i32).cast_unsigned(),
        Literal::Word | Literal::Doubleword => value,
    })
}

/// Executes a store with pre-indexing.
fn store(insn: Insn, regs: &mut PtRegs, memory: &mut impl Memory) -> Result<(), SimulateError> {
    let (first, second, width, base, offset) = match insn {
        Insn::StorePre {
            value,
            width,
            base,
            offset,
        } => (value, None, width, base, offset),
        Insn::StorePairPre {
            first,
            second,
            width,
            base,
            offset,
        } => (first, Some(second), width, base, offset),
        _ => return Ok(()),
    };
    let addr = pre_indexed(regs, base, offset)?;
    // Put together in registers: most hits are at such a store, and a copy of a variable length is a call.
    let size = match width {
        Width::W => 4,
        Width::X => 8,
    };
    let low = u128::from(truncate(regs.get(first), width));
    let high = second.map_or(0, |reg| truncate(regs.get(reg), width));
    let bytes = (low | u128::from(high) << (8 * size)).to_le_bytes();
    let len = if second.is_some() { 2 * size } else { size };
    memory.write(addr, &bytes[..len])?;
    regs.set_sp(base, addr);
    Ok(())
}

/// Returns the address of an access that adds `offset` to `base` first.
fn pre_indexed(regs: &PtRegs, base: RegSp, offset: i64) -> Result<u64, SimulateError> {
    let value = regs.get_sp(base);
    // The check is on the stack pointer before the offset is added.
    if base.is_sp() && !value.is_multiple_of(16) {
        return Err(SimulateError::StackAlignment { sp: value });
    }
    Ok(value.wrapping_add_signed(offset))
}
