//! From instructions to operations, one by one (RFC 9669, sections 4 and 5).
//!
//! Whatever the instruction set does not define is refused here; how the instructions hang together is
//! [`check`](crate::check)'s business.

mod arith;
mod control;
mod memory;

use alloc::vec::Vec;

use crate::check_error::CheckError;
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
            dst,
            imm,
            ..Op::new(Code::Imm64)
        })
    }
}
