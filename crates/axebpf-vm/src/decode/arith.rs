//! Arithmetic (RFC 9669, section 4.1 and 4.2).

use super::{At, Row};
use crate::check_error::CheckError;
use crate::insn::{Insn, class};
use crate::op::{Code, Op, Reg};

impl At {
    pub(super) fn alu(&self) -> Result<Op, CheckError> {
        let Insn {
            opcode,
            off,
            imm,
            src,
            ..
        } = self.insn;
        let wide = self.insn.class() == class::ALU64;
        let dst = self.written(self.insn.dst)?;
        match opcode & 0xf0 {
            0x80 => return self.negate(dst),
            0xd0 => return self.byte_order(dst),
            _ => {}
        }
        let code = if off == 0 {
            let row = alu_row(opcode).ok_or_else(|| self.unknown())?;
            row[usize::from(wide) * 2 + usize::from(self.is_x())]
        } else {
            self.alu_variant()?
        };
        if self.is_x() {
            self.reserved(imm.into())?;
        } else {
            self.reserved(src.into())?;
        }
        // A 32-bit operation takes the low half of the immediate, so that extending the sign is right for both.
        Ok(Op {
            dst,
            src: self.register(src)?,
            imm: i64::from(imm) as u64,
            ..Op::new(code)
        })
    }

    /// Decodes the operations whose offset field is a modifier: signed division and sign-extending moves.
    fn alu_variant(&self) -> Result<Code, CheckError> {
        let Insn { opcode, off, .. } = self.insn;
        let wide = self.insn.class() == class::ALU64;
        let form = usize::from(wide) * 2 + usize::from(self.is_x());
        match (opcode & 0xf0, off) {
            (0x30, 1) => Ok([Code::Sdiv32K, Code::Sdiv32X, Code::Sdiv64K, Code::Sdiv64X][form]),
            (0x90, 1) => Ok([Code::Smod32K, Code::Smod32X, Code::Smod64K, Code::Smod64X][form]),
            (0xb0, 8) if form == 1 => Ok(Code::Movsx8To32),
            (0xb0, 16) if form == 1 => Ok(Code::Movsx16To32),
            (0xb0, 8) if form == 3 => Ok(Code::Movsx8To64),
            (0xb0, 16) if form == 3 => Ok(Code::Movsx16To64),
            (0xb0, 32) if form == 3 => Ok(Code::Movsx32To64),
            (0x30 | 0x90 | 0xb0, _) => Err(self.unknown_variant(off.into())),
            _ if alu_row(opcode).is_none() => Err(self.unknown()),
            _ => Err(self
                .reserved(off.into())
                .err()
                .unwrap_or_else(|| self.unknown())),
        }
    }

    fn negate(&self, dst: Reg) -> Result<Op, CheckError> {
        let Insn { src, off, imm, .. } = self.insn;
        if self.is_x() {
            return Err(self.unknown());
        }
        self.reserved(i64::from(src) | i64::from(off) | i64::from(imm))?;
        let code = if self.insn.class() == class::ALU64 {
            Code::Neg64
        } else {
            Code::Neg32
        };
        Ok(Op {
            dst,
            ..Op::new(code)
        })
    }

    fn byte_order(&self, dst: Reg) -> Result<Op, CheckError> {
        let Insn { src, off, imm, .. } = self.insn;
        let wide = self.insn.class() == class::ALU64;
        let row = match (wide, self.is_x()) {
            (false, false) => [Code::Le16, Code::Le32, Code::Le64],
            (false, true) => [Code::Be16, Code::Be32, Code::Be64],
            (true, false) => [Code::Swap16, Code::Swap32, Code::Swap64],
            (true, true) => return Err(self.unknown()),
        };
        self.reserved(i64::from(src) | i64::from(off))?;
        let code = match imm {
            16 => row[0],
            32 => row[1],
            64 => row[2],
            _ => return Err(self.unknown_variant(imm)),
        };
        Ok(Op {
            dst,
            ..Op::new(code)
        })
    }
}

#[rustfmt::skip]
fn alu_row(opcode: u8) -> Option<Row> {
    use Code::*;
    Some(match opcode & 0xf0 {
        0x00 => [Add32K, Add32X, Add64K, Add64X],
        0x10 => [Sub32K, Sub32X, Sub64K, Sub64X],
        0x20 => [Mul32K, Mul32X, Mul64K, Mul64X],
        0x30 => [Div32K, Div32X, Div64K, Div64X],
        0x40 => [Or32K, Or32X, Or64K, Or64X],
        0x50 => [And32K, And32X, And64K, And64X],
        0x60 => [Lsh32K, Lsh32X, Lsh64K, Lsh64X],
        0x70 => [Rsh32K, Rsh32X, Rsh64K, Rsh64X],
        0x90 => [Mod32K, Mod32X, Mod64K, Mod64X],
        0xa0 => [Xor32K, Xor32X, Xor64K, Xor64X],
        0xb0 => [Mov32K, Mov32X, Mov64K, Mov64X],
        0xc0 => [Arsh32K, Arsh32X, Arsh64K, Arsh64X],
        _ => return None,
    })
}
