//! LLVM's disassembler.

use std::{
    fmt::Write as _,
    io::Write,
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context, Result, ensure};

/// The names under which the disassembler may be installed, the best first.
const NAMES: [&str; 2] = ["llvm-mc-22", "llvm-mc"];

/// What the disassembler says about a word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// An instruction.
    Instruction(String),
    /// One whose effect is undefined.
    Undefined(String),
    /// None.
    Nothing,
}

/// LLVM's disassembler.
#[derive(Clone, Debug)]
pub struct Disassembler {
    program: &'static str,
}

impl Disassembler {
    /// Finds it.
    #[must_use]
    pub fn find() -> Option<Self> {
        let runs = |name: &&str| {
            let version = Command::new(name).arg("--version").output();
            version.is_ok_and(|output| output.status.success())
        };
        NAMES.into_iter().find(runs).map(|program| Self { program })
    }

    /// Returns what it says about each of `words`.
    ///
    /// # Errors
    ///
    /// When it does not run, or does not write what is expected.
    pub fn verdicts(&self, words: &[u32]) -> Result<Vec<Verdict>> {
        let mut input = String::new();
        for word in words {
            let [a, b, c, d] = word.to_le_bytes();
            writeln!(input, "{a:#x} {b:#x} {c:#x} {d:#x}")?;
        }
        let mut child = Command::new(self.program)
            .args(["--disassemble", "--triple=aarch64", "--mattr=+all"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let mut stdin = child.stdin.take().context("no input")?;
        let output = thread::scope(|scope| {
            scope.spawn(move || stdin.write_all(input.as_bytes()));
            child.wait_with_output()
        })?;
        let mut verdicts = vec![None; words.len()];
        for warning in String::from_utf8_lossy(&output.stderr).lines() {
            read_warning(warning, &mut verdicts);
        }
        let stdout = String::from_utf8_lossy(&output.stdout);
        let mut texts = stdout
            .lines()
            .map(|line| line.trim().replace('\t', " "))
            .filter(|line| !line.is_empty() && !line.starts_with('.'));
        let verdicts: Option<Vec<Verdict>> = verdicts
            .into_iter()
            .map(|verdict| match verdict {
                Some(Verdict::Nothing) => verdict,
                Some(_) => texts.next().map(Verdict::Undefined),
                None => texts.next().map(Verdict::Instruction),
            })
            .collect();
        ensure!(texts.next().is_none(), "more instructions than words");
        verdicts.context("fewer instructions than words")
    }

    /// Returns the text of one instruction.
    pub(crate) fn text(&self, word: u32) -> Option<String> {
        match self.verdicts(&[word]).ok()?.pop()? {
            Verdict::Instruction(text) | Verdict::Undefined(text) => Some(text),
            Verdict::Nothing => None,
        }
    }
}

/// Reads a line such as `<stdin>:3:1: warning: invalid instruction encoding`.
fn read_warning(line: &str, verdicts: &mut [Option<Verdict>]) {
    let verdict = match line.split_once("warning: ") {
        Some((_, "invalid instruction encoding")) => Verdict::Nothing,
        Some((_, "potentially undefined instruction encoding")) => {
            Verdict::Undefined(String::new())
        }
        _ => return,
    };
    let number = line.split(':').nth(1).and_then(|n| n.parse::<usize>().ok());
    if let Some(slot) = number.and_then(|n| verdicts.get_mut(n.checked_sub(1)?)) {
        *slot = Some(verdict);
    }
}
