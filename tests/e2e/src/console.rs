//! The serial line of a machine: what it wrote so far, and waiting for more.

use std::{
    io::{Read, Write},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail};

/// What the shell writes when it waits for a command.
pub const PROMPT: &str = "axebpf> ";

/// The last lines of a transcript that an error shows.
const SHOWN_LINES: usize = 40;

/// The characters of a line that an error shows.
const SHOWN_COLUMNS: usize = 200;

/// The serial line of a machine.
pub struct Console {
    input: Box<dyn Write + Send>,
    shared: Arc<Shared>,
    /// Up to where the output was taken.
    taken: usize,
}

/// What the reading thread shares with the console.
#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    output: String,
    closed: bool,
    /// Whether what comes is also written to standard output.
    live: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is text that only grows: a thread that panicked left it whole.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Console {
    /// Takes over both ends of the line and begins to read.
    #[must_use]
    pub fn new(input: impl Write + Send + 'static, output: impl Read + Send + 'static) -> Self {
        let shared = Arc::new(Shared::default());
        let reader = Arc::clone(&shared);
        thread::spawn(move || read_all(output, &reader));
        Self {
            input: Box::new(input),
            shared,
            taken: 0,
        }
    }

    /// From now on, writes what the machine writes to standard output too.
    pub fn show_live(&self) {
        self.shared.lock().live = true;
    }

    /// Sends one line a character at a time, with `pause` after each: as fast as somebody reads along.
    ///
    /// # Errors
    ///
    /// When the machine is gone.
    pub fn type_line(&mut self, line: &str, pause: Duration) -> Result<()> {
        for byte in line.bytes() {
            self.send(&[byte])?;
            thread::sleep(pause);
        }
        self.send(b"\r")
    }

    /// Sends one line, as a user would who then presses Enter.
    ///
    /// # Errors
    ///
    /// When the machine is gone.
    pub fn send_line(&mut self, line: &str) -> Result<()> {
        self.send(line.as_bytes())?;
        self.send(b"\r")
    }

    /// Sends bytes as they are.
    ///
    /// # Errors
    ///
    /// When the machine is gone.
    pub fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.input
            .write_all(bytes)
            .and_then(|()| self.input.flush())
            .with_context(|| format!("the machine takes no more input\n{}", self.tail()))
    }

    /// Waits until `text` appears in what was not taken yet, and takes everything up to its end.
    ///
    /// # Errors
    ///
    /// When the text has not come after `timeout`, or the machine ended before; the error shows the transcript's end.
    pub fn expect(&mut self, text: &str, timeout: Duration) -> Result<String> {
        self.expect_any(&[text], timeout)
    }

    /// Waits until one of `texts` appears in what was not taken yet, and takes everything up to its end.
    ///
    /// # Errors
    ///
    /// As [`expect`](Self::expect).
    pub fn expect_any(&mut self, texts: &[&str], timeout: Duration) -> Result<String> {
        let deadline = Instant::now() + timeout;
        let mut state = self.shared.lock();
        loop {
            let rest = &state.output[self.taken..];
            let ends = texts
                .iter()
                .filter_map(|text| Some(rest.find(text)? + text.len()));
            if let Some(end) = ends.min() {
                let taken = rest[..end].to_owned();
                self.taken += end;
                return Ok(taken);
            }
            let now = Instant::now();
            let closed = state.closed;
            if closed || now >= deadline {
                drop(state);
                let why = if closed {
                    "the machine ended"
                } else {
                    "timed out"
                };
                let what = texts.join("\" or \"");
                bail!(
                    "{why} while waiting for \"{what}\" ({timeout:?})\n{}",
                    self.tail()
                );
            }
            let waited = self.shared.changed.wait_timeout(state, deadline - now);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Takes what has come since the last time, without waiting.
    pub fn take(&mut self) -> String {
        let state = self.shared.lock();
        let taken = state.output[self.taken..].to_owned();
        self.taken = state.output.len();
        taken
    }

    /// Returns everything that the machine wrote.
    #[must_use]
    pub fn transcript(&self) -> String {
        self.shared.lock().output.clone()
    }

    /// Returns the last lines of the transcript, for an error to show.
    #[must_use]
    pub fn tail(&self) -> String {
        let transcript = self.transcript();
        let lines: Vec<String> = transcript.lines().map(shortened).collect();
        let shown = lines[lines.len().saturating_sub(SHOWN_LINES)..].join("\n    ");
        format!("  the console ended with:\n    {shown}")
    }
}

/// Returns what the command `line` wrote, given all that came from the moment it was typed up to the next prompt.
///
/// Guests can write in between, always whole lines: they are left out. One that comes while `line` is echoed cuts the
/// echo in two.
pub(crate) fn answer(output: &str, line: &str) -> String {
    let lines = || output.split_inclusive('\n');
    let mut echo = String::new();
    let echoed = lines().position(|part| {
        let guest = guest_line(part);
        echo += part[..guest.unwrap_or(part.len())].trim_end_matches('\n');
        guest.is_none() && echo.ends_with(line)
    });
    // What was typed with characters that edit it does not come back as it was, but on one line.
    let first = echoed.unwrap_or_default() + 1;
    let said = lines().skip(first);
    said.filter(|part| guest_line(part) != Some(0)).collect()
}

/// Returns where in `line` that of a guest begins: `vm1: ...`.
fn guest_line(line: &str) -> Option<usize> {
    let mut starts = line.match_indices("vm").map(|(at, _)| at);
    starts.find(|at| {
        let number = &line[at + 2..];
        let rest = number.trim_start_matches(|c: char| c.is_ascii_digit());
        rest.len() < number.len() && rest.starts_with(": ")
    })
}

/// Cuts a line to what an error shows of it.
pub(crate) fn shortened(line: &str) -> String {
    match line.char_indices().nth(SHOWN_COLUMNS) {
        Some((end, _)) => format!("{}... ({} bytes)", &line[..end], line.len()),
        None => line.to_owned(),
    }
}

/// Reads until the machine closes the line.
fn read_all(mut output: impl Read, shared: &Shared) {
    let mut buffer = [0; 4096];
    let mut partial = Vec::new();
    loop {
        let count = match output.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(count) => count,
        };
        partial.extend_from_slice(&buffer[..count]);
        let text = take_text(&mut partial);
        let mut state = shared.lock();
        state.output.push_str(&text);
        if state.live {
            print!("{text}");
            // Somebody who closed standard output does not look any more.
            let _ = std::io::stdout().flush();
        }
        drop(state);
        shared.changed.notify_all();
    }
    shared.lock().closed = true;
    shared.changed.notify_all();
}

