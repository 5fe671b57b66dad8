//! What can be asked about a type, a field or a value of an enumeration, and the answers.

use super::spec::Spec;
use super::{Refused, composite};
use crate::elf::btf::{Btf, Kind, Signed, TypeId};

/// What is asked (Linux's `enum bpf_core_relo_kind`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    FieldByteOffset,
    FieldByteSize,
    FieldExists,
    FieldSigned,
    FieldLeftShift,
    FieldRightShift,
    TypeIdLocal,
    TypeIdTarget,
    TypeExists,
    TypeSize,
    EnumeratorExists,
    EnumeratorValue,
    TypeMatches,
}

/// What the question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    Field,
    Type,
    Enumerator,
}

impl Ask {
    pub(super) fn of(kind: u32) -> Result<Self, Refused> {
        const ASKS: [Ask; 13] = [
            Ask::FieldByteOffset,
            Ask::FieldByteSize,
            Ask::FieldExists,
            Ask::FieldSigned,
            Ask::FieldLeftShift,
            Ask::FieldRightShift,
            Ask::TypeIdLocal,
            Ask::TypeIdTarget,
            Ask::TypeExists,
            Ask::TypeSize,
            Ask::EnumeratorExists,
            Ask::EnumeratorValue,
            Ask::TypeMatches,
        ];
        let known = ASKS.get(kind as usize).copied();
        known.ok_or(Refused("what it asks is unknown"))
    }

    pub(super) const fn subject(self) -> Subject {
        match self {
            Self::FieldByteOffset
            | Self::FieldByteSize
            | Self::FieldExists
            | Self::FieldSigned
            | Self::FieldLeftShift
            | Self::FieldRightShift => Subject::Field,
            Self::TypeIdLocal
            | Self::TypeIdTarget
            | Self::TypeExists
            | Self::TypeSize
            | Self::TypeMatches => Subject::Type,
            Self::EnumeratorExists | Self::EnumeratorValue => Subject::Enumerator,
        }
    }

    /// Returns the answer when the target has nothing of the kind; `None` when there can be none.
    pub(super) const fn answer_if_missing(self) -> Option<Value> {
        match self {
            Self::FieldExists | Self::TypeExists | Self::TypeMatches | Self::EnumeratorExists => {
                Some(Value::of(0))
            }
            _ => None,
        }
    }
}

/// An answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Value {
    pub(super) value: u64,
    /// For an offset: the type of what is there and its length in bytes.
    pub(super) field: Option<(TypeId, u32)>,
    /// The instruction may hold something else, since the compiler may choose how it reads bit fields.
    pub(super) is_free: bool,
}

impl Value {
    const fn of(value: u64) -> Self {
        Self {
            value,
            field: None,
            is_free: false,
        }
    }
}

const NO_SIZE: Refused = Refused("the type has no size");

/// Answers the question about what `spec` leads to.
pub(super) fn of(btf: &Btf<'_>, spec: &Spec<'_>, ask: Ask) -> Result<Value, Refused> {
    match ask {
        Ask::TypeIdLocal | Ask::TypeIdTarget => Ok(Value::of(spec.root.into())),
        Ask::TypeExists | Ask::TypeMatches | Ask::EnumeratorExists | Ask::FieldExists => {
            Ok(Value::of(1))
        }
        Ask::TypeSize => btf
            .size_of(spec.root)
            .map(|size| Value::of(size.into()))
            .ok_or(NO_SIZE),
        Ask::EnumeratorValue => enumerator(btf, spec).ok_or(Refused("there is no such value")),
        _ => field(btf, spec, ask),
    }
}

fn enumerator(btf: &Btf<'_>, spec: &Spec<'_>) -> Option<Value> {
    let access = spec.accesses.first()?;
    let Kind::Enum { first, len, .. } = btf.get(access.of)?.kind else {
        return None;
    };
    let found = btf.enumerators(first, len).get(access.index as usize)?;
    Some(Value::of(found.value))
}

/// Where a field is: the bytes to be read, and the bits of them that it takes.
struct Field {
    of: TypeId,
    byte_offset: u64,
    byte_size: u32,
    bit_size: u64,
    is_bit_field: bool,
}

impl Field {
    fn of(btf: &Btf<'_>, spec: &Spec<'_>) -> Result<Self, Refused> {
        let access = spec.accesses.last().ok_or(NO_SIZE)?;
        if access.name.is_none() {
            let byte_size = btf.size_of(access.of).ok_or(NO_SIZE)?;
            return Ok(Self {
                of: access.of,
                byte_offset: spec.bit_offset / 8,
                byte_size,
                bit_size: u64::from(byte_size) * 8,
                is_bit_field: false,
            });
        }
        let (_, first, len) = composite(btf, access.of).ok_or(NO_SIZE)?;
        let member = btf.members(first, len).get(access.index as usize);
        let member = member.ok_or(NO_SIZE)?;
        let byte_size = btf.size_of(member.of).ok_or(NO_SIZE)?;
        let mut field = Self {
            of: member.of,
            byte_offset: spec.bit_offset / 8,
            byte_size,
            bit_size: u64::from(byte_size) * 8,
            is_bit_field: member.bits > 0,
        };
        if field.is_bit_field {
            field.bit_size = member.bits.into();
            field.widen(spec.bit_offset)?;
        }
        Ok(field)
    }

    /// Finds the aligned bytes that hold all of a bit field: those of its type, or more if it crosses them.
    fn widen(&mut self, bit_offset: u64) -> Result<(), Refused> {
        loop {
            let size = u64::from(self.byte_size);
            self.byte_offset = (bit_offset / 8)
                .checked_div(size)
                .map(|whole| whole * size)
                .ok_or(NO_SIZE)?;
            if bit_offset + self.bit_size <= (self.byte_offset + size) * 8 {
                return Ok(());
            }
            if size >= 8 {
                return Err(Refused("the bit field needs more than eight bytes"));
            }
            self.byte_size *= 2;
        }
    }
}

fn field(btf: &Btf<'_>, spec: &Spec<'_>, ask: Ask) -> Result<Value, Refused> {
    let field = Field::of(btf, spec)?;
    let mut answer = Value::of(match ask {
        Ask::FieldByteOffset => field.byte_offset,
        Ask::FieldByteSize => field.byte_size.into(),
        Ask::FieldSigned => u64::from(is_signed(btf, field.of)),
        Ask::FieldLeftShift => {
            let end = spec.bit_offset + field.bit_size - field.byte_offset * 8;
            64u64.saturating_sub(end)
        }
        Ask::FieldRightShift => 64u64.saturating_sub(field.bit_size),
        _ => return Err(Refused("what it asks is unknown")),
    });
    answer.is_free = field.is_bit_field && ask != Ask::FieldRightShift;
    if ask == Ask::FieldByteOffset && !field.is_bit_field {
        answer.field = Some((field.of, field.byte_size));
    }
    Ok(answer)
}

fn is_signed(btf: &Btf<'_>, id: TypeId) -> bool {
    match btf.resolve(id).map(|found| found.kind) {
        Some(Kind::Int { signed, .. } | Kind::Enum { signed, .. }) => signed == Signed::Yes,
        _ => false,
    }
}
