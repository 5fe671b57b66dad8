//! The tree of commands.

use alloc::{format, string::String};

use super::{CommandResult, Session, args::Args, complaint::Complaint, help, parse::Line};

/// Commands that share their first word, or one command without a second word.
pub(crate) struct Group {
    pub(crate) name: &'static str,
    pub(crate) summary: &'static str,
    pub(crate) commands: Commands,
}

/// What a group has.
pub(crate) enum Commands {
    /// The first word is the whole command.
    One(Command),
    /// The second word chooses.
    #[cfg_attr(
        not(any(feature = "runtime", feature = "tracepoint-support")),
        expect(dead_code)
    )]
    Many(&'static [Command]),
    /// This build does not have the feature of this name, which the group needs.
    #[cfg_attr(
        all(
            feature = "runtime",
            feature = "tracepoint-support",
            feature = "symbols",
            feature = "guest-kprobe"
        ),
        expect(dead_code)
    )]
    Missing(&'static str),
}

/// One command.
pub(crate) struct Command {
    /// The word that chooses it within its group.
    pub(crate) name: &'static str,
    /// How it is called, whole.
    pub(crate) usage: &'static str,
    /// What it does, in a few words.
    pub(crate) summary: &'static str,
    /// What `help` says besides, in lines of at most 78 columns.
    pub(crate) details: &'static str,
    pub(crate) run: fn(&mut Session<'_>, Args<'_>) -> CommandResult,
}

#[cfg(feature = "tracepoint-support")]
const TRACE: Commands = Commands::Many(super::trace::COMMANDS);
#[cfg(not(feature = "tracepoint-support"))]
const TRACE: Commands = Commands::Missing("tracepoint-support");

#[cfg(feature = "runtime")]
const PROG: Commands = Commands::Many(super::prog::COMMANDS);
#[cfg(not(feature = "runtime"))]
const PROG: Commands = Commands::Missing("runtime");

#[cfg(feature = "runtime")]
const LINK: Commands = Commands::Many(super::link::COMMANDS);
#[cfg(not(feature = "runtime"))]
const LINK: Commands = Commands::Missing("runtime");

#[cfg(feature = "runtime")]
const MAP: Commands = Commands::Many(super::map::COMMANDS);
#[cfg(not(feature = "runtime"))]
const MAP: Commands = Commands::Missing("runtime");

#[cfg(all(feature = "hprobe", feature = "runtime"))]
const HPROBE: Commands = Commands::Many(super::hprobe::COMMANDS);
#[cfg(not(all(feature = "hprobe", feature = "runtime")))]
const HPROBE: Commands = Commands::Missing("hprobe");

#[cfg(all(feature = "guest-kprobe", feature = "runtime"))]
const VM: Commands = Commands::Many(super::vm::COMMANDS);
#[cfg(not(all(feature = "guest-kprobe", feature = "runtime")))]
const VM: Commands = Commands::Missing("guest-kprobe");

#[cfg(all(feature = "guest-kprobe", feature = "runtime"))]
const GSYM: Commands = Commands::One(super::gsym::COMMAND);
#[cfg(not(all(feature = "guest-kprobe", feature = "runtime")))]
const GSYM: Commands = Commands::Missing("guest-kprobe");

#[cfg(feature = "symbols")]
const SYM: Commands = Commands::One(super::sym::COMMAND);
#[cfg(not(feature = "symbols"))]
const SYM: Commands = Commands::Missing("symbols");

/// All commands, in the order in which `help` shows them.
pub(crate) const GROUPS: &[Group] = &[
    Group {
        name: "trace",
        summary: "tracepoints of the hypervisor",
        commands: TRACE,
    },
    Group {
        name: "prog",
        summary: "eBPF objects and their programs",
        commands: PROG,
    },
    Group {
        name: "link",
        summary: "programs attached to probe points",
        commands: LINK,
    },
    Group {
        name: "map",
        summary: "the data that programs keep",
        commands: MAP,
    },
    Group {
        name: "hprobe",
        summary: "probes on its functions",
        commands: HPROBE,
    },
    Group {
        name: "sym",
        summary: "symbols of the hypervisor",
        commands: SYM,
    },
    Group {
        name: "vm",
        summary: "guests whose kernels can be probed",
        commands: VM,
    },
    Group {
        name: "gsym",
        summary: "symbols of a guest's kernel",
        commands: GSYM,
    },
    Group {
        name: "help",
        summary: "this list, or one command",
        commands: Commands::One(help::COMMAND),
    },
];

/// Finds the group of this name.
pub(crate) fn group(name: &str) -> Result<&'static Group, Complaint> {
    GROUPS
        .iter()
        .find(|group| group.name == name)
        .ok_or_else(|| {
            Complaint::unknown(
                "command",
                name,
                GROUPS.iter().map(|group| group.name),
                "help",
            )
        })
}

/// Finds the command of this name within `group`.
pub(crate) fn within(group: &'static Group, name: &str) -> Result<&'static Command, Complaint> {
    let commands = match &group.commands {
        Commands::One(command) => return Ok(command),
        Commands::Many(commands) => commands,
        Commands::Missing(feature) => return Err(missing(group, feature)),
    };
    commands
        .iter()
        .find(|command| command.name == name)
        .ok_or_else(|| {
            let known = commands.iter().map(|command| command.name);
            Complaint::unknown(
                &format!("`{}` command", group.name),
                name,
                known,
                &format!("help {}", group.name),
            )
        })
}

/// Finds the command of a line with at least one word, and says how many words name it.
pub(crate) fn find(line: &Line<'_>) -> Result<(&'static Command, usize), Complaint> {
    let first = line.words.first().map_or("", |word| word.text.as_str());
    let group = group(first)?;
    match (&group.commands, line.words.get(1)) {
        (Commands::One(command), _) => Ok((command, 1)),
        (_, Some(second)) => within(group, &second.text).map(|command| (command, 2)),
        (Commands::Missing(feature), None) => Err(missing(group, feature)),
        (Commands::Many(commands), None) => {
            let names: String = commands
                .iter()
                .map(|command| command.name)
                .collect::<alloc::vec::Vec<_>>()
                .join("|");
            Err(
                Complaint::new(format!("`{}` needs one of its commands", group.name)).hint(
                    format!(
                        "usage: {} {names}; `help {}` says more",
                        group.name, group.name
                    ),
                ),
            )
        }
    }
}

/// Complains that the group needs a feature that this build does not have.
pub(crate) fn missing(group: &Group, feature: &str) -> Complaint {
    Complaint::new(format!(
        "`{}` needs the feature `{feature}` of axebpf, which this build does not have",
        group.name
    ))
    .hint(format!(
        "build the hypervisor with `axebpf = {{ features = [\"{feature}\"] }}`"
    ))
}
