//! Jumps, calls and exit (RFC 9669, section 4.3).

use super::{At, Row};
use crate::check_error::CheckError;
use crate::helper::Helper;
use crate::insn::{self, class};
use crate::op::{Code, Op};

impl At {
    pub(super) fn jump(&self) -> Result<Op, CheckError> {
        let insn = &self.insn;
        let registers = i64::from(insn.dst) | i64::from(insn.src);
        let (off, imm) = (i64::from(insn.off), i64::from(insn.imm));
        match insn.opcode {
            insn::JA => {
                self.reserved(registers | imm)?;
                self.to(Code::Ja, insn.off.into())
            }
            insn::GOTOL => {
                self.reserved(registers | off)?;
                self.to(Code::Ja, insn.imm)
            }
            insn::CALL => self.call(),
            insn::CALLX => self.call_register(),
            insn::EXIT => {
                self.reserved(registers | off | imm)?;
                Ok(Op::new(Code::Exit))
            }
            _ => self.branch(),
        }
    }

    /// Decodes a conditional jump.
    fn branch(&self) -> Result<Op, CheckError> {
        let insn = &self.insn;
        let wide = insn.class() == class::JMP;
        let row = jump_row(insn.opcode).ok_or_else(|| self.unknown())?;
        self.reserved(if self.is_x() {
            insn.imm.into()
        } else {
            insn.src.into()
        })?;
        Ok(Op {
            dst: self.register(insn.dst)?,
            src: self.register(insn.src)?,
            imm: i64::from(insn.imm) as u64,
            ..self.to(
                row[usize::from(wide) * 2 + usize::from(self.is_x())],
                insn.off.into(),
            )?
        })
    }

    /// Builds a jump over `distance` slots. Whether there is such a slot is checked later.
    pub(super) fn to(&self, code: Code, distance: i32) -> Result<Op, CheckError> {
        let target = self.target(distance);
        match i32::try_from(target) {
            Ok(off) if off >= 0 => Ok(Op {
                off,
                ..Op::new(code)
            }),
            _ => Err(CheckError::JumpOutOfRange {
                insn: self.index,
                target,
            }),
        }
    }

    /// Returns the slot that is `distance` slots after the next one.
    fn target(&self, distance: i32) -> i64 {
        self.index as i64 + 1 + i64::from(distance)
    }

    fn call_register(&self) -> Result<Op, CheckError> {
        let insn = &self.insn;
        self.reserved(i64::from(insn.src) | i64::from(insn.off))?;
        // The register is in the destination field. LLVM before 19 has it in the immediate, and the field is 0 then.
        let number = match (insn.dst, u8::try_from(insn.imm)) {
            (dst, Ok(0)) => dst,
            (0, Ok(number)) => number,
            _ => return self.reserved(insn.imm.into()).and(Err(self.unknown())),
        };
        Ok(Op {
            dst: self.register(number)?,
            ..Op::new(Code::CallReg)
        })
    }

    fn call(&self) -> Result<Op, CheckError> {
        let insn = &self.insn;
        self.reserved(i64::from(insn.dst) | i64::from(insn.off))?;
        match insn.src {
            insn::call::HELPER => self.call_helper(),
            insn::call::LOCAL => {
                self.to(Code::CallLocal, insn.imm)
                    .map_err(|_| CheckError::CallOutOfRange {
                        insn: self.index,
                        target: self.target(insn.imm),
                    })
            }
            insn::call::BTF => Err(CheckError::BtfCall {
                insn: self.index,
                id: insn.imm,
            }),
            _ => Err(self.unknown_variant(insn.src.into())),
        }
    }

    fn call_helper(&self) -> Result<Op, CheckError> {
        let id = self.insn.imm;
        let mut known = Helper::ALL.iter().enumerate();
        let (index, helper) = known
            .find(|(_, helper)| i32::from(helper.id()) == id)
            .ok_or_else(|| self.no_helper(id))?;
        let code = if helper.steers() {
            Code::CallSteer
        } else {
            Code::CallHelper
        };
        Ok(Op {
            imm: index as u64,
            ..Op::new(code)
        })
    }

    fn no_helper(&self, id: i32) -> CheckError {
        let insn = self.index;
        match Helper::refusal(id) {
            Some(refused) => CheckError::RefusedHelper {
                insn,
                id,
                name: refused.name,
                reason: refused.reason,
            },
            None => CheckError::UnknownHelper { insn, id },
        }
    }
}

#[rustfmt::skip]
fn jump_row(opcode: u8) -> Option<Row> {
    use Code::*;
    Some(match opcode & 0xf0 {
        0x10 => [Jeq32K, Jeq32X, Jeq64K, Jeq64X],
        0x20 => [Jgt32K, Jgt32X, Jgt64K, Jgt64X],
        0x30 => [Jge32K, Jge32X, Jge64K, Jge64X],
        0x40 => [Jset32K, Jset32X, Jset64K, Jset64X],
        0x50 => [Jne32K, Jne32X, Jne64K, Jne64X],
        0x60 => [Jsgt32K, Jsgt32X, Jsgt64K, Jsgt64X],
        0x70 => [Jsge32K, Jsge32X, Jsge64K, Jsge64X],
        0xa0 => [Jlt32K, Jlt32X, Jlt64K, Jlt64X],
        0xb0 => [Jle32K, Jle32X, Jle64K, Jle64X],
        0xc0 => [Jslt32K, Jslt32X, Jslt64K, Jslt64X],
        0xd0 => [Jsle32K, Jsle32X, Jsle64K, Jsle64X],
        _ => return None,
    })
}
