//! A shell at work.

use std::borrow::Cow;

use axebpf::Axebpf;
use axebpf::platform::mock::MockPlatform;
use axebpf::shell::{ObjectSource, Outcome, Shell, SourceEntry, SourceError};
use axebpf::symbols::{Encoder, Slide, SymbolTable};
use axebpf::tracepoint::define_event;

use crate::support::{ALL, COUNT, KINDS, LEAK, NAMES, SHARED, SPIN, TestIo, root};

macro_rules! events {
    ($($name:ident $type:ident,)*) => {$(
        define_event! {
            /// Something happened.
            pub(crate) event shell_test:$name as $type {
                /// What happened.
                value: u64,
                /// Where.
                cpu: u32,
            }
        }
    )*};
}

// One for each test, so that tests that run side by side do not see each other's.
events! {
    linked Linked,
    dumped Dumped,
    streamed Streamed,
    shown Shown,
    ringed Ringed,
    counted Counted,
    chained Chained,
    counted_in_vm CountedInVm,
    named Named,
}

/// Offers the objects of the tests.
pub(crate) struct Objects;

const OBJECTS: [(&str, &[u8]); 7] = [
    ("all", ALL),
    ("count", COUNT),
    ("kinds", KINDS),
    ("leak", LEAK),
    ("names", NAMES),
    ("shared", SHARED),
    ("spin", SPIN),
];

impl ObjectSource for Objects {
    fn list(&self) -> Vec<SourceEntry> {
        OBJECTS
            .map(|(name, elf)| SourceEntry {
                name: name.into(),
                len: elf.len(),
            })
            .into()
    }

    fn read(&self, name: &str) -> Result<Cow<'_, [u8]>, SourceError> {
        let found = OBJECTS.iter().find(|(known, _)| *known == name);
        found
            .map(|(_, elf)| (*elf).into())
            .ok_or_else(|| SourceError::NotFound { name: name.into() })
    }
}

/// A shell at work.
pub(crate) struct Session {
    pub(crate) root: Axebpf<MockPlatform>,
    pub(crate) io: TestIo,
}

impl Session {
    pub(crate) fn new() -> Self {
        Self {
            root: root(),
            io: TestIo::default(),
        }
    }

    pub(crate) fn run(&mut self, line: &str) -> (Outcome, String) {
        let outcome = Shell::new(&self.root, &Objects).run_line(&mut self.io, line);
        self.checked(outcome)
    }

    /// Runs a line in a shell that knows the symbol `handle_exit`.
    pub(crate) fn run_with_symbols(&mut self, line: &str) -> (Outcome, String) {
        let mut encoder = Encoder::new();
        encoder
            .push("handle_exit", 0x4008_1000, 0x100, 'T')
            .unwrap();
        let blob = encoder.finish().unwrap();
        let symbols = SymbolTable::from_blob(&blob, Slide::new(0)).unwrap();
        let outcome = Shell::new(&self.root, &Objects)
            .with_symbols(&symbols)
            .run_line(&mut self.io, line);
        self.checked(outcome)
    }

    fn checked(&mut self, outcome: Outcome) -> (Outcome, String) {
        let output = self.io.take();
        for line in output.lines() {
            assert!(line.chars().count() <= 80, "longer than 80 columns: {line}");
            assert_eq!(line, line.trim_end(), "blanks at the end of a line");
        }
        (outcome, output)
    }

    /// Runs a line that must succeed.
    pub(crate) fn ok(&mut self, line: &str) -> String {
        let (outcome, output) = self.run(line);
        assert_eq!(outcome, Outcome::Done, "{line}: {output}");
        output
    }

    /// Runs a line that must fail.
    pub(crate) fn fails(&mut self, line: &str) -> String {
        let (outcome, output) = self.run(line);
        assert_eq!(outcome, Outcome::Failed, "{line}: {output}");
        assert!(output.starts_with("error: "), "{line}: {output}");
        output
    }

    /// Runs a line that must fail, with a message that has all of `parts`.
    pub(crate) fn complains(&mut self, line: &str, parts: &[&str]) {
        let output = self.fails(line);
        let flat = output.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in parts {
            assert!(flat.contains(part), "{line}: no {part:?} in {output}");
        }
    }
}
