//! Reading a line from the console.

use alloc::string::String;

use axebpf::shell::MAX_LINE;

use super::{console::println, sched, timer, uart};

const BACKSPACE: u8 = 8;
const DELETE: u8 = 127;
const INTERRUPT: u8 = 3;

/// Reads a line, echoing it, while other tasks run.
///
/// Of a line that is too long the shell gets enough to see that; the rest is read and thrown away.
pub(crate) fn read() -> String {
    let mut line = String::new();
    loop {
        match uart::read() {
            None => sched::block(timer::NEVER, uart::has_input),
            Some(b'\r' | b'\n') => {
                println!();
                return line;
            }
            Some(INTERRUPT) => {
                println!("^C");
                return String::new();
            }
            Some(BACKSPACE | DELETE) => {
                if line.pop().is_some() {
                    uart::write(b"\x08 \x08");
                }
            }
            Some(byte) if is_text(byte) && line.len() <= MAX_LINE => {
                line.push(byte.into());
                uart::write(&[byte]);
            }
            Some(_) => {}
        }
    }
}

fn is_text(byte: u8) -> bool {
    byte.is_ascii_graphic() || byte == b' '
}
