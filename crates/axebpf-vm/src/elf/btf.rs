//! Type information: BTF, as far as map definitions and relocations to another machine's types need it.
//!
//! The format is that of Linux's `Documentation/bpf/btf.rst`. Everything is bounds-checked; types are looked up by
//! number, and nothing follows references without a limit.

mod read;

use alloc::vec;
use alloc::vec::Vec;

/// How many modifiers, such as `const`, are followed before a type counts as broken.
const MAX_MODIFIERS: usize = 32;

/// The longest name, or line of a source, in bytes, with the zero behind it. What is longer counts as empty, so that
/// nothing is searched for an end that is not there.
const MAX_STRING: usize = 4096;

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

/// Returns a name without the flavour that follows three underscores, as in `task_struct___old`.
pub(super) fn essential(name: &str) -> &str {
    // What stands before the last three underscores, unless it is nothing.
    match name.rfind("___") {
        Some(end) if end > 0 => name.get(..end).unwrap_or(name),
        _ => name,
    }
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

    /// Visits the types that have that name, and perhaps three underscores and something behind it, with their numbers.
    pub(super) fn candidates<'b>(
        &'b self,
        name: &'b str,
    ) -> impl Iterator<Item = (TypeId, &'b Type)> {
        let types = (0..).zip(&self.types).skip(1);
        types.filter(move |(_, found)| {
            let rest = self.strings.get(found.name..);
            let behind = rest.and_then(|rest| rest.strip_prefix(name.as_bytes()));
            behind.is_some_and(|rest| rest.starts_with(&[0]) || rest.starts_with(b"___"))
        })
    }

    /// Tells whether the name at `offset` is `name`, without looking for its end.
    fn is_called(&self, offset: usize, name: &str) -> bool {
        let rest = self.strings.get(offset..).unwrap_or(&[]);
        rest.strip_prefix(name.as_bytes())
            .is_some_and(|rest| rest.first() == Some(&0))
    }

    /// Tells whether a member of a struct is called `name`.
    pub(super) fn is_member(&self, member: &Member, name: &str) -> bool {
        self.is_called(member.name, name)
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
        let rest = rest.get(..MAX_STRING).unwrap_or(rest);
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
