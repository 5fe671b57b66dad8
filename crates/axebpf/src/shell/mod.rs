//! A shell for the console of a hypervisor.
//!
//! Any console can host it: the hypervisor reads its lines as ever, and gives those that start with
//! one of [`Shell::commands`] to [`Shell::run_line`], with an [`Io`] to write to. Objects come from
//! an [`ObjectSource`] or, over the console itself, by `upload`.
//!
//! `help` lists the commands, `help COMMAND` explains one. Output is laid out for 80 columns.
//! Errors say what was wrong and, in the line below, what would be right.
//!
//! # Examples
//!
//! ```
//! # fn main() -> Result<(), axebpf::Error> {
//! use axebpf::Axebpf;
//! use axebpf::platform::mock::MOCK;
//! use axebpf::shell::{Io, NoObjects, Outcome, Shell};
//!
//! /// The hypervisor's console.
//! struct Console(String);
//!
//! impl Io for Console {
//!     fn write(&mut self, text: &str) {
//!         self.0.push_str(text);
//!     }
//!
//!     fn interrupted(&mut self) -> bool {
//!         false
//!     }
//! }
//!
//! let axebpf = Axebpf::new(&MOCK)?;
//! let shell = Shell::new(&axebpf, &NoObjects);
//! let mut console = Console(String::new());
//!
//! assert_eq!(shell.run_line(&mut console, "help"), Outcome::Done);
//! assert!(console.0.contains("explains one"));
//!
//! console.0.clear();
//! assert_eq!(shell.run_line(&mut console, "hlep"), Outcome::Failed);
//! assert!(console.0.contains("did you mean `help`?"));
//! # Ok(())
//! # }
//! ```
//!
//! The events `shell:shell_init` and `shell:shell_command` are about the hypervisor's own shell, which
//! fires them for all of its commands, these among them.

mod args;
mod command;
mod complaint;
mod help;
#[cfg(any(feature = "runtime", feature = "tracepoint-support"))]
mod hist;
mod io;
mod parse;
mod source;
mod table;
#[cfg(feature = "runtime")]
pub mod upload;

#[cfg(feature = "runtime")]
mod disasm;
#[cfg(feature = "runtime")]
mod find;
#[cfg(all(feature = "guest-kprobe", feature = "runtime"))]
mod gsym;
#[cfg(all(feature = "hprobe", feature = "runtime"))]
mod hprobe;
#[cfg(feature = "runtime")]
mod layout;
#[cfg(feature = "runtime")]
mod link;
#[cfg(feature = "runtime")]
mod map;
#[cfg(all(feature = "runtime", feature = "symbols"))]
mod names;
#[cfg(feature = "runtime")]
mod prog;
#[cfg(any(feature = "runtime", feature = "tracepoint-support"))]
mod stream;
#[cfg(feature = "symbols")]
mod sym;
#[cfg(feature = "symbols")]
mod symbol_row;
#[cfg(feature = "tracepoint-support")]
mod trace;
#[cfg(all(feature = "guest-kprobe", feature = "runtime"))]
mod vm;

use core::fmt;

#[cfg(feature = "symbols")]
use axebpf_symbols::SymbolTable;

use self::{args::Args, command::GROUPS, complaint::Complaint, io::Out};
pub use self::{
    io::Io,
    parse::{MAX_LINE, MAX_WORDS},
    source::{NoObjects, ObjectSource, SourceEntry, SourceError},
};
use crate::Registry;

/// How a line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a script must not go on as if nothing happened when a command failed"]
pub enum Outcome {
    /// It did what it says.
    Done,
    /// It changed nothing, or not all that it should have; the reason has been written.
    Failed,
}

/// The shell. All that it shows and changes is in the [`Registry`] and in the image; it keeps only
/// how far `trace stream` has come.
#[cfg_attr(
    not(all(feature = "runtime", feature = "tracepoint-support")),
    allow(dead_code)
)]
pub struct Shell<'a> {
    registry: &'a Registry,
    source: &'a dyn ObjectSource,
    #[cfg(feature = "symbols")]
    symbols: Option<&'a SymbolTable<'a>>,
    #[cfg(feature = "tracepoint-support")]
    position: spin::mutex::SpinMutex<Option<trace::stream::Position>>,
}

impl<'a> Shell<'a> {
    /// Makes a shell for `registry` (an [`Axebpf`](crate::Axebpf) is one) that loads objects from
    /// `source`.
    #[must_use]
    pub fn new(registry: &'a Registry, source: &'a dyn ObjectSource) -> Self {
        Self {
            registry,
            source,
            #[cfg(feature = "symbols")]
            symbols: None,
            #[cfg(feature = "tracepoint-support")]
            position: spin::mutex::SpinMutex::new(None),
        }
    }

    /// Gives the shell the symbols of the hypervisor image, for `sym`, for call stacks, and for the
    /// addresses that programs print.
    #[cfg(feature = "symbols")]
    #[must_use]
    pub fn with_symbols(mut self, symbols: &'a SymbolTable<'a>) -> Self {
        self.symbols = Some(symbols);
        self
    }

    /// Returns the first words of the lines that this shell understands.
    pub fn commands() -> impl Iterator<Item = &'static str> {
        GROUPS.iter().map(|group| group.name)
    }

    /// Runs one line, without its end. An empty one does nothing.
    ///
    /// Whatever the line holds, the worst that happens is [`Outcome::Failed`], with the reason
    /// written to `io`.
    pub fn run_line(&self, io: &mut dyn Io, line: &str) -> Outcome {
        let result = self.try_line(io, line);
        match result {
            Ok(()) => Outcome::Done,
            Err(complaint) => {
                // An `Io` takes every write, so there is no error to pass on.
                let _ = complaint.write(&mut Out(io));
                Outcome::Failed
            }
        }
    }

    fn try_line(&self, io: &mut dyn Io, line: &str) -> Result<(), Complaint> {
        let line = parse::parse(line)?;
        if line.words.is_empty() {
            return match line.filter {
                None => Ok(()),
                Some(_) => Err(Complaint::new("there is no command before `if`")
                    .hint("usage: trace enable GLOB if FILTER")),
            };
        }
        let mut session = Session { shell: self, io };
        if line.words.iter().any(|word| word.text == "--help") {
            let topic = line
                .words
                .iter()
                .filter(|word| !word.text.starts_with("--"));
            return help::topic(&mut session, topic.map(|word| word.text.as_str()).take(2));
        }
        let (command, skip) = command::find(&line)?;
        (command.run)(&mut session, Args::new(&line, skip, command.usage))
    }
}

impl fmt::Debug for Shell<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shell").finish_non_exhaustive()
    }
}

/// What a running command works with.
#[cfg_attr(not(any(feature = "runtime", feature = "symbols")), allow(dead_code))]
struct Session<'a> {
    shell: &'a Shell<'a>,
    io: &'a mut dyn Io,
}

impl Session<'_> {
    /// Returns what the command writes to.
    fn out(&mut self) -> Out<'_> {
        Out(self.io)
    }
}

/// What a command returns: its output is written by then.
type CommandResult = Result<(), Complaint>;
