//! Running other programs.

use std::{
    ffi::OsStr,
    fmt,
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
};

use anyhow::{Context, Result, bail};

/// Says what is done next.
pub(crate) fn say(what: impl fmt::Display) {
    println!("==> {what}");
}

/// Runs `command`, shows what it is and what it writes.
///
/// # Errors
///
/// When it cannot be run, or fails.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("    $ {}", shown(command));
    let status = command.status().with_context(|| cannot_run(command))?;
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// Like [`run`], and gives each line that the command writes to `read` too.
pub(crate) fn run_and_read(command: &mut Command, mut read: impl FnMut(&str)) -> Result<()> {
    println!("    $ {}", shown(command));
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| cannot_run(command))?;
    let (lines, received) = mpsc::channel();
    forward(child.stdout.take(), &lines);
    forward(child.stderr.take(), &lines);
    drop(lines);
    for line in received {
        println!("{line}");
        read(&line);
    }
    let status = child.wait()?;
    if !status.success() {
        bail!("`{}` failed ({status})", shown(command));
    }
    Ok(())
}

/// Sends the lines that come out of `pipe`, from a thread of their own.
fn forward(pipe: Option<impl Read + Send + 'static>, lines: &mpsc::Sender<String>) {
    let Some(pipe) = pipe else { return };
    let lines = lines.clone();
    thread::spawn(move || {
        for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
            // Nobody listens any more when the command's end has been seen.
            let _ = lines.send(String::from_utf8_lossy(&line).into_owned());
        }
    });
}

/// Runs `command` and returns what it wrote to standard output.
///
/// # Errors
///
/// When it cannot be run, or fails; the error shows what it wrote to standard error.
pub(crate) fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| cannot_run(command))?;
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        bail!(
            "`{}` failed ({})\n{}",
            shown(command),
            output.status,
            stderr.trim_end()
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Finds `program` in the folders of `PATH`.
pub(crate) fn find_program(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| is_executable(file))
}

#[cfg(unix)]
fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    file.metadata()
        .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
}

#[cfg(not(unix))]
fn is_executable(file: &Path) -> bool {
    file.is_file()
}

fn cannot_run(command: &Command) -> String {
    format!("cannot run `{}`", command.get_program().to_string_lossy())
}

/// Renders a command with the variables that it sets, as a shell would take it.
fn shown(command: &Command) -> String {
    let variables = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", name.to_string_lossy(), quoted(value?))));
    let words = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(quoted);
    variables.chain(words).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &OsStr) -> String {
    let word = word.to_string_lossy();
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.into_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}