/// Takes the text that is complete out of `bytes`: without carriage returns, what is no UTF-8 replaced.
///
/// A character that came only in part stays for the next time.
fn take_text(bytes: &mut Vec<u8>) -> String {
    let complete = match std::str::from_utf8(bytes) {
        Ok(_) => bytes.len(),
        Err(error) if error.error_len().is_none() => error.valid_up_to(),
        Err(_) => bytes.len(),
    };
    let text = String::from_utf8_lossy(&bytes[..complete]).replace('\r', "");
    bytes.drain(..complete);
    text
}

#[cfg(test)]
mod tests {
    use super::{answer, take_text};

    #[test]
    fn answers_are_without_echo_and_guests() {
        let said = "number 1\n  of vm1: two\n";
        for (output, line) in [
            ("vm list\n", "vm list"),
            ("vm li", "vm list"),
            ("", ""),
            ("\n", ""),
            ("vm1: a\nvm list\n", "vm list"),
            ("vm lvm1: a\nisvm12: vm list\nt\n", "vm list"),
            ("vm listvm1: a\n\n", "vm list"),
            ("last of a guest's line\nvm list\nvm2: \n", "vm list"),
            ("vm lo\x08 \x08ist\nvm1: a\n", "vm lo\x08ist"),
        ] {
            assert_eq!(answer(output, line), "", "{output:?}");
            if output.ends_with('\n') {
                let all = format!("{output}number 1\nvm1: b\n  of vm1: two\n");
                assert_eq!(answer(&all, line), said, "{output:?}");
            }
        }
    }

    #[test]
    fn text_is_taken_in_whole_characters() {
        let mut bytes = "a\r\nµ".as_bytes().to_vec();
        let last = bytes.pop().unwrap_or_default();
        assert_eq!(take_text(&mut bytes), "a\n");
        bytes.push(last);
        assert_eq!(take_text(&mut bytes), "µ");
        assert!(bytes.is_empty());
    }

    #[test]
    fn what_is_no_text_is_replaced() {
        let mut bytes = vec![b'a', 0xff, b'b'];
        assert_eq!(take_text(&mut bytes), "a\u{fffd}b");
    }
}
