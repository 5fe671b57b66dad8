//! `help`.

use core::fmt::{self, Write};

use super::{
    CommandResult, Session,
    args::Args,
    command::{self, Command, Commands, GROUPS, Group},
    table::LINE_WIDTH,
};

pub(crate) const COMMAND: Command = Command {
    name: "help",
    usage: "help [COMMAND [SUBCOMMAND]]",
    summary: "lists the commands, or explains one",
    details: "",
    run,
};

fn run(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    let (first, second) = (args.maybe()?, args.maybe()?);
    args.end()?;
    topic(session, first.into_iter().chain(second))
}

/// Explains the command that `words` name, or lists all.
pub(crate) fn topic<'a>(
    session: &mut Session<'_>,
    mut words: impl Iterator<Item = &'a str>,
) -> CommandResult {
    let Some(first) = words.next() else {
        return overview(session);
    };
    let group = command::group(first)?;
    match (&group.commands, words.next()) {
        (Commands::One(command), _) => explain(session, command),
        (Commands::Many(commands), None) => list(session, group, commands),
        (Commands::Missing(feature), None) => Err(command::missing(group, feature)),
        (_, Some(second)) => explain(session, command::within(group, second)?),
    }
}

fn overview(session: &mut Session<'_>) -> CommandResult {
    let mut out = session.out();
    for group in GROUPS {
        match &group.commands {
            Commands::One(command) => writeln!(out, "{:<16}{}", command.name, command.summary)?,
            Commands::Many(commands) => {
                for command in *commands {
                    let name = group.name;
                    writeln!(
                        out,
                        "{name} {:<width$}{}",
                        command.name,
                        command.summary,
                        width = 15 - name.len()
                    )?;
                }
            }
            Commands::Missing(feature) => {
                writeln!(
                    out,
                    "{:<16}{} (this build lacks `{feature}`)",
                    group.name, group.summary
                )?;
            }
        }
    }
    writeln!(out, "\n`help COMMAND` says more; Ctrl-C ends what streams.")?;
    Ok(())
}

fn list(session: &mut Session<'_>, group: &Group, commands: &[Command]) -> CommandResult {
    let mut out = session.out();
    writeln!(out, "{}: {}\n", group.name, group.summary)?;
    for command in commands {
        write_usage(&mut out, "", command.usage)?;
        writeln!(out, "    {}", command.summary)?;
    }
    Ok(())
}

fn explain(session: &mut Session<'_>, command: &Command) -> CommandResult {
    let mut out = session.out();
    write_usage(&mut out, "usage: ", command.usage)?;
    writeln!(out, "\n{}", command.summary)?;
    if !command.details.is_empty() {
        writeln!(out, "\n{}", command.details)?;
    }
    Ok(())
}

/// Writes how a command is called; further lines are indented.
fn write_usage(out: &mut dyn Write, lead: &str, usage: &str) -> fmt::Result {
    const INDENT: &str = "        ";
    out.write_str(lead)?;
    let mut column = lead.len();
    for (index, part) in parts(usage).enumerate() {
        if column + 1 + part.len() > LINE_WIDTH {
            write!(out, "\n{INDENT}{part}")?;
            column = INDENT.len() + part.len();
        } else {
            let blank = if index == 0 { "" } else { " " };
            write!(out, "{blank}{part}")?;
            column += blank.len() + part.len();
        }
    }
    writeln!(out)
}

/// Cuts a usage into words, what is in brackets being one.
fn parts(usage: &str) -> impl Iterator<Item = &str> {
    let mut depth = 0;
    usage.split(move |c: char| {
        depth += i32::from(c == '[') - i32::from(c == ']');
        c == ' ' && depth == 0
    })
}
