//! `trace buffer`.

use alloc::format;
use core::fmt::Write;

use axebpf_tp::{Overflow, RECORDER};

use crate::shell::{CommandResult, Session, args::Args, command::Command, complaint::shortened};

pub(super) const COMMAND: Command = Command {
    name: "buffer",
    usage: "trace buffer [--size BYTES] [--full overwrite|discard] [--clear]",
    summary: "shows or sets the buffer that `trace enable` records into",
    details: "\
BYTES is for each CPU, and rounded up to a power of two; a new size forgets
what was recorded. --full says what a full buffer forgets: what is oldest
(overwrite), or what is newest (discard).",
    run,
};

fn run(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    let size = args.number("--size")?;
    let full = args.option("--full")?;
    let clear = args.flag("--clear");
    args.end()?;
    let overflow = match full {
        None => None,
        Some("overwrite") => Some(Overflow::Overwrite),
        Some("discard") => Some(Overflow::Discard),
        Some(other) => {
            let wrong = format!(
                "`--full` is overwrite or discard, not `{}`",
                shortened(other)
            );
            return Err(args.misuse(wrong));
        }
    };
    if let Some(size) = size {
        RECORDER.resize(usize::try_from(size).unwrap_or(usize::MAX))?;
    }
    if let Some(overflow) = overflow {
        RECORDER.set_overflow(overflow);
    }
    if clear {
        RECORDER.clear();
    }
    let full = match RECORDER.overflow() {
        Overflow::Overwrite => "overwrites what is oldest",
        Overflow::Discard => "discards what is newest",
    };
    let mut out = session.out();
    writeln!(out, "size  {} bytes for each CPU", RECORDER.size())?;
    writeln!(out, "full  {full}")?;
    writeln!(out, "lost  {} events", RECORDER.lost())?;
    Ok(())
}
