//! `trace`.

mod buffer;
mod stat;
pub(super) mod stream;

use alloc::{format, string::ToString, vec, vec::Vec};
use core::fmt::Write;

use axebpf_tp::{EnableOptions, Event, Recording, TpError, TracepointInfo, TracepointManager};

use super::{
    CommandResult, Session,
    args::Args,
    command::Command,
    complaint::{Complaint, shortened},
    table::{Align, Table},
};

pub(crate) const COMMANDS: &[Command] = &[
    Command {
        name: "list",
        usage: "trace list [GLOB]",
        summary: "lists the tracepoints",
        details: "\
GLOB has *, ?, [a-z] or [!a-z] and matches the whole name: vmm:vcpu_*. USERS
counts who listens, `trace enable` included; MISSED the firings inside of
another hit.",
        run: list,
    },
    Command {
        name: "enable",
        usage: "trace enable GLOB [--no-record] [if FILTER]",
        summary: "counts and records what tracepoints report",
        details: "\
`trace stat` shows the counts, `trace stream` what was recorded. --no-record
only counts. FILTER is over the fields of the event (`trace format` shows
them), such as reason == 36 && vcpu_id == 1, pc >= 0xffff800000000000, or
name ~ \"virtio*\". To enable again replaces the filter.",
        run: enable,
    },
    Command {
        name: "disable",
        usage: "trace disable GLOB",
        summary: "takes `trace enable` back",
        details: "Programs that are attached keep their tracepoints.",
        run: disable,
    },
    stat::COMMAND,
    stream::COMMAND,
    Command {
        name: "format",
        usage: "trace format EVENT",
        summary: "shows the fields of an event and what they mean",
        details: "First as the format file of Linux's tracefs, then in words.",
        run: format,
    },
    buffer::COMMAND,
];

fn list(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    let glob = args.maybe()?;
    args.end()?;
    let mut table = Table::new(&[
        ("EVENT", Align::Left),
        ("ON", Align::Left),
        ("USERS", Align::Right),
        ("MISSED", Align::Right),
        ("MEANING", Align::Left),
    ])
    .cut();
    for info in matching(glob)? {
        let mut meaning = first_line(info.event.help()).to_string();
        if let Some(filter) = &info.filter {
            meaning = format!("(if {filter}) {meaning}");
        }
        table.row(vec![
            info.name,
            if info.enabled {
                "on".into()
            } else {
                "-".into()
            },
            info.subscribers.to_string(),
            info.missed.to_string(),
            meaning,
        ]);
    }
    table.write(&mut session.out())?;
    Ok(())
}

fn first_line(help: &str) -> &str {
    help.lines().next().unwrap_or("").trim()
}

/// Returns the tracepoints that match, or all.
fn matching(glob: Option<&str>) -> Result<Vec<TracepointInfo>, Complaint> {
    let manager = TracepointManager::global();
    match glob {
        Some(glob) => Ok(manager.matching(glob)?),
        None => Ok(manager.list_tracepoints()),
    }
}

fn enable(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    let recording = if args.flag("--no-record") {
        Recording::Off
    } else {
        Recording::On
    };
    let filter = args.filter()?;
    let glob = args.need("the name or glob")?;
    args.end()?;
    let options = EnableOptions { filter, recording };
    let events = TracepointManager::global().enable_with(glob, options)?;
    report(session, "enabled", &events)
}

fn disable(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    let glob = args.need("the name or glob")?;
    args.end()?;
    let events = TracepointManager::global().disable(glob)?;
    if events.is_empty() {
        return Err(Complaint::new("none of these is enabled")
            .hint("`trace list` shows who uses a tracepoint; `link detach` detaches programs"));
    }
    report(session, "disabled", &events)
}

fn report(session: &mut Session<'_>, what: &str, events: &[&'static Event]) -> CommandResult {
    let mut out = session.out();
    match events {
        [event] => writeln!(out, "{what} {}", event.full_name())?,
        events => writeln!(out, "{what} {} tracepoints", events.len())?,
    }
    Ok(())
}

fn format(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    let name = args.need("the event")?;
    args.end()?;
    let info = matching(Some(name))?;
    let [info] = info.as_slice() else {
        return Err(Complaint::new(format!(
            "`{}` matches {} events",
            shortened(name),
            info.len()
        ))
        .hint("name one of them; `trace list` shows all"));
    };
    let mut out = session.out();
    info.event.format(&mut out)?;
    if info.event.fields().is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&[
        ("FIELD", Align::Left),
        ("TYPE", Align::Left),
        ("MEANING", Align::Left),
    ]);
    for field in info.event.fields() {
        let help: Vec<&str> = field.help().lines().map(str::trim).collect();
        table.row(vec![
            field.name().into(),
            field.ty().to_string(),
            help.join(" "),
        ]);
    }
    writeln!(out)?;
    table.write(&mut out)?;
    Ok(())
}

impl From<TpError> for Complaint {
    fn from(error: TpError) -> Self {
        let complaint = Self::new(error.to_string());
        match error {
            TpError::UnknownEvent { .. } | TpError::NoMatch { .. } => {
                complaint.hint("`trace list` shows all tracepoints")
            }
            TpError::BadFilter { event, .. } => {
                complaint.hint(format!("`trace format {event}` shows the fields"))
            }
            _ => complaint,
        }
    }
}
