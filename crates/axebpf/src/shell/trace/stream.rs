//! `trace stream`.

use alloc::string::{String, ToString};
use core::fmt::{self, Write};

use axebpf_tp::{RECORDER, Reader};

#[cfg(feature = "runtime")]
use crate::PrintkLine;
#[cfg(all(feature = "runtime", feature = "symbols"))]
use crate::names::Names;
use crate::shell::{
    CommandResult, Session,
    args::Args,
    command::Command,
    complaint::counted,
    stream::Pace,
    table::{LINE_WIDTH, wrap},
};

pub(super) const COMMAND: Command = Command {
    name: "stream",
    usage: "trace stream [--count N] [--for SECONDS] [--new]",
    summary: "shows recorded events and what programs print, as it happens",
    details: "\
Starts where the last `trace stream` ended, or with --new at what happens from
now on. Ends after N lines, after SECONDS, or with Ctrl-C. A line has the CPU,
the time in seconds, the event or the program, and its fields or its text.",
    run,
};

/// How far an operator has read, so that the next `trace stream` goes on from there.
pub(crate) struct Position {
    events: Reader<'static>,
    /// The next event, if it was read before it could be shown.
    event: Option<Line>,
    /// The next line of a program, if it was read before it could be shown.
    print: Option<Line>,
}

/// One line, ready to be shown.
struct Line {
    time_ns: u64,
    text: String,
}

impl Position {
    /// Starts at the oldest event that is still there.
    pub(crate) fn new() -> Self {
        Self {
            events: RECORDER.reader(),
            event: None,
            print: None,
        }
    }

    /// Forgets what has happened so far.
    fn skip(&mut self, session: &Session<'_>) -> CommandResult {
        *self = Self {
            events: RECORDER.follow(),
            event: None,
            print: None,
        };
        let now = session.shell.registry.platform().now_ns();
        while let Some(line) = next_print(session)? {
            // What programs print meanwhile is new.
            if line.time_ns > now {
                self.print = Some(line);
                break;
            }
        }
        Ok(())
    }

    /// Returns the older one of the next event and the next line of a program.
    fn next(&mut self, session: &Session<'_>) -> Result<Option<Line>, crate::Error> {
        if self.event.is_none() {
            self.event = self.events.next_entry().map(|entry| Line {
                time_ns: entry.time_ns,
                text: entry.to_string(),
            });
        }
        if self.print.is_none() {
            self.print = next_print(session)?;
        }
        Ok(match (&self.event, &self.print) {
            (Some(event), Some(print)) if print.time_ns < event.time_ns => self.print.take(),
            (Some(_), _) => self.event.take(),
            (None, _) => self.print.take(),
        })
    }
}

impl fmt::Debug for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Position").finish_non_exhaustive()
    }
}

#[cfg(feature = "runtime")]
fn next_print(session: &Session<'_>) -> Result<Option<Line>, crate::Error> {
    let registry = session.shell.registry;
    let Some(line) = next_printk(session)? else {
        return Ok(None);
    };
    let program = match registry.program(line.program) {
        Ok(info) => info.program.name().to_string(),
        Err(_) => alloc::format!("program {} (unloaded)", line.program),
    };
    let micros = line.time_ns / 1000;
    let text = alloc::format!(
        "[{:03}] {:5}.{:06}: {program}: {}",
        line.cpu.get(),
        micros / 1_000_000,
        micros % 1_000_000,
        line.text
    );
    Ok(Some(Line {
        time_ns: line.time_ns,
        text,
    }))
}

#[cfg(all(feature = "runtime", feature = "symbols"))]
fn next_printk(session: &Session<'_>) -> Result<Option<PrintkLine>, crate::Error> {
    let shell = session.shell;
    match shell.symbols {
        Some(symbols) => shell.registry.next_printk_with(&Names(symbols)),
        None => shell.registry.next_printk(),
    }
}

#[cfg(all(feature = "runtime", not(feature = "symbols")))]
fn next_printk(session: &Session<'_>) -> Result<Option<PrintkLine>, crate::Error> {
    session.shell.registry.next_printk()
}

#[cfg(not(feature = "runtime"))]
fn next_print(_session: &Session<'_>) -> Result<Option<Line>, crate::Error> {
    Ok(None)
}

#[cfg(feature = "runtime")]
fn lost_prints(session: &Session<'_>) -> Result<u64, crate::Error> {
    session.shell.registry.lost_printk()
}

#[cfg(not(feature = "runtime"))]
fn lost_prints(_session: &Session<'_>) -> Result<u64, crate::Error> {
    Ok(0)
}

fn run(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    let new = args.flag("--new");
    let pace = Pace::take(session, &mut args)?;
    args.end()?;
    // Whoever streams at the same time reads everything, too.
    let mut position = session
        .shell
        .position
        .lock()
        .take()
        .unwrap_or_else(Position::new);
    let result = stream(session, &mut position, pace, new);
    *session.shell.position.lock() = Some(position);
    result
}

fn stream(
    session: &mut Session<'_>,
    position: &mut Position,
    mut pace: Pace,
    new: bool,
) -> CommandResult {
    if new {
        position.skip(session)?;
    }
    let lost_before = (RECORDER.lost(), lost_prints(session)?);
    let mut shown = 0u64;
    loop {
        while pace.admit() {
            let Some(line) = position.next(session)? else {
                pace.put_back();
                break;
            };
            shown += 1;
            write_line(session, &line.text)?;
            if session.io.interrupted() {
                return summary(session, shown, lost_before);
            }
        }
        if !pace.go_on(session) {
            return summary(session, shown, lost_before);
        }
    }
}

/// Writes one line; what does not fit goes on below, indented.
fn write_line(session: &mut Session<'_>, text: &str) -> CommandResult {
    const INDENT: &str = "        ";
    if text.chars().count() <= LINE_WIDTH {
        writeln!(session.out(), "{text}")?;
        return Ok(());
    }
    let mut lead = "";
    for piece in wrap(text, LINE_WIDTH - INDENT.len()) {
        writeln!(session.out(), "{lead}{piece}")?;
        lead = INDENT;
    }
    Ok(())
}

fn summary(session: &mut Session<'_>, shown: u64, lost_before: (u64, u64)) -> CommandResult {
    let events = RECORDER.lost().saturating_sub(lost_before.0);
    let prints = lost_prints(session)?.saturating_sub(lost_before.1);
    let shown = counted(shown, "line");
    let mut out = session.out();
    match (events, prints) {
        (0, 0) => writeln!(out, "({shown})")?,
        _ => writeln!(
            out,
            "({shown}; lost: {events} events, {prints} printed lines)"
        )?,
    }
    Ok(())
}
