//! Putting answers in instructions.

use super::value::Value;
use super::{Core, Refused};
use crate::elf::btf::{Kind, Signed, TypeId};
use crate::insn::{self, Insn, class};

/// The offset of an access that is outside of every program's memory.
const NOWHERE: i16 = i16::MAX;
/// `dst = *(u64 *)(src + off)`.
const LOAD64: u8 = 0x79;
/// The register that holds the frame pointer.
const FRAME_POINTER: u8 = 10;
/// `goto +0`.
const NOTHING: u8 = 0x05;
/// The bits of the opcode of a load or store that say how wide it is.
const WIDTH: u8 = 0x18;

/// What became of an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patched {
    /// It holds the answer.
    Answered,
    /// There is no answer, so that it stops the program.
    Poisoned,
}

/// Puts `found` in the instruction at the start of `insns`, which holds `expected`.
///
/// Where there is no answer, the program may still be right, as long as it asks first whether the thing exists: the
/// instruction becomes one that stops the program when it comes there.
pub(super) fn apply(
    insns: &mut [Insn],
    core: &Core<'_, '_>,
    expected: Value,
    found: Option<Value>,
) -> Result<Patched, Refused> {
    let Some(found) = found else {
        poison(insns);
        return Ok(Patched::Poisoned);
    };
    let [first, rest @ ..] = insns else {
        return Err(Refused("there is no such instruction"));
    };
    let checks = !expected.is_free;
    let differs = Refused("the instruction does not hold what the object's types say");
    match first.class() {
        class::ALU | class::ALU64 if first.opcode & 0x08 == 0 => {
            if checks && first.imm as u32 != expected.value as u32 {
                return Err(differs);
            }
            first.imm = small(found.value)?;
        }
        class::LDX | class::ST | class::STX => {
            if checks && i64::from(first.off) as u64 != expected.value {
                return Err(differs);
            }
            let off = i16::try_from(found.value);
            first.off = off.map_err(|_| Refused("the offset does not fit in the instruction"))?;
            if let (Some(old), Some(new)) = (expected.field, found.field) {
                if old.1 != new.1 && !can_resize(core, old.0, new.0) {
                    poison(insns);
                    return Ok(Patched::Poisoned);
                }
                if old.1 != new.1 {
                    first.opcode = first.opcode & !WIDTH | width(new.1)?;
                }
            }
        }
        class::LD if first.opcode == insn::LDDW => {
            let high = rest.first_mut().ok_or(differs)?;
            let held = u64::from(high.imm as u32) << 32 | u64::from(first.imm as u32);
            if checks && held != expected.value {
                return Err(differs);
            }
            first.imm = found.value as i32;
            high.imm = (found.value >> 32) as i32;
        }
        _ => return Err(Refused("the instruction cannot hold an answer")),
    }
    Ok(Patched::Answered)
}

/// Returns the answer as an immediate of 32 bits, which is extended by its sign.
fn small(value: u64) -> Result<i32, Refused> {
    let fits = value <= u64::from(u32::MAX) || i32::try_from(value as i64).is_ok();
    fits.then_some(value as i32)
        .ok_or(Refused("the answer does not fit in the instruction"))
}

/// Returns the width bits of an access to so many bytes.
fn width(bytes: u32) -> Result<u8, Refused> {
    match bytes {
        1 => Ok(0x10),
        2 => Ok(0x08),
        4 => Ok(0x00),
        8 => Ok(0x18),
        _ => Err(Refused("no instruction accesses so many bytes")),
    }
}

/// Tells whether an access can be made wider or narrower: of pointers, and of numbers without a sign.
fn can_resize(core: &Core<'_, '_>, local: TypeId, target: TypeId) -> bool {
    let kinds = core.local.resolve(local).zip(core.target.resolve(target));
    matches!(
        kinds.map(|(local, target)| (local.kind, target.kind)),
        Some(
            (Kind::Ptr { .. }, Kind::Ptr { .. })
                | (
                    Kind::Int {
                        signed: Signed::No,
                        ..
                    },
                    Kind::Int {
                        signed: Signed::No,
                        ..
                    },
                )
        )
    )
}

/// Makes the instruction one that stops the program, with the same register written.
fn poison(insns: &mut [Insn]) {
    let [first, rest @ ..] = insns else {
        return;
    };
    if first.opcode == insn::LDDW
        && let Some(second) = rest.first_mut()
    {
        *second = Insn {
            opcode: NOTHING,
            ..Insn::default()
        };
    }
    *first = match first.class() {
        class::ST | class::STX => Insn {
            dst: FRAME_POINTER,
            off: NOWHERE,
            ..*first
        },
        _ => Insn {
            opcode: LOAD64,
            dst: first.dst,
            src: FRAME_POINTER,
            off: NOWHERE,
            imm: 0,
        },
    };
}
