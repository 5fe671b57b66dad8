//! The way to what is accessed, in one machine's types.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::value::{Ask, Subject};
use super::{Core, MAX_ACCESSES, Refused, composite};
use crate::elf::btf::{Btf, Kind, Member, TypeId, essential};
use crate::elf::ext::CoreRelocation;

/// One step on the way.
#[derive(Clone, Copy, Debug)]
pub(super) struct Access<'f> {
    /// The type that is stepped into: of a member its struct, of an element itself.
    pub(super) of: TypeId,
    pub(super) index: u32,
    /// The member's name; `None` for an element of an array.
    pub(super) name: Option<&'f str>,
}

/// The way to what is accessed.
#[derive(Clone, Debug)]
pub(super) struct Spec<'f> {
    /// The type that it starts at.
    pub(super) root: TypeId,
    pub(super) accesses: Vec<Access<'f>>,
    pub(super) bit_offset: u64,
}

const BROKEN: Refused = Refused("the access does not fit the object's types");

impl<'f> Spec<'f> {
    /// Returns what is accessed as a programmer writes it: `vcpu.places[2].y`, or `state::RUNNING` for an enumeration.
    pub(super) fn name(&self, btf: &Btf<'_>, ask: Ask) -> String {
        let root = btf.get(self.root).map_or("", |root| btf.type_name(root));
        let mut name = String::from(root);
        let between = match ask.subject() {
            Subject::Enumerator => "::",
            Subject::Field | Subject::Type => ".",
        };
        // The first step is to the start of an array, which an object by itself is, too.
        for (step, access) in self.accesses.iter().enumerate() {
            match access.name {
                Some(member) => name.extend([between, member]),
                None if step == 0 && access.index == 0 => {}
                None => name.push_str(&format!("[{}]", access.index)),
            }
        }
        name
    }

    fn new(root: TypeId) -> Self {
        Self {
            root,
            accesses: Vec::new(),
            bit_offset: 0,
        }
    }

    /// Follows an access in the types of the object.
    pub(super) fn parse(
        btf: &Btf<'f>,
        relocation: &CoreRelocation<'_>,
        ask: Ask,
    ) -> Result<Self, Refused> {
        let mut spec = Self::new(relocation.root);
        let mut indices = relocation.access.split(':').map(str::parse::<u32>);
        let first = indices.next().ok_or(BROKEN)?.map_err(|_| BROKEN)?;
        match ask.subject() {
            Subject::Type => {
                btf.get(relocation.root).ok_or(BROKEN)?;
                return Ok(spec);
            }
            Subject::Enumerator => {
                spec.enumerator(btf, first)?;
                return Ok(spec);
            }
            Subject::Field => {}
        }
        let mut id = spec.element(btf, relocation.root, first).ok_or(BROKEN)?;
        for index in indices {
            let index = index.map_err(|_| BROKEN)?;
            id = spec.step(btf, id, index).ok_or(BROKEN)?;
        }
        Ok(spec)
    }

    fn enumerator(&mut self, btf: &Btf<'f>, index: u32) -> Result<(), Refused> {
        let of = btf.resolve_id(self.root).ok_or(BROKEN)?;
        let Some(Kind::Enum { first, len, .. }) = btf.get(of).map(|found| found.kind) else {
            return Err(BROKEN);
        };
        let found = btf.enumerators(first, len).get(index as usize);
        let name = Some(btf.enumerator_name(found.ok_or(BROKEN)?));
        self.push(Access { of, index, name }).ok_or(BROKEN)
    }

    fn push(&mut self, access: Access<'f>) -> Option<()> {
        (self.accesses.len() < MAX_ACCESSES).then(|| self.accesses.push(access))
    }

    /// Steps to element `index` of an array of type `of`; returns the element's type.
    fn element(&mut self, btf: &Btf<'_>, of: TypeId, index: u32) -> Option<TypeId> {
        let of = btf.resolve_id(of)?;
        let size = u64::from(btf.size_of(of)?) * 8;
        self.bit_offset += size * u64::from(index);
        self.push(Access {
            of,
            index,
            name: None,
        })?;
        Some(of)
    }

