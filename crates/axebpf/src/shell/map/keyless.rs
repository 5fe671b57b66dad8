//! Maps whose values have no key: queues, stacks, bloom filters.

use alloc::{format, vec::Vec};
use core::fmt::Write;

use axebpf_maps::{MapKind, UpdateFlags};

use super::{Subject, records};
use crate::shell::{CommandResult, Session, args::Args, complaint::Complaint};

/// Shows the next value of a queue or stack, which stays; or asks a bloom filter for a value.
pub(super) fn lookup(
    session: &mut Session<'_>,
    subject: &Subject,
    mut args: Args<'_>,
) -> CommandResult {
    records::refuse(subject, "`map dump` takes records out")?;
    if subject.map.kind() != MapKind::BloomFilter {
        args.end()?;
        let next = subject.map.read(&[])?.ok_or_else(|| is_empty(subject))?;
        writeln!(session.out(), "{}", subject.value.show(&next))?;
        return Ok(());
    }
    let value = read_value(subject, &mut args)?;
    let may_be = {
        let guard = axebpf_hit::enter()
            .map_err(|missed| Complaint::new(format!("cannot look: {missed}")))?;
        subject.map.contains(&guard, value.as_slice())?
    };
    let answer = if may_be { "may be" } else { "is not" };
    let shown = subject.value.show(&value);
    writeln!(session.out(), "{shown} {answer} a member")?;
    Ok(())
}

/// Puts a value in.
pub(super) fn update(subject: &Subject, mut args: Args<'_>, flags: UpdateFlags) -> CommandResult {
    records::refuse(subject, "only programs write records")?;
    let value = read_value(subject, &mut args)?;
    Ok(subject.map.write(&[], &value, flags)?)
}

/// Takes the next value out and shows it.
pub(super) fn delete(
    session: &mut Session<'_>,
    subject: &Subject,
    mut args: Args<'_>,
) -> CommandResult {
    records::refuse(subject, "`map dump` takes records out")?;
    if subject.map.kind() == MapKind::BloomFilter {
        return Err(bloom(subject, "it cannot forget a value"));
    }
    args.end()?;
    let taken = subject.map.take(&[])?.ok_or_else(|| is_empty(subject))?;
    writeln!(session.out(), "{}", subject.value.show(&taken))?;
    Ok(())
}

/// The most bytes that are copied at a time, during which probes find the map busy.
const COPIED: usize = 16 << 10;

/// Shows the values without taking them, those that come out next first, as many as can be copied at once.
pub(super) fn dump(session: &mut Session<'_>, subject: &Subject) -> CommandResult {
    if subject.map.kind() == MapKind::BloomFilter {
        let name = subject.map.name();
        return Err(bloom(subject, "it does not keep the values that it got")
            .hint(format!("`map lookup {name} VALUE` asks for one")));
    }
    let limit = (COPIED / subject.map.entry_size().max(1)).max(1);
    let values = subject.map.peek_all(limit)?;
    let count = subject
        .map
        .stats()
        .entries
        .map_or(0, |count| count as usize);
    if values.is_empty() {
        writeln!(session.out(), "{} has no entries", subject.map.name())?;
    }
    for value in &values {
        writeln!(session.out(), "{}", subject.value.show(value))?;
    }
    if count > values.len() && !values.is_empty() {
        writeln!(session.out(), "(the next {} of {count})", values.len())?;
    }
    Ok(())
}

fn read_value(subject: &Subject, args: &mut Args<'_>) -> Result<Vec<u8>, Complaint> {
    let text = args.need("the value")?;
    args.end()?;
    let size = subject.map.spec().value_size as usize;
    subject.value.read(text, size)
}

fn is_empty(subject: &Subject) -> Complaint {
    Complaint::new(format!("{} is empty", subject.map.name()))
}

fn bloom(subject: &Subject, why: &str) -> Complaint {
    Complaint::new(format!("{} is a bloom filter: {why}", subject.map.name()))
}
