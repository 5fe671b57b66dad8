//! The contexts of the catalogue's events, as program authors include them: written from the catalogue itself.

mod c;
mod rust;

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, bail, ensure};
use axebpf_tp::{Event, FieldType};

use crate::{process::say, workspace};

/// The systems of the catalogue; other events belong to whoever defines them.
const SYSTEMS: [&str; 2] = ["vmm", "shell"];

/// A file that is written from the catalogue.
struct Generated {
    path: PathBuf,
    text: String,
}

/// Writes the header and the module, where they differ from what is there.
pub(crate) fn write() -> Result<()> {
    for Generated { path, text } in generate()? {
        if fs::read_to_string(&path).is_ok_and(|old| old == text) {
            continue;
        }
        say(format_args!("writing {}", path.display()));
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}

/// Fails when the header or the module is not what the catalogue gives.
pub(crate) fn check() -> Result<()> {
    for Generated { path, text } in generate()? {
        let old =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        if old != text {
            bail!(
                "{} is not what the catalogue of axebpf-tp gives\n  \
                 run `cargo xtask build-programs` and commit what it changes",
                path.display()
            );
        }
    }
    Ok(())
}

fn generate() -> Result<Vec<Generated>> {
    axebpf_tp::init()?;
    let catalogue: Vec<EventLayout> = axebpf_tp::events()
        .filter(|event| SYSTEMS.contains(&event.system()))
        .map(EventLayout::of)
        .collect::<Result<_>>()?;
    ensure!(
        !catalogue.is_empty(),
        "this program was linked without the catalogue"
    );
    let programs = workspace::programs();
    Ok(vec![
        Generated {
            path: programs.join("include/axebpf_events.h"),
            text: c::header(&catalogue),
        },
        Generated {
            path: programs.join("rust/axebpf-ebpf/src/events.rs"),
            text: rust::module(&catalogue),
        },
    ])
}

/// One event, laid out as C and Rust lay out its fields.
struct EventLayout {
    event: &'static Event,
    members: Vec<Member>,
}

/// What stands in a record behind the header, in order.
enum Member {
    /// A field of the event.
    Field {
        name: &'static str,
        help: &'static str,
        ty: FieldType,
    },
    /// Bytes that the fields' alignment leaves free.
    Padding { number: usize, len: usize },
}

impl EventLayout {
    /// Puts padding in where the fields leave room, so that the layout is the same without the compiler's own.
    fn of(event: &'static Event) -> Result<Self> {
        let mut members = Vec::new();
        let mut end = axebpf_tp::HEADER_LEN;
        for field in event.fields() {
            pad(&mut members, end, field.offset());
            members.push(Member::Field {
                name: field.name(),
                help: field.help(),
                ty: field.ty(),
            });
            end = field.offset() + field.size();
        }
        pad(&mut members, end, event.record_len());
        ensure!(
            end <= event.record_len(),
            "{} is longer than its record",
            event.full_name()
        );
        Ok(Self { event, members })
    }
}

fn pad(members: &mut Vec<Member>, from: usize, to: usize) {
    if to > from {
        let number = members
            .iter()
            .filter(|m| matches!(m, Member::Padding { .. }))
            .count();
        members.push(Member::Padding {
            number,
            len: to - from,
        });
    }
}

/// Returns the lines of a doc comment.
fn lines(help: &str) -> impl Iterator<Item = &str> {
    help.trim().lines().map(str::trim)
}
