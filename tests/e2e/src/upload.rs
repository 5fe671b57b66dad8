//! Loading an object into a running hypervisor, or giving it the symbols of a guest, over its console.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use axebpf::shell::upload::{begin_line, data_lines};

use crate::{Console, PROMPT};

/// How long the shell may take for one line.
const TIMEOUT: Duration = Duration::from_secs(20);

/// Loads `object` under `name` with `prog load --upload`, and returns what that command wrote.
///
/// The console is at its prompt before and after. `options` are further options of `prog load`, such as `--attach`.
/// `progress` is told how many bytes are there each time the shell says so.
///
/// # Errors
///
/// When the shell refuses the upload, or does not answer.
pub fn upload(
    console: &mut Console,
    name: &str,
    options: &str,
    object: &[u8],
    progress: impl FnMut(usize),
) -> Result<String> {
    let command = format!("prog load --upload {name} {options}");
    upload_by(console, command.trim_end(), object, progress)
}

/// Sends `bytes` to a running hypervisor with `command`, which takes an upload, such as `vm syms 1 --upload`, and
/// returns what that command wrote.
///
/// The rest is as for [`upload`].
///
/// # Errors
///
/// When the shell refuses the upload, or does not answer.
pub fn upload_by(
    console: &mut Console,
    command: &str,
    bytes: &[u8],
    mut progress: impl FnMut(usize),
) -> Result<String> {
    console.take();
    console.send_line(command)?;
    answer(console, "upload: ready ").context("the shell takes no uploads")?;
    for line in std::iter::once(begin_line(bytes)).chain(data_lines(bytes)) {
        console.send(line.as_bytes())?;
        console.send(b"\n")?;
        let said = answer(console, "upload: ")?;
        if let Some(bytes) = said.strip_prefix("got ") {
            progress(
                bytes
                    .trim()
                    .parse()
                    .context("the shell said how many bytes it got")?,
            );
        } else if said.starts_with("done ") {
            let output = console.expect(&format!("\n{PROMPT}"), TIMEOUT)?;
            return Ok(output[..output.len() - PROMPT.len()].to_owned());
        } else {
            bail!("the shell says: {}", said.trim());
        }
    }
    bail!(
        "the shell wants more than the whole object\n{}",
        console.tail()
    )
}

/// Waits for a line that begins with `start`, and returns the rest of it.
fn answer(console: &mut Console, start: &str) -> Result<String> {
    let said = console.expect_any(&[start, "\nerror", PROMPT], TIMEOUT)?;
    if !said.ends_with(start) {
        bail!("the shell says:\n{said}");
    }
    console.expect("\n", TIMEOUT)
}
