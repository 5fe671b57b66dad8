//! Jumps, calls and exit (RFC 9669, section 4.3).

use super::{At, Row};
use crate::check_error::CheckError;
use crate::helper::Helper;
use crate::insn::{self, Insn, class};
use crate::op::{Code, Op, Reg};

impl At {
    pub(super) fn jump(&self) -> Result<Op, CheckError> {
        let Insn {
            opcode,
            dst,
            src,
            off,
            imm,
        } = self.insn;
        match opcode {
            insn::JA => {
                self.reserved(i64::from(dst) | i64::from(src) | i64::from(imm))?;
                return self.to(Code::Ja, off.into());
            }
            insn::GOTOL => {
                self.reserved(i64::from(dst) | i64::from(src) | i64::from(off))?;
                return self.to(Code::Ja, imm);
            }
            insn::CALL | insn::CALLX => return self.call(),
            insn::EXIT => {
                self.reserved(i64::from(dst) | i64::from(src) | i64::from(off) | i64::from(imm))?;
                return Ok(Op {
                    code: Code::Exit,
                    dst: Reg::R0,
                    src: Reg::R0,
                    off: 0,
                    imm: 0,
                });
            }
            _ => {}
        }
        let wide = self.insn.class() == class::JMP;
        let row = jump_row(opcode).ok_or_else(|| self.unknown())?;
        let code = row[usize::from(wide) * 2 + usize::from(self.is_x())];
        self.reserved(if self.is_x() { imm.into() } else { src.into() })?;
        let registers = (self.register(dst)?, self.register(src)?);
        let op = self.to(code, off.into())?;
        Ok(Op {
            dst: registers.0,
            src: registers.1,
            imm: i64::from(imm) as u64,
            ..op
        })
    }

    /// Builds a jump over `distance` slots. Whether there is such a slot is checked later.
    pub(super) fn to(&self, code: Code, distance: i32) -> Result<Op, CheckError> {
        let target = self.index as i64 + 1 + i64::from(distance);
        match i32::try_from(target) {
            Ok(off) if off >= 0 => Ok(Op {
                code,
                dst: Reg::R0,
                src: Reg::R0,
                off,
                imm: 0,
            }),
            _ => Err(CheckError::JumpOutOfRange {
                insn: self.index,
                target,
            }),
        }
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

    fn call(&self) -> Result<Op, CheckError> {
        let Insn {
            opcode,
            dst,
            src,
            off,
            imm,
        } = self.insn;
        if opcode == insn::CALLX {
            self.reserved(i64::from(src) | i64::from(off))?;
            // The register is in the destination field. LLVM before 19 has it in the immediate, and the field is 0 then.
            let number = match (dst, u8::try_from(imm)) {
                (dst, Ok(0)) => dst,
                (0, Ok(number)) => number,
                _ => return self.reserved(i64::from(imm)).and(Err(self.unknown())),
            };
            let dst = self.register(number)?;
            return Ok(Op {
                code: Code::CallReg,
                dst,
                src: Reg::R0,
                off: 0,
                imm: 0,
            });
        }
        self.reserved(i64::from(dst) | i64::from(off))?;
        match src {
            insn::call::HELPER => {
                let helper = Helper::ALL
                    .iter()
                    .position(|helper| i32::from(helper.id()) == imm);
                let unknown = || self.no_helper(imm);
                let imm = helper.ok_or_else(unknown)?;
                let steers = Helper::ALL.get(imm).is_some_and(|helper| helper.steers());
                let code = if steers {
                    Code::CallSteer
                } else {
                    Code::CallHelper
                };
                let imm = imm as u64;
                Ok(Op {
                    code,
                    dst: Reg::R0,
                    src: Reg::R0,
                    off: 0,
                    imm,
                })
            }
            insn::call::LOCAL => self.to(Code::CallLocal, imm).map_err(|_| {
                let target = self.index as i64 + 1 + i64::from(imm);
                CheckError::CallOutOfRange {
                    insn: self.index,
                    target,
                }
            }),
            insn::call::BTF => Err(CheckError::BtfCall {
                insn: self.index,
                id: imm,
            }),
            _ => Err(self.unknown_variant(src.into())),
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
