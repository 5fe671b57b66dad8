//! The cases: what is typed at the shell, and what must come.

use std::{path::Path, time::Duration};

use anyhow::{Context, Result, bail};

use crate::{Machine, Options, Pattern};

/// One case.
///
/// A text file of lines, each of which begins with what it is:
///
/// ```text
/// # a comment
/// $ trace list vmm:vcpu_*       types a command and waits for the next prompt
/// < vmm:vcpu_run_exit  *        the command's output has, after the last such line, one that matches
/// ! *panic*                     no line of the command's output matches
/// ~ 30 * <n+> *                 repeats the command until a line matches, for as many seconds as it says
/// ```
///
/// [`Pattern`] says how lines match.
#[derive(Debug)]
pub struct Script {
    steps: Vec<Step>,
}

/// One command and what is expected of it.
#[derive(Debug)]
struct Step {
    line: usize,
    command: String,
    checks: Vec<Check>,
}

#[derive(Debug)]
enum Check {
    Next(Expected),
    Never(Expected),
    Within(Duration, Expected),
}

#[derive(Debug)]
struct Expected {
    line: usize,
    text: String,
    pattern: Pattern,
}

impl Script {
    /// Reads the case at `path`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read or has a line of no known kind.
    pub fn read(path: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&text).with_context(|| path.display().to_string())
    }

    /// Reads a case from its text.
    ///
    /// # Errors
    ///
    /// When a line is of no known kind.
    pub fn parse(text: &str) -> Result<Self> {
        let mut steps: Vec<Step> = Vec::new();
        for (index, content) in text.lines().enumerate() {
            let line = index + 1;
            let (kind, rest) = content.split_once(' ').unwrap_or((content, ""));
            if kind.is_empty() || kind.starts_with('#') {
                continue;
            }
            if kind == "$" {
                steps.push(Step {
                    line,
                    command: rest.to_owned(),
                    checks: Vec::new(),
                });
                continue;
            }
            let check = parse_check(kind, rest, line)?;
            let step = steps
                .last_mut()
                .with_context(|| format!("line {line}: no command yet"))?;
            step.checks.push(check);
        }
        Ok(Self { steps })
    }

    /// Boots `image` and goes through the case.
    ///
    /// # Errors
    ///
    /// When something does not come as the case says.
    pub fn run(&self, image: &Path, options: &Options) -> Result<()> {
        let mut machine = Machine::boot(image, options)?;
        for step in &self.steps {
            run_step(step, &mut machine)
                .with_context(|| format!("line {}: `{}`", step.line, step.command))?;
        }
        machine.shut_down()
    }
}

fn parse_check(kind: &str, rest: &str, line: usize) -> Result<Check> {
    let expected = |text: &str| Expected {
        line,
        text: text.to_owned(),
        pattern: Pattern::new(text),
    };
    Ok(match kind {
        "<" => Check::Next(expected(rest)),
        "!" => Check::Never(expected(rest)),
        "~" => {
            let (seconds, text) = rest.split_once(' ').unwrap_or((rest, ""));
            let seconds = seconds
                .parse()
                .with_context(|| format!("line {line}: no seconds"))?;
            Check::Within(Duration::from_secs(seconds), expected(text))
        }
        _ => bail!("line {line}: begins with {kind:?}, not with one of # $ < ! ~"),
    })
}

fn run_step(step: &Step, machine: &mut Machine) -> Result<()> {
    let mut output = machine.command(&step.command)?;
    let mut from = 0;
    for check in &step.checks {
        match check {
            Check::Next(expected) => {
                let found = output
                    .lines()
                    .skip(from)
                    .position(|l| expected.pattern.matches(l));
                let Some(found) = found else {
                    bail!(
                        "line {}: nothing matches `{}` in\n{output}",
                        expected.line,
                        expected.text
                    );
                };
                from += found + 1;
            }
            Check::Never(expected) => {
                if let Some(line) = output.lines().find(|l| expected.pattern.matches(l)) {
                    bail!(
                        "line {}: `{line}` matches `{}`",
                        expected.line,
                        expected.text
                    );
                }
            }
            Check::Within(limit, expected) => {
                output = repeat(step, machine, *limit, expected)?;
                from = 0;
            }
        }
    }
    Ok(())
}

/// Repeats the command until a line of its output matches, and returns that output.
fn repeat(
    step: &Step,
    machine: &mut Machine,
    limit: Duration,
    expected: &Expected,
) -> Result<String> {
    let deadline = std::time::Instant::now() + limit;
    loop {
        let output = machine.command(&step.command)?;
        if output.lines().any(|line| expected.pattern.matches(line)) {
            return Ok(output);
        }
        if std::time::Instant::now() >= deadline {
            bail!(
                "line {}: no `{}` within {limit:?}, but\n{output}",
                expected.line,
                expected.text
            );
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[cfg(test)]
mod tests {
    use super::Script;

    #[test]
    fn a_case_is_read_line_by_line() {
        let script = Script::parse("# boots\n\n$ help\n< trace *\n! *panic*\n~ 5 <n+>\n");
        assert_eq!(script.map(|script| script.steps.len()).ok(), Some(1));
    }

    #[test]
    fn what_is_no_step_is_refused() {
        for text in ["< early", "$ a\n? b", "$ a\n~ soon x"] {
            assert!(Script::parse(text).is_err(), "{text}");
        }
    }
}
