//! Objects, and the symbols of guests (`vm syms VM --upload`), that come in over the console.
//!
//! The protocol is made of text lines, so that it passes through any terminal, and of one
//! acknowledgement a line, so that it needs no flow control of the UART. `cargo xtask push` speaks
//! it; so can a terminal script.
//!
//! ```text
//! host   prog load --upload NAME              a command like any other
//! shell  upload: ready 1048576 57             the most bytes an object may have, and a line may carry
//! host   begin 3456 9ae0daaf                  the object's bytes, in decimal, and their CRC-32, in hex
//! shell  upload: got 0
//! host   f0VMRgIBAQAAAAAAAAAAAAEA9wABAAAA... base64 (RFC 4648, padded) of the next bytes
//! shell  upload: got 57                       the bytes that came so far; then the next line may follow
//! ...
//! shell  upload: done 3456                    instead of the last `got`; then comes the output of `prog load`
//! ```
//!
//! Lines end with `\n`; `\r` is skipped, and nothing is echoed. The host gives up with the line
//! `abort` or the byte 0x03 (Ctrl-C) at any time. When something is wrong, or no byte comes for
//! [`TIMEOUT_SECONDS`], the shell writes `upload: failed` and the reason, and is at its prompt
//! again: the host must not send the lines that are left.
//!
//! CRC-32 is the one of IEEE 802.3, as in zlib and in the `crc32` command.

use alloc::{format, string::String, vec::Vec};
use core::str;

use axebpf_platform::Clock;
use base64::{Engine, engine::general_purpose::STANDARD};

use super::{complaint::Complaint, io::Io};

/// The most bytes that an uploaded object may have.
pub const MAX_OBJECT: usize = 1 << 20;

/// The most bytes that uploaded symbols may have. The `/proc/kallsyms` of Debian's kernel has 10 MiB at most.
pub const MAX_SYMBOLS: usize = 16 << 20;

/// The most bytes of the object that one line carries: 76 characters of base64.
pub const CHUNK: usize = 57;

/// The seconds without a byte of input after which an upload fails.
pub const TIMEOUT_SECONDS: u64 = 10;

/// The longest line of the protocol, in bytes.
const MAX_INPUT: usize = 128;

/// Ctrl-C, as terminals send it.
const INTERRUPT: u8 = 0x03;

/// Returns the line that begins the upload of `object`, without its end.
///
/// ```
/// assert_eq!(axebpf::shell::upload::begin_line(b"123456789"), "begin 9 cbf43926");
/// ```
#[must_use]
pub fn begin_line(object: &[u8]) -> String {
    format!("begin {} {:08x}", object.len(), crc32fast::hash(object))
}

/// Returns the lines that carry `object`, in their order, without their ends.
pub fn data_lines(object: &[u8]) -> impl Iterator<Item = String> + '_ {
    object.chunks(CHUNK).map(|chunk| STANDARD.encode(chunk))
}

/// What the receiver answers to one line.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// So many bytes came so far; the next line may come.
    Got(usize),
    /// The object is whole.
    Done(Vec<u8>),
}

/// What came in so far.
#[derive(Debug)]
enum Receiver {
    /// Nothing.
    Waiting {
        /// The most bytes that may come.
        limit: usize,
    },
    /// The first line, and perhaps some of the object.
    Begun {
        len: usize,
        checksum: u32,
        bytes: Vec<u8>,
    },
}

impl Receiver {
    /// Takes one line, without its end.
    fn line(&mut self, line: &str) -> Result<Step, String> {
        if line == "abort" {
            return Err("the host gave up".into());
        }
        match self {
            &mut Self::Waiting { limit } => self.begin(line, limit),
            Self::Begun {
                len,
                checksum,
                bytes,
            } => {
                let data = STANDARD
                    .decode(line)
                    .map_err(|error| format!("after byte {}: {error}", bytes.len()))?;
                if data.is_empty() || data.len() > CHUNK || data.len() > *len - bytes.len() {
                    return Err(format!(
                        "after byte {} of {len}: a line of {} bytes",
                        bytes.len(),
                        data.len()
                    ));
                }
                bytes.extend_from_slice(&data);
                if bytes.len() < *len {
                    return Ok(Step::Got(bytes.len()));
                }
                let found = crc32fast::hash(bytes);
                if found != *checksum {
                    return Err(format!("CRC-32 is {found:08x}, not {checksum:08x}"));
                }
                Ok(Step::Done(core::mem::take(bytes)))
            }
        }
    }

