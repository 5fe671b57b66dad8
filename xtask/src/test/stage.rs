//! One stage of the tests, and what it came to.

use std::{
    fmt,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Result, ensure};

use crate::process::{run_and_read, say};

/// What a stage came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Failed,
    /// Something that it needs is not on this machine.
    NotRun {
        reason: String,
    },
}

/// One stage of the tests, after it ran.
pub(super) struct Stage {
    name: String,
    outcome: Outcome,
    took: Duration,
    /// How many tests passed, failed and were left out, where it ran tests.
    counts: Counts,
}

/// Tests by what they came to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    skipped: u64,
}

impl Stage {
    /// Runs a command that runs tests.
    pub(super) fn run(name: impl Into<String>, command: &mut Command) -> Self {
        let name = name.into();
        println!();
        say(format_args!("testing: {name}"));
        let started = Instant::now();
        let mut counts = Counts::default();
        let result = run_and_read(command, |line| counts.read(line));
        let result = result.and_then(|()| counts.check());
        Self::ended(name, started, result, counts)
    }

    /// Calls a function that tests.
    pub(super) fn call(name: impl Into<String>, test: impl FnOnce() -> Result<()>) -> Self {
        println!();
        let started = Instant::now();
        let result = test();
        Self::ended(name.into(), started, result, Counts::default())
    }

    /// Notes, and says, that a stage cannot be run here.
    pub(super) fn not_run(name: &str, reason: &str) -> Self {
        println!();
        say(format_args!("NOT RUN: {name}: {reason}"));
        Self {
            name: name.into(),
            outcome: Outcome::NotRun {
                reason: reason.into(),
            },
            took: Duration::ZERO,
            counts: Counts::default(),
        }
    }

    fn ended(name: String, started: Instant, result: Result<()>, counts: Counts) -> Self {
        if let Err(error) = &result {
            println!("    FAILED: {error:#}");
        }
        let outcome = if result.is_ok() {
            Outcome::Passed
        } else {
            Outcome::Failed
        };
        Self {
            name,
            outcome,
            took: started.elapsed(),
            counts,
        }
    }

    pub(super) fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let outcome = match &self.outcome {
            Outcome::Passed => "ok",
            Outcome::Failed => "FAILED",
            Outcome::NotRun { reason } => return write!(f, "NOT RUN {}: {reason}", self.name),
        };
        write!(
            f,
            "{outcome:<6} {:<56} {:>5.1} s",
            self.name,
            self.took.as_secs_f64()
        )?;
        let Counts {
            passed,
            failed,
            skipped,
        } = self.counts;
        if self.counts != Counts::default() {
            write!(f, "  {passed} passed")?;
        }
        if failed != 0 {
            write!(f, ", {failed} failed")?;
        }
        if skipped != 0 {
            write!(f, ", {skipped} skipped")?;
        }
        Ok(())
    }
}

impl Counts {
    /// Fails where no test has run: one that is not chosen any more would never be missed.
    fn check(&self) -> Result<()> {
        ensure!(self.passed != 0, "it ended well, but no test was run");
        Ok(())
    }

    /// Adds what a line of a test runner says:
    ///
    /// ```text
    ///      Summary [   0.019s] 9 tests run: 7 passed, 2 failed, 1 skipped     (nextest)
    /// test result: ok. 7 passed; 0 failed; 1 ignored; 0 measured; ...         (cargo test)
    /// ```
    fn read(&mut self, line: &str) {
        let summary = line.trim_start().starts_with("Summary [") && line.contains(" run: ");
        if !summary && !line.starts_with("test result: ") {
            return;
        }
        let words: Vec<&str> = line
            .split([' ', ',', ';'])
            .filter(|word| !word.is_empty())
            .collect();
        for pair in words.windows(2) {
            let (Ok(count), what) = (pair[0].parse::<u64>(), pair[1]) else {
                continue;
            };
            match what {
                "passed" => self.passed += count,
                "failed" | "timed" => self.failed += count,
                "skipped" | "ignored" => self.skipped += count,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::{Counts, Outcome, Stage};

    #[track_caller]
    fn check(line: &str, passed: u64, failed: u64, skipped: u64) {
        let mut counts = Counts::default();
        counts.read(line);
        assert_eq!(
            counts,
            Counts {
                passed,
                failed,
                skipped
            }
        );
    }

    #[test]
    fn summaries_of_the_runners_are_read() {
        check(
            "     Summary [   0.019s] 9 tests run: 7 passed, 2 failed, 1 skipped",
            7,
            2,
            1,
        );
        check(
            "     Summary [   0.019s] 9 tests run: 7 passed (1 slow), 0 skipped",
            7,
            0,
            0,
        );
        check(
            "test result: ok. 7 passed; 0 failed; 1 ignored; 0 measured; 3 filtered out",
            7,
            0,
            1,
        );
        check("running 7 tests", 0, 0, 0);
    }

    #[test]
    fn a_stage_without_a_test_fails() {
        let ended = |output: &str| Stage::run("a stage", Command::new("echo").arg(output)).outcome;
        let none = "test result: ok. 0 passed; 0 failed; 2 ignored; 0 measured; 3 filtered out";
        assert_eq!(ended(none), Outcome::Failed);
        assert_eq!(ended(""), Outcome::Failed);
        assert_eq!(
            ended(&none.replace("0 passed", "1 passed")),
            Outcome::Passed
        );
    }
}
