//! Loads, stores and atomic operations (RFC 9669, section 5).

use super::At;
use crate::check_error::CheckError;
use crate::op::{Code, Op};

impl At {
    pub(super) fn load(&self) -> Result<Op, CheckError> {
        let code = match self.insn.opcode {
            0x61 => Code::Load32,
            0x69 => Code::Load16,
            0x71 => Code::Load8,
            0x79 => Code::Load64,
            0x81 => Code::LoadSx32,
            0x89 => Code::LoadSx16,
            0x91 => Code::LoadSx8,
            _ => return Err(self.unknown()),
        };
        self.reserved(self.insn.imm.into())?;
        let src = self.register(self.insn.src)?;
        Ok(Op {
            dst: self.written(self.insn.dst)?,
            src,
            ..self.access(code)
        })
    }

    pub(super) fn store_imm(&self) -> Result<Op, CheckError> {
        let code = match self.insn.opcode {
            0x62 => Code::StoreK32,
            0x6a => Code::StoreK16,
            0x72 => Code::StoreK8,
            0x7a => Code::StoreK64,
            _ => return Err(self.unknown()),
        };
        self.reserved(self.insn.src.into())?;
        Ok(Op {
            dst: self.register(self.insn.dst)?,
            imm: i64::from(self.insn.imm) as u64,
            ..self.access(code)
        })
    }

    pub(super) fn store(&self) -> Result<Op, CheckError> {
        let code = match self.insn.opcode {
            0x63 => Code::StoreX32,
            0x6b => Code::StoreX16,
            0x73 => Code::StoreX8,
            0x7b => Code::StoreX64,
            0xc3 | 0xdb => return self.atomic(),
            _ => return Err(self.unknown()),
        };
        self.reserved(self.insn.imm.into())?;
        Ok(Op {
            dst: self.register(self.insn.dst)?,
            src: self.register(self.insn.src)?,
            ..self.access(code)
        })
    }

    fn atomic(&self) -> Result<Op, CheckError> {
        let imm = self.insn.imm;
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
            self.written(self.insn.src)?
        } else {
            self.register(self.insn.src)?
        };
        Ok(Op {
            dst: self.register(self.insn.dst)?,
            src,
            ..self.access(row[usize::from(self.insn.opcode == 0xdb)])
        })
    }

    /// Returns the operation with the offset that the instruction has.
    fn access(&self, code: Code) -> Op {
        Op {
            off: self.insn.off.into(),
            ..Op::new(code)
        }
    }
}
