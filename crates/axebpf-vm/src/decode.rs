//! From instructions to operations, one by one (RFC 9669, sections 4 and 5).
//!
//! Whatever the instruction set does not define is refused here; how the instructions hang together is
//! [`check`](crate::check)'s business.

use alloc::vec::Vec;

use crate::check_error::CheckError;
use crate::helper::Helper;
use crate::insn::{self, INSN_BYTES, Insn, class};
use crate::op::{Code, Op, Reg};

/// The largest number of instruction slots in a program.
pub const MAX_INSNS: usize = 65_536;

/// The high bits of a function's address in a register; no address on any machine looks like this.
pub(crate) const CODE_TAG: u64 = 0x6663_0000_0000_0000;

/// What the maps of a program look like to its instructions.
pub(crate) trait Bindings {
    /// Returns the handle of map `index`.
    fn handle(&self, index: usize) -> Option<u64>;

    /// Returns the address of byte `offset` of the first value of map `index`, which must be global data.
    fn value(&self, index: usize, offset: u32) -> Option<u64>;
}

/// Splits little-endian bytes into instructions.
pub(crate) fn split(bytes: &[u8]) -> Result<Vec<Insn>, CheckError> {
    let (slots, rest) = bytes.as_chunks::<INSN_BYTES>();
    if !rest.is_empty() {
        return Err(CheckError::Ragged { len: bytes.len() });
    }
    check_length(slots.len())?;
    Ok(slots.iter().map(|slot| Insn::from_bytes(*slot)).collect())
}

/// Refuses programs that are empty or longer than [`MAX_INSNS`].
fn check_length(len: usize) -> Result<(), CheckError> {
    match len {
        0 => Err(CheckError::Empty),
        1..=MAX_INSNS => Ok(()),
        _ => Err(CheckError::TooLong {
            len,
            limit: MAX_INSNS,
        }),
    }
}

/// Decodes a whole program; the operation at each index is that of the slot at the same index.
pub(crate) fn decode(insns: &[Insn], bindings: &dyn Bindings) -> Result<Vec<Op>, CheckError> {
    check_length(insns.len())?;
    let mut ops = Vec::with_capacity(insns.len());
    while let Some(insn) = insns.get(ops.len()) {
        let at = At {
            insn: *insn,
            index: ops.len(),
        };
        if insn.is_wide() {
            let high = insns.get(at.index + 1).copied();
            ops.push(at.wide(high, bindings)?);
            ops.push(Op::HOLE);
        } else {
            ops.push(at.decode()?);
        }
    }
    Ok(ops)
}

/// An instruction and where it is.
struct At {
    insn: Insn,
    index: usize,
}

/// A row of operations: 32-bit immediate, 32-bit register, 64-bit immediate, 64-bit register.
type Row = [Code; 4];

impl At {
    fn decode(&self) -> Result<Op, CheckError> {
        match self.insn.class() {
            class::ALU | class::ALU64 => self.alu(),
            class::JMP | class::JMP32 => self.jump(),
            class::LDX => self.load(),
            class::ST => self.store_imm(),
            class::STX => self.store(),
            _ if matches!(self.insn.opcode & 0xe0, 0x20 | 0x40) => {
                Err(CheckError::LegacyPacketAccess {
                    insn: self.index,
                    opcode: self.insn.opcode,
                })
            }
            _ => Err(self.unknown()),
        }
    }

    fn unknown(&self) -> CheckError {
        CheckError::UnknownOpcode {
            insn: self.index,
            opcode: self.insn.opcode,
        }
    }

    fn unknown_variant(&self, value: i32) -> CheckError {
        CheckError::UnknownVariant {
            insn: self.index,
            opcode: self.insn.opcode,
            value,
        }
    }

    /// Refuses the instruction unless a field that it does not use is zero.
    fn reserved(&self, field: i64) -> Result<(), CheckError> {
        match field {
            0 => Ok(()),
            _ => Err(CheckError::ReservedField {
                insn: self.index,
                opcode: self.insn.opcode,
            }),
        }
    }

    fn register(&self, number: u8) -> Result<Reg, CheckError> {
        Reg::new(number).ok_or(CheckError::UnknownRegister {
            insn: self.index,
            register: number,
        })
    }

    /// Returns a register that the instruction writes.
    fn written(&self, number: u8) -> Result<Reg, CheckError> {
        match self.register(number)? {
            Reg::R10 => Err(CheckError::FramePointerWrite { insn: self.index }),
            register => Ok(register),
        }
    }

    fn is_x(&self) -> bool {
        self.insn.opcode & 0x08 != 0
    }

    fn alu(&self) -> Result<Op, CheckError> {
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
            code,
            dst,
            src: self.register(src)?,
            off: 0,
            imm: i64::from(imm) as u64,
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
            code,
            dst,
            src: dst,
            off: 0,
            imm: 0,
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
            code,
            dst,
            src: dst,
            off: 0,
            imm: 0,
        })
    }

    fn jump(&self) -> Result<Op, CheckError> {
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
    fn to(&self, code: Code, distance: i32) -> Result<Op, CheckError> {
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

    fn call(&self) -> Result<Op, CheckError> {
        let Insn {
            opcode,
            dst,
            src,
            off,
            imm,
        } = self.insn;
        if opcode == insn::CALLX {
            self.reserved(i64::from(src) | i64::from(off) | i64::from(imm))?;
            let dst = self.register(dst)?;
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
                let unknown = CheckError::UnknownHelper {
                    insn: self.index,
                    id: imm,
                };
                let imm = helper.ok_or(unknown)? as u64;
                Ok(Op {
                    code: Code::CallHelper,
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

    fn load(&self) -> Result<Op, CheckError> {
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

    fn store_imm(&self) -> Result<Op, CheckError> {
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

    fn store(&self) -> Result<Op, CheckError> {
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

    fn wide(&self, high: Option<Insn>, bindings: &dyn Bindings) -> Result<Op, CheckError> {
        let Insn {
            dst, src, off, imm, ..
        } = self.insn;
        let insn = self.index;
        let high = high.ok_or(CheckError::SplitImmediate { insn })?;
        if high.opcode != 0 {
            return Err(CheckError::SplitImmediate { insn });
        }
        self.reserved(i64::from(off) | i64::from(high.dst | high.src) | i64::from(high.off))?;
        let dst = self.written(dst)?;
        let map = usize::try_from(imm).ok();
        let imm = match src {
            insn::lddw::IMM64 => u64::from(imm as u32) | u64::from(high.imm as u32) << 32,
            insn::lddw::CODE => {
                let op = self.to(Code::Function, imm)?;
                return Ok(Op {
                    dst,
                    imm: CODE_TAG | op.target() as u64,
                    ..op
                });
            }
            insn::lddw::MAP_INDEX => map
                .and_then(|index| bindings.handle(index))
                .ok_or(CheckError::UnknownMap { insn, index: imm })?,
            insn::lddw::MAP_INDEX_VALUE => {
                let offset = high.imm as u32;
                map.and_then(|index| bindings.value(index, offset)).ok_or(
                    CheckError::OutsideMapValue {
                        insn,
                        index: imm,
                        offset,
                    },
                )?
            }
            kind => return Err(CheckError::UnresolvedImmediate { insn, kind }),
        };
        Ok(Op {
            code: Code::Imm64,
            dst,
            src: Reg::R0,
            off: 0,
            imm,
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
