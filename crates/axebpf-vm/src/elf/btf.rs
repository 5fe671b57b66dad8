//! Type information: BTF, as far as map definitions and relocations to another machine's types need it.
//!
//! The format is that of Linux's `Documentation/bpf/btf.rst`. Everything is bounds-checked; types are looked up by
//! number, and nothing follows references without a limit.

use alloc::vec;
use alloc::vec::Vec;

use crate::load_error::LoadError;

/// The length of the header up to the last field used here.
const HEADER_LEN: usize = 24;
const MAGIC: u16 = 0xeb9f;

/// How many modifiers, such as `const`, are followed before a type counts as broken.
const MAX_MODIFIERS: usize = 32;

/// A number of a type; 0 is `void`.
pub(super) type TypeId = u32;

/// What a type is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Int {
        signed: Signed,
        /// Where the value starts in its bytes, in bits; not 0 in deprecated bit fields only.
        offset: u8,
    },
    Float,
    Ptr {
        to: TypeId,
    },
    Array {
        element: TypeId,
        len: u32,
    },
    /// A struct or a union; the members are at `first` for `len`.
    Struct {
        composite: Composite,
        first: usize,
        len: usize,
    },
    /// A struct or a union that is only declared.
    Forward(Composite),
    /// The values are at `first` for `len`.
    Enum {
        signed: Signed,
        first: usize,
        len: usize,
    },
    /// A function's type; the parameters are at `first` for `len` among the members.
    Function {
        result: TypeId,
        first: usize,
        len: usize,
    },
    /// `typedef`, `const`, `volatile`, `restrict` and tags: another name for a type.
    Alias {
        of: TypeId,
    },
    Var {
        of: TypeId,
    },
    /// A section; the variables are at `first` for `len`.
    Section {
        first: usize,
        len: usize,
    },
    Other,
}

/// Whether numbers of a type can be negative.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signed {
    Yes,
    No,
}

/// What has members.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Composite {
    Struct,
    Union,
}

/// A value of an enumeration.
#[derive(Clone, Copy, Debug)]
pub(super) struct Enumerator {
    name: usize,
    /// Its bits, the sign extended.
    pub(super) value: u64,
}

/// A type.
#[derive(Clone, Copy, Debug)]
pub(super) struct Type {
    name: usize,
    pub(super) kind: Kind,
    pub(super) size: u32,
}

/// A member of a struct, or a variable of a section.
#[derive(Clone, Copy, Debug)]
pub(super) struct Member {
    name: usize,
    pub(super) of: TypeId,
    /// Of a struct's member: bits from the start. Of a section's variable: bytes.
    pub(super) offset: u32,
    /// Of a struct's member that is a bit field: how many bits; else 0.
    pub(super) bits: u8,
}

/// The type information of an object.
#[derive(Debug)]
pub(super) struct Btf<'f> {
    strings: &'f [u8],
    types: Vec<Type>,
    members: Vec<Member>,
    enumerators: Vec<Enumerator>,
}

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

/// Returns a name without the flavour that follows three underscores, as in `task_struct___old`.
pub(super) fn essential(name: &str) -> &str {
    // What stands before the last three underscores, unless it is nothing.
    match name.rfind("___") {
        Some(end) if end > 0 => name.get(..end).unwrap_or(name),
        _ => name,
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

fn bad(offset: usize, what: &'static str) -> LoadError {
    LoadError::BadBtf { offset, what }
}

impl<'f> Btf<'f> {
    /// Makes type information without types but `void`.
    pub(super) fn empty() -> Self {
        let void = Type {
            name: 0,
            kind: Kind::Other,
            size: 0,
        };
        Self {
            strings: &[],
            types: vec![void],
            members: Vec::new(),
            enumerators: Vec::new(),
        }
    }

    pub(super) fn parse(section: &'f [u8]) -> Result<Self, LoadError> {
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
                    self.members.push(Member::plain(name, of, 0));
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
                    self.members.push(Member::plain(0, of, offset));
                }
                Kind::Section { first, len }
            }
            17 => cursor.skip(1).map(|()| Kind::Other)?,
            19 => self.read_enum64(cursor, len, flag)?,
            _ => return Err(bad(at, "a type of unknown kind")),
        };
        self.types.push(Type { name, kind, size });
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
            self.members.push(member);
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
            self.enumerators.push(Enumerator { name, value });
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
            self.enumerators.push(Enumerator { name, value });
        }
        let signed = if flagged { Signed::Yes } else { Signed::No };
        Ok(Kind::Enum { signed, first, len })
    }

    /// Returns the type with that number.
    pub(super) fn get(&self, id: TypeId) -> Option<&Type> {
        self.types.get(id as usize)
    }

    /// Returns the type with that number, behind its other names.
    pub(super) fn resolve(&self, id: TypeId) -> Option<&Type> {
        self.get(self.resolve_id(id)?)
    }

    /// Returns the number of the type with that number, behind its other names.
    pub(super) fn resolve_id(&self, mut id: TypeId) -> Option<TypeId> {
        for _ in 0..MAX_MODIFIERS {
            match self.get(id)?.kind {
                Kind::Alias { of } => id = of,
                _ => return Some(id),
            }
        }
        None
    }

    /// Visits the types that have that name, leaving out what follows three underscores, with their numbers.
    pub(super) fn candidates<'b>(
        &'b self,
        name: &'b str,
    ) -> impl Iterator<Item = (TypeId, &'b Type)> {
        let types = (0..).zip(&self.types).skip(1);
        types.filter(move |(_, found)| essential(self.type_name(found)) == name)
    }

    /// Returns the values of an enumeration.
    pub(super) fn enumerators(&self, first: usize, len: usize) -> &[Enumerator] {
        self.enumerators.get(first..first + len).unwrap_or(&[])
    }

    pub(super) fn enumerator_name(&self, enumerator: &Enumerator) -> &'f str {
        self.string(enumerator.name)
    }

    /// Returns the size of a type in bytes.
    pub(super) fn size_of(&self, id: TypeId) -> Option<u32> {
        let mut factor = 1u32;
        let mut id = id;
        for _ in 0..MAX_MODIFIERS {
            let found = self.resolve(id)?;
            match found.kind {
                Kind::Array { element, len } => {
                    factor = factor.checked_mul(len)?;
                    id = element;
                }
                Kind::Ptr { .. } => return factor.checked_mul(8),
                Kind::Int { .. } | Kind::Enum { .. } | Kind::Struct { .. } | Kind::Float => {
                    return factor.checked_mul(found.size);
                }
                _ => return None,
            }
        }
        None
    }

    /// Returns the members of a struct or the variables of a section.
    pub(super) fn members(&self, first: usize, len: usize) -> &[Member] {
        self.members.get(first..first + len).unwrap_or(&[])
    }

    pub(super) fn string(&self, offset: usize) -> &'f str {
        let rest = self.strings.get(offset..).unwrap_or(&[]);
        let end = rest.iter().position(|byte| *byte == 0).unwrap_or(0);
        rest.get(..end)
            .and_then(|text| core::str::from_utf8(text).ok())
            .unwrap_or("")
    }

    pub(super) fn type_name(&self, found: &Type) -> &'f str {
        self.string(found.name)
    }

    pub(super) fn member_name(&self, member: &Member) -> &'f str {
        self.string(member.name)
    }

    /// Returns the variables of the section with that name.
    pub(super) fn section(&self, name: &str) -> Option<&[Member]> {
        self.types.iter().find_map(|found| match found.kind {
            Kind::Section { first, len } if self.type_name(found) == name => {
                Some(self.members(first, len))
            }
            _ => None,
        })
    }
}
