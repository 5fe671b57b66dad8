//! Loads, stores and atomic operations (RFC 9669, section 5).

use super::At;
use crate::check_error::CheckError;
use crate::insn::Insn;
use crate::op::{Code, Op, Reg};

impl At {
    pub(super) fn load(&self) -> Result<Op, CheckError> {
        let Insn {
            opcode,
            dst,
            src,
            off,
            imm,
        } = self.insn;
        let code = match opcode {
            0x61 => Code::Load32,
            0x69 => Code::Load16,
            0x71 => Code::Load8,
            0x79 => Code::Load64,
            0x81 => Code::LoadSx32,
            0x89 => Code::LoadSx16,
            0x91 => Code::LoadSx8,
            _ => return Err(self.unknown()),
        };
        self.reserved(imm.into())?;
        let src = self.register(src)?;
        Ok(Op {
            code,
            dst: self.written(dst)?,
            src,
            off: off.into(),
            imm: 0,
        })
    }

    pub(super) fn store_imm(&self) -> Result<Op, CheckError> {
        let Insn {
            opcode,
            dst,
            src,
            off,
            imm,
        } = self.insn;
        let code = match opcode {
            0x62 => Code::StoreK32,
            0x6a => Code::StoreK16,
            0x72 => Code::StoreK8,
            0x7a => Code::StoreK64,
            _ => return Err(self.unknown()),
        };
        self.reserved(src.into())?;
        let dst = self.register(dst)?;
        Ok(Op {
            code,
            dst,
            src: Reg::R0,
            off: off.into(),
            imm: i64::from(imm) as u64,
        })
    }

    pub(super) fn store(&self) -> Result<Op, CheckError> {
        let Insn {
            opcode,
            dst,
            src,
            off,
            imm,
        } = self.insn;
        let code = match opcode {
            0x63 => Code::StoreX32,
            0x6b => Code::StoreX16,
            0x73 => Code::StoreX8,
            0x7b => Code::StoreX64,
            0xc3 | 0xdb => return self.atomic(),
            _ => return Err(self.unknown()),
        };
        self.reserved(imm.into())?;
        let dst = self.register(dst)?;
        Ok(Op {
            code,
            dst,
            src: self.register(src)?,
            off: off.into(),
            imm: 0,
        })
    }

    fn atomic(&self) -> Result<Op, CheckError> {
        let Insn {
            opcode,
            dst,
            src,
            off,
            imm,
        } = self.insn;
        let row = match imm {
            0x00 => [Code::Add32, Code::Add64],
            0x40 => [Code::Or32, Code::Or64],
            0x50 => [Code::And32, Code::And64],
            0xa0 => [Code::Xor32, Code::Xor64],
            0x01 => [Code::FetchAdd32, Code::FetchAdd64],
            0x41 => [Code::FetchOr32, Code::FetchOr64],
            0x51 => [Code::FetchAnd32, Code::FetchAnd64],
            0xa1 => [Code::FetchXor32, Code::FetchXor64],
            0xe1 => [Code::Xchg32, Code::Xchg64],
            0xf1 => [Code::CmpXchg32, Code::CmpXchg64],
            _ => return Err(self.unknown_variant(imm)),
        };
        // With FETCH the old value goes to the source register, except for CMPXCHG, where it goes to r0.
        let fetches = imm & 1 != 0 && imm != 0xf1;
        let src = if fetches {
            self.written(src)?
        } else {
            self.register(src)?
        };
        let code = row[usize::from(opcode == 0xdb)];
        Ok(Op {
            code,
            dst: self.register(dst)?,
            src,
            off: off.into(),
            imm: 0,
        })
    }
}