    /// Steps into a member or an element of type `id`; returns the type that is there.
    fn step(&mut self, btf: &Btf<'f>, id: TypeId, index: u32) -> Option<TypeId> {
        let of = btf.resolve_id(id)?;
        if let Kind::Array { element, len } = btf.get(of)?.kind {
            // An array of no length ends a struct and goes on behind it.
            return (len == 0 || index < len)
                .then(|| self.element(btf, element, index))
                .flatten();
        }
        let (_, first, len) = composite(btf, of)?;
        let member = *btf.members(first, len).get(index as usize)?;
        self.bit_offset += u64::from(member.offset);
        let name = btf.member_name(&member);
        if !name.is_empty() {
            let name = Some(name);
            self.push(Access { of, index, name })?;
        }
        btf.resolve_id(member.of)
    }
}

impl<'f> Core<'_, 'f> {
    /// Follows the access of the object in type `id` of the target; `None` when the type is another one.
    pub(super) fn matching<'b>(
        &'b self,
        local: &Spec<'_>,
        id: TypeId,
        ask: Ask,
    ) -> Result<Option<Spec<'b>>, Refused> {
        let mut spec = Spec::new(id);
        match ask.subject() {
            Subject::Type => {
                let similar = if ask == Ask::TypeMatches {
                    self.types_match(local.root, id)
                } else {
                    self.types_compatible(local.root, id)
                };
                return Ok(similar.then_some(spec));
            }
            Subject::Enumerator => {
                let name = local.accesses.first().and_then(|access| access.name);
                let index = name.and_then(|name| self.find_enumerator(id, name));
                let Some(index) = index else {
                    return Ok(None);
                };
                return spec.enumerator(self.target, index).map(|()| Some(spec));
            }
            Subject::Field => {}
        }
        let mut at = id;
        for (number, access) in local.accesses.iter().enumerate() {
            let next = match access.name {
                Some(name) => {
                    let member = self.local_member(access);
                    member.and_then(|member| self.find_member(&mut spec, at, name, member, 0))
                }
                None if number == 0 => spec.element(self.target, at, access.index),
                None => match self.target.resolve(at).map(|found| found.kind) {
                    Some(Kind::Array { .. }) => spec.step(self.target, at, access.index),
                    _ => None,
                },
            };
            match next {
                Some(next) => at = next,
                None => return Ok(None),
            }
        }
        Ok(Some(spec))
    }

    fn local_member(&self, access: &Access<'_>) -> Option<Member> {
        let (_, first, len) = composite(self.local, access.of)?;
        self.local
            .members(first, len)
            .get(access.index as usize)
            .copied()
    }

    fn find_enumerator(&self, id: TypeId, name: &str) -> Option<u32> {
        let Kind::Enum { first, len, .. } = self.target.resolve(id)?.kind else {
            return None;
        };
        let values = self.target.enumerators(first, len).iter();
        let values = values.take_while(|_| self.step());
        let found = values
            .map(|value| self.target.enumerator_name(value))
            .position(|found| essential(found) == essential(name))?;
        u32::try_from(found).ok()
    }

    /// Steps to the member `name` of type `id` of the target, also within members that have no name.
    fn find_member<'b>(
        &'b self,
        spec: &mut Spec<'b>,
        id: TypeId,
        name: &str,
        local: Member,
        depth: usize,
    ) -> Option<TypeId> {
        let of = self.target.resolve_id(id)?;
        let (_, first, len) = composite(self.target, of)?;
        for (index, member) in (0..).zip(self.target.members(first, len)) {
            if !self.step() {
                return None;
            }
            if self.target.is_member(member, "") && depth < MAX_ACCESSES {
                let before = spec.bit_offset;
                spec.bit_offset += u64::from(member.offset);
                let inner = self.find_member(spec, member.of, name, local, depth + 1);
                if inner.is_some() {
                    return inner;
                }
                spec.bit_offset = before;
            } else if self.target.is_member(member, name) && !name.is_empty() {
                if !self.fields_compatible(local.of, member.of) {
                    return None;
                }
                spec.bit_offset += u64::from(member.offset);
                spec.push(Access {
                    of,
                    index,
                    name: Some(self.target.member_name(member)),
                })?;
                return Some(member.of);
            }
        }
        None
    }
}
