//! Reading type information from bytes.

use alloc::vec::Vec;

use super::{Btf, Composite, Enumerator, Kind, Member, Signed, Type, TypeId};
use crate::load_error::LoadError;

/// The length of the header up to the last field used here.
const HEADER_LEN: usize = 24;
const MAGIC: u16 = 0xeb9f;

/// Reads numbers one after the other.
struct Cursor<'f> {
    bytes: &'f [u8],
    at: usize,
}

impl Cursor<'_> {
    fn u32(&mut self) -> Result<u32, LoadError> {
        let bytes = self
            .bytes
            .get(self.at..)
            .and_then(|rest| rest.first_chunk::<4>());
        let value = bytes.ok_or_else(|| bad(self.at, "it ends within a type"))?;
        self.at += 4;
        Ok(u32::from_le_bytes(*value))
    }

    fn skip(&mut self, words: usize) -> Result<(), LoadError> {
        (0..words).try_for_each(|_| self.u32().map(|_| ()))
    }
}

/// Reads what follows the head of an integer.
fn int(encoding: u32) -> Kind {
    let signed = if encoding >> 24 & 1 != 0 {
        Signed::Yes
    } else {
        Signed::No
    };
    let offset = (encoding >> 16) as u8;
    Kind::Int { signed, offset }
}

impl Member {
    fn plain(name: usize, of: TypeId, offset: u32) -> Self {
        Self {
            name,
            of,
            offset,
            bits: 0,
        }
    }
}

/// Appends to what grows with what a guest says.
fn push<T>(all: &mut Vec<T>, one: T) -> Result<(), LoadError> {
    let bytes = size_of::<T>().saturating_mul(all.len() + 1);
    all.try_reserve(1)
        .map_err(|_| LoadError::OutOfMemory { bytes })?;
    all.push(one);
    Ok(())
}

fn bad(offset: usize, what: &'static str) -> LoadError {
    LoadError::BadBtf { offset, what }
}

impl<'f> Btf<'f> {
    /// Reads the section `.BTF`.
    pub(in crate::elf) fn parse(section: &'f [u8]) -> Result<Self, LoadError> {
        if section.len() < HEADER_LEN {
            return Err(bad(0, "the header is cut off"));
        }
        if u16::from_le_bytes([section[0], section[1]]) != MAGIC {
            return Err(bad(0, "the magic number is wrong"));
        }
        let mut header = Cursor {
            bytes: section,
            at: 4,
        };
        let header_len = header.u32()? as usize;
        let part = |offset: u32, len: u32| {
            let start = header_len.checked_add(offset as usize)?;
            section.get(start..start.checked_add(len as usize)?)
        };
        let (type_offset, type_len) = (header.u32()?, header.u32()?);
        let (string_offset, string_len) = (header.u32()?, header.u32()?);
        let types = part(type_offset, type_len).ok_or_else(|| bad(8, "the types are cut off"))?;
        let strings =
            part(string_offset, string_len).ok_or_else(|| bad(16, "the strings are cut off"))?;
        let mut btf = Self {
            strings,
            ..Self::empty()
        };
        let mut cursor = Cursor {
            bytes: types,
            at: 0,
        };
        while cursor.at < types.len() {
            btf.read_type(&mut cursor)?;
        }
        Ok(btf)
    }

    fn read_type(&mut self, cursor: &mut Cursor<'f>) -> Result<(), LoadError> {
        let at = cursor.at;
        let (name, info, size) = (cursor.u32()? as usize, cursor.u32()?, cursor.u32()?);
        let len = (info & 0xffff) as usize;
        let flag = info >> 31 != 0;
        let kind = match info >> 24 & 0x1f {
            1 => int(cursor.u32()?),
            2 => Kind::Ptr { to: size },
            3 => {
                let (element, _index, len) = (cursor.u32()?, cursor.u32()?, cursor.u32()?);
                Kind::Array { element, len }
            }
            4 => self.read_members(cursor, Composite::Struct, len, flag)?,
            5 => self.read_members(cursor, Composite::Union, len, flag)?,
            6 => self.read_enum(cursor, len, flag)?,
            7 if flag => Kind::Forward(Composite::Union),
            7 => Kind::Forward(Composite::Struct),
            12 => Kind::Other,
            16 => Kind::Float,
            8..=11 | 18 => Kind::Alias { of: size },
            13 => {
                let first = self.members.len();
                for _ in 0..len {
                    let (name, of) = (cursor.u32()? as usize, cursor.u32()?);
                    push(&mut self.members, Member::plain(name, of, 0))?;
                }
                Kind::Function {
                    result: size,
                    first,
                    len,
                }
            }
            14 => cursor.skip(1).map(|()| Kind::Var { of: size })?,
            15 => {
                let first = self.members.len();
                for _ in 0..len {
                    let (of, offset) = (cursor.u32()?, cursor.u32()?);
                    cursor.skip(1)?;
                    push(&mut self.members, Member::plain(0, of, offset))?;
                }
                Kind::Section { first, len }
            }
            17 => cursor.skip(1).map(|()| Kind::Other)?,
            19 => self.read_enum64(cursor, len, flag)?,
            _ => return Err(bad(at, "a type of unknown kind")),
        };
        push(&mut self.types, Type { name, kind, size })?;
        Ok(())
    }

    /// Reads the members of a struct or union. With `flagged`, their offsets hold the length of bit fields, too.
    fn read_members(
        &mut self,
        cursor: &mut Cursor<'f>,
        composite: Composite,
        len: usize,
        flagged: bool,
    ) -> Result<Kind, LoadError> {
        let first = self.members.len();
        for _ in 0..len {
            let (name, of, offset) = (cursor.u32()? as usize, cursor.u32()?, cursor.u32()?);
            let mut member = Member::plain(name, of, offset);
            if flagged {
                (member.offset, member.bits) = (offset & 0xff_ffff, (offset >> 24) as u8);
            }
            push(&mut self.members, member)?;
        }
        Ok(Kind::Struct {
            composite,
            first,
            len,
        })
    }

    fn read_enum(
        &mut self,
        cursor: &mut Cursor<'f>,
        len: usize,
        flagged: bool,
    ) -> Result<Kind, LoadError> {
        let first = self.enumerators.len();
        for _ in 0..len {
            let (name, value) = (cursor.u32()? as usize, cursor.u32()?);
            let value = if flagged {
                i64::from(value as i32) as u64
            } else {
                value.into()
            };
            push(&mut self.enumerators, Enumerator { name, value })?;
        }
        let signed = if flagged { Signed::Yes } else { Signed::No };
        Ok(Kind::Enum { signed, first, len })
    }

    fn read_enum64(
        &mut self,
        cursor: &mut Cursor<'f>,
        len: usize,
        flagged: bool,
    ) -> Result<Kind, LoadError> {
        let first = self.enumerators.len();
        for _ in 0..len {
            let (name, low, high) = (cursor.u32()? as usize, cursor.u32()?, cursor.u32()?);
            let value = u64::from(high) << 32 | u64::from(low);
            push(&mut self.enumerators, Enumerator { name, value })?;
        }
        let signed = if flagged { Signed::Yes } else { Signed::No };
        Ok(Kind::Enum { signed, first, len })
    }
}
