//! Relocations to the types of another machine: "compile once, run everywhere" (CO-RE).
//!
//! The object says of an instruction that it holds, for example, the offset of `task->pid`, by its own types. [`Core`]
//! finds the same field in the target's types, and puts the offset that it has there in the instruction. The rules are
//! those of Linux's `tools/lib/bpf/relo_core.c`: what counts as the same type or field, and what may be asked about it.
//!
//! 1. `spec` follows the access in the object's types, and the same access in one of the target's.
//! 2. `compat` tells whether types are similar enough.
//! 3. `value` computes what is asked, on both sides.
//! 4. `patch` puts it in the instruction, which must hold what the object's types say.

use alloc::string::String;
use core::cell::Cell;
use core::mem::discriminant;

mod compat;
mod patch;
mod spec;
mod value;

use self::patch::Patched;
use self::spec::Spec;
use self::value::{Ask, Value};
use super::btf::{Btf, Composite, Kind, Type, TypeId, essential};
use super::ext::CoreRelocation;
use crate::insn::Insn;
use crate::load_error::LoadError;

/// The kind of relocation that asks for the number of a type of the object itself.
pub(super) const TYPE_ID_LOCAL: u32 = 6;

/// The number of accesses on the way to a field.
const MAX_ACCESSES: usize = 64;

/// How many types and members one relocation looks at, at most. The largest structures of Linux have some hundreds of
/// members.
const MAX_STEPS: u32 = 1 << 16;

/// Why a relocation cannot be carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refused(pub(super) &'static str);

/// The object's types and the target's.
pub(super) struct Core<'b, 'f> {
    pub(super) local: &'b Btf<'f>,
    pub(super) target: &'b Btf<'b>,
    /// How many steps are left for the present relocation.
    steps: Cell<u32>,
}

impl<'b, 'f> Core<'b, 'f> {
    pub(super) fn new(local: &'b Btf<'f>, target: &'b Btf<'b>) -> Self {
        Self {
            local,
            target,
            steps: Cell::new(MAX_STEPS),
        }
    }
}

impl Core<'_, '_> {
    /// Takes one step from the present relocation; `false` if it has had them all. Types can lead to each other, so
    /// that there are more ways through them than can be gone, however deep one goes.
    fn step(&self) -> bool {
        let left = self.steps.get();
        self.steps.set(left.saturating_sub(1));
        left != 0
    }

    /// Relocates the instruction at the start of `insns`.
    ///
    /// Returns what the target does not have, if that is so: the instruction stops the program then.
    pub(super) fn relocate(
        &self,
        relocation: &CoreRelocation<'_>,
        insns: &mut [Insn],
    ) -> Result<Option<String>, LoadError> {
        let failed = |Refused(what)| LoadError::BadCoreRelocation {
            section: relocation.section.into(),
            offset: relocation.offset,
            root: self
                .local
                .get(relocation.root)
                .map_or("", |found| self.local.type_name(found))
                .into(),
            access: relocation.access.into(),
            what,
        };
        self.steps.set(MAX_STEPS);
        let ask = Ask::of(relocation.kind).map_err(failed)?;
        let local = Spec::parse(self.local, relocation, ask).map_err(failed)?;
        let expected = value::of(self.local, &local, ask).map_err(failed)?;
        let found = match ask {
            Ask::TypeIdLocal => Some(expected),
            _ => self.find(&local, ask).map_err(failed)?,
        };
        if self.steps.get() == 0 {
            return Err(failed(Refused("the target's types are too entangled")));
        }
        let patched = patch::apply(insns, self, expected, found).map_err(failed)?;
        Ok((patched == Patched::Poisoned).then(|| local.name(self.local, ask)))
    }

    /// Finds the answer in the target's types; `None` when there is no such type or field.
    fn find(&self, local: &Spec<'_>, ask: Ask) -> Result<Option<Value>, Refused> {
        let root = self
            .local
            .get(local.root)
            .ok_or(Refused("its type does not exist"))?;
        let name = self.local.type_name(root);
        if name.is_empty() {
            return Err(Refused("its type has no name to look for"));
        }
        let mut answer: Option<(u64, Value)> = None;
        for (id, found) in self.target.candidates(essential(name)) {
            if !self.step() {
                break;
            }
            let other = essential(self.target.type_name(found));
            if other != essential(name) || !same_kind(root, found) {
                continue;
            }
            let Some(spec) = self.matching(local, id, ask)? else {
                continue;
            };
            let value = value::of(self.target, &spec, ask)?;
            match answer {
                Some((offset, known))
                    if offset != spec.bit_offset || known.value != value.value =>
                {
                    return Err(Refused("the target has several such types, which differ"));
                }
                _ => answer = Some((spec.bit_offset, value)),
            }
        }
        match answer {
            Some((_, value)) => Ok(Some(value)),
            None => Ok(ask.answer_if_missing()),
        }
    }
}

/// Tells whether types of these kinds can be the same one.
fn same_kind(left: &Type, right: &Type) -> bool {
    match (left.kind, right.kind) {
        (
            Kind::Struct {
                composite: left, ..
            },
            Kind::Struct {
                composite: right, ..
            },
        ) => left == right,
        (left, right) => discriminant(&left) == discriminant(&right),
    }
}

/// Returns the members of a struct or union.
fn composite(btf: &Btf<'_>, id: TypeId) -> Option<(Composite, usize, usize)> {
    match btf.resolve(id)?.kind {
        Kind::Struct {
            composite,
            first,
            len,
        } => Some((composite, first, len)),
        _ => None,
    }
}
