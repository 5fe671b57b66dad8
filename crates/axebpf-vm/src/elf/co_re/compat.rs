//! Whether types of two machines are similar enough: the same in what a program can rely on.

use super::{Core, composite, same_kind};
use crate::elf::btf::{Btf, Composite, Kind, Member, Type, TypeId, essential};

/// How far types are followed; what goes deeper is not similar.
const MAX_DEPTH: usize = 32;

/// Whether a pointer leads to the types that are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    Nothing,
    Pointer,
}

impl Core<'_, '_> {
    fn pair(&self, local: TypeId, target: TypeId) -> Option<(&Type, &Type)> {
        self.local.resolve(local).zip(self.target.resolve(target))
    }

    /// Tells whether a field of one type can be read where one of the other was expected.
    pub(super) fn fields_compatible(&self, local: TypeId, target: TypeId) -> bool {
        let (mut local, mut target) = (local, target);
        for _ in 0..MAX_DEPTH {
            let Some((left, right)) = self.pair(local, target) else {
                return false;
            };
            match (left.kind, right.kind) {
                (Kind::Struct { .. }, Kind::Struct { .. })
                | (Kind::Ptr { .. }, Kind::Ptr { .. })
                | (Kind::Float, Kind::Float) => return true,
                (Kind::Forward(_), Kind::Forward(_)) | (Kind::Enum { .. }, Kind::Enum { .. }) => {
                    let left = essential(self.local.type_name(left));
                    let right = essential(self.target.type_name(right));
                    return left.is_empty() || right.is_empty() || left == right;
                }
                (Kind::Int { offset: left, .. }, Kind::Int { offset: right, .. }) => {
                    return left == 0 && right == 0;
                }
                (Kind::Array { element: left, .. }, Kind::Array { element: right, .. }) => {
                    (local, target) = (left, right);
                }
                _ => return false,
            }
        }
        false
    }

    /// Tells whether two types of one name are of one kind, pointers and functions followed (`bpf_core_type_exists`).
    pub(super) fn types_compatible(&self, local: TypeId, target: TypeId) -> bool {
        self.compatible(local, target, 0)
    }

    fn compatible(&self, local: TypeId, target: TypeId, depth: usize) -> bool {
        // The number of void.
        const VOID: TypeId = 0;
        let resolved = self
            .local
            .resolve_id(local)
            .zip(self.target.resolve_id(target));
        let Some((local, target)) = resolved.filter(|_| depth < MAX_DEPTH && self.step()) else {
            return false;
        };
        if local == VOID || target == VOID {
            return local == target;
        }
        let Some((left, right)) = self.pair(local, target) else {
            return false;
        };
        match (left.kind, right.kind) {
            (Kind::Int { offset: left, .. }, Kind::Int { offset: right, .. }) => {
                left == 0 && right == 0
            }
            (Kind::Ptr { to: left }, Kind::Ptr { to: right })
            | (Kind::Array { element: left, .. }, Kind::Array { element: right, .. }) => {
                self.compatible(left, right, depth + 1)
            }
            (Kind::Function { result: a, .. }, Kind::Function { result: b, .. }) => {
                let (left, right) = (parameters(self.local, left), parameters(self.target, right));
                left.len() == right.len()
                    && self.compatible(a, b, depth + 1)
                    && left
                        .iter()
                        .zip(right)
                        .all(|(left, right)| self.compatible(left.of, right.of, depth + 1))
            }
            (Kind::Struct { .. } | Kind::Enum { .. } | Kind::Forward(_), _) => {
                same_kind(left, right)
            }
            _ => false,
        }
    }

    /// Tells whether the target's type has all that the object's has (`bpf_core_type_matches`).
    pub(super) fn types_match(&self, local: TypeId, target: TypeId) -> bool {
        self.matches(local, target, Behind::Nothing, 0)
    }

    fn matches(&self, local: TypeId, target: TypeId, behind: Behind, depth: usize) -> bool {
        let Some((left, right)) = self
            .pair(local, target)
            .filter(|_| depth < MAX_DEPTH && self.step())
        else {
            return false;
        };
        let names = (self.local.type_name(left), self.target.type_name(right));
        if essential(names.0) != essential(names.1) {
            return false;
        }
        let is_behind = behind == Behind::Pointer;
        match (left.kind, right.kind) {
            (Kind::Forward(left), Kind::Forward(right)) => left == right,
            (Kind::Forward(left), Kind::Struct { composite, .. })
            | (Kind::Struct { composite, .. }, Kind::Forward(left)) => {
                is_behind && left == composite
            }
            (Kind::Struct { composite: a, .. }, Kind::Struct { composite: b, .. }) => {
                a == b && (is_behind || self.members_match(local, target, behind, depth))
            }
            (Kind::Enum { .. }, Kind::Enum { .. }) => {
                is_behind || self.enumerators_match(left, right)
            }
            (Kind::Int { signed: a, .. }, Kind::Int { signed: b, .. }) => {
                a == b && left.size == right.size
            }
            (Kind::Ptr { to: left }, Kind::Ptr { to: right }) => {
                self.matches(left, right, Behind::Pointer, depth + 1)
            }
            (
                Kind::Array {
                    element: a,
                    len: left,
                },
                Kind::Array {
                    element: b,
                    len: right,
                },
            ) => left == right && self.matches(a, b, behind, depth + 1),
            (Kind::Function { result: a, .. }, Kind::Function { result: b, .. }) => {
                let (left, right) = (parameters(self.local, left), parameters(self.target, right));
                left.len() == right.len()
                    && self.matches(a, b, behind, depth + 1)
                    && left
                        .iter()
                        .zip(right)
                        .all(|(left, right)| self.matches(left.of, right.of, behind, depth + 1))
            }
            // Void, and what is no type of a value.
            (Kind::Other, Kind::Other) => true,
            _ => false,
        }
    }

    fn members_match(&self, local: TypeId, target: TypeId, behind: Behind, depth: usize) -> bool {
        let find = |btf: &Btf<'_>, id| -> Option<(Composite, usize, usize)> { composite(btf, id) };
        let sides = find(self.local, local).zip(find(self.target, target));
        let Some(((_, left, left_len), (_, right, right_len))) = sides else {
            return false;
        };
        let targets = self.target.members(right, right_len);
        left_len <= right_len
            && self.local.members(left, left_len).iter().all(|member| {
                let name = essential(self.local.member_name(member));
                let mut targets = targets.iter().take_while(|_| self.step());
                targets.any(|other| {
                    essential(self.target.member_name(other)) == name
                        && self.matches(member.of, other.of, behind, depth + 1)
                })
            })
    }

    fn enumerators_match(&self, left: &Type, right: &Type) -> bool {
        let (
            Kind::Enum { first, len, .. },
            Kind::Enum {
                first: other,
                len: other_len,
                ..
            },
        ) = (left.kind, right.kind)
        else {
            return false;
        };
        let targets = self.target.enumerators(other, other_len);
        left.size == right.size
            && self
                .local
                .enumerators(first, len)
                .iter()
                .map(|value| essential(self.local.enumerator_name(value)))
                .all(|name| {
                    let mut targets = targets.iter().take_while(|_| self.step());
                    targets.any(|value| essential(self.target.enumerator_name(value)) == name)
                })
    }
}

fn parameters<'b>(btf: &'b Btf<'_>, function: &Type) -> &'b [Member] {
    match function.kind {
        Kind::Function { first, len, .. } => btf.members(first, len),
        _ => &[],
    }
}