    fn begin(&mut self, line: &str, limit: usize) -> Result<Step, String> {
        let mut words = line.split_ascii_whitespace();
        let parsed = match (words.next(), words.next(), words.next(), words.next()) {
            (Some("begin"), Some(len), Some(crc), None) => len
                .parse::<usize>()
                .ok()
                .zip(u32::from_str_radix(crc, 16).ok()),
            _ => None,
        };
        let (len, checksum) = parsed.ok_or("the first line is not `begin BYTES CRC32`")?;
        if len == 0 || len > limit {
            return Err(format!("{len} bytes; there can be 1 to {limit}"));
        }
        let mut bytes = Vec::new();
        bytes
            .try_reserve_exact(len)
            .map_err(|_| format!("no memory for {len} bytes"))?;
        *self = Self::Begun {
            len,
            checksum,
            bytes,
        };
        Ok(Step::Got(0))
    }
}

/// Receives one object of at most `limit` bytes.
pub(crate) fn receive(
    io: &mut dyn Io,
    clock: &(impl Clock + ?Sized),
    limit: usize,
) -> Result<Vec<u8>, Complaint> {
    io.write(&format!("upload: ready {limit} {CHUNK}\n"));
    let mut receiver = Receiver::Waiting { limit };
    loop {
        let step = read_line(io, clock).and_then(|line| receiver.line(&line));
        match step {
            Ok(Step::Got(bytes)) => io.write(&format!("upload: got {bytes}\n")),
            Ok(Step::Done(object)) => {
                io.write(&format!("upload: done {}\n", object.len()));
                return Ok(object);
            }
            Err(reason) => {
                io.write(&format!("upload: failed {reason}\n"));
                return Err(Complaint::new(format!("the upload failed: {reason}"))
                    .hint("`cargo xtask push` speaks the protocol of --upload"));
            }
        }
    }
}

/// Reads one line, without its end.
fn read_line(io: &mut dyn Io, clock: &(impl Clock + ?Sized)) -> Result<String, String> {
    let mut line = Vec::with_capacity(MAX_INPUT);
    let mut since = clock.now_ns();
    loop {
        let Some(byte) = io.read() else {
            if clock.now_ns().saturating_sub(since) > TIMEOUT_SECONDS * 1_000_000_000 {
                return Err(format!("no input for {TIMEOUT_SECONDS} seconds"));
            }
            io.idle();
            continue;
        };
        since = clock.now_ns();
        match byte {
            INTERRUPT => return Err("interrupted".into()),
            b'\r' => {}
            b'\n' => break,
            _ if line.len() == MAX_INPUT => {
                return Err(format!("a line of more than {MAX_INPUT} bytes"));
            }
            _ => line.push(byte),
        }
    }
    str::from_utf8(&line)
        .map(Into::into)
        .map_err(|_| "a line that is not text".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begun(object: &[u8]) -> Receiver {
        let mut receiver = Receiver::Waiting { limit: MAX_OBJECT };
        assert_eq!(receiver.line(&begin_line(object)), Ok(Step::Got(0)));
        receiver
    }

    #[test]
    fn an_object_comes_through_as_it_was() {
        let object: Vec<u8> = (0..200u8).collect();
        let mut receiver = begun(&object);
        let mut last = None;
        for line in data_lines(&object) {
            assert!(line.len() <= 76);
            last = Some(receiver.line(&line).unwrap());
        }
        assert_eq!(last, Some(Step::Done(object)));
    }

    #[test]
    fn what_is_wrong_is_said() {
        let mut receiver = Receiver::Waiting { limit: MAX_OBJECT };
        for line in ["", "begin", "begin x y", "begin 1 2 3", "f0VM"] {
            assert!(
                receiver.line(line).unwrap_err().contains("begin BYTES"),
                "{line}"
            );
        }
        assert!(receiver.line("begin 0 0").unwrap_err().contains("1 to"));
        assert!(
            receiver
                .line("begin 1048577 0")
                .unwrap_err()
                .contains("1048576")
        );
        assert!(receiver.line("abort").unwrap_err().contains("gave up"));
        assert!(
            begun(b"abc")
                .line("!!")
                .unwrap_err()
                .contains("after byte 0")
        );
        assert!(
            begun(b"abc")
                .line("YWJjZA==")
                .unwrap_err()
                .contains("4 bytes")
        );
        assert!(begun(b"abc").line("").unwrap_err().contains("0 bytes"));
        assert!(begun(b"abc").line("YWJk").unwrap_err().contains("CRC-32"));
        assert!(begun(b"abc").line("abort").unwrap_err().contains("gave up"));
    }
}
