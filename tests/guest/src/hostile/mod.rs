//! A guest that does its worst to whoever probes it.
//!
//! It does what is typed at its serial line, a word at a time, and says what came of it. What it says is the same
//! whether it is probed or not: that is what its tests compare.

mod arena;
mod cases;
mod duel;
mod frame;
mod rival;
mod text;

use crate::console::{self, println};

/// The longest line that is understood.
const LINE: usize = 64;

/// Does what is typed, for ever.
pub(crate) fn run() -> ! {
    arena::build();
    text::install();
    arena::enter();
    println!("hostile: ready, with vectors at {:#x}", frame::vectors());
    loop {
        let mut line = [0; LINE];
        let words = read_line(&mut line);
        let mut words = words.split_ascii_whitespace();
        let verb = words.next().unwrap_or_default();
        let number = words.next().and_then(|word| word.parse().ok());
        match verb {
            "cases" => cases::run(),
            "count" => cases::count(number.unwrap_or(100)),
            "foreign" => cases::foreign(),
            "device" => cases::push_to_device(),
            "rewrite" => duel::rewrite(number.unwrap_or(500)),
            "remap" => duel::remap(number.unwrap_or(500)),
            "storm" => duel::storm(number.unwrap_or(500)),
            "share" => duel::share(number.unwrap_or(200)),
            "reset" => duel::reset(number.unwrap_or(20)),
            _ => println!("hostile: what is `{verb}`?"),
        }
        println!("hostile: done");
    }
}

/// Returns what is typed next, up to the end of the line.
fn read_line(line: &mut [u8; LINE]) -> &str {
    let mut len = 0;
    loop {
        match console::read_byte() {
            Some(b'\r' | b'\n') => break,
            Some(byte) if len < LINE => {
                line[len] = byte;
                len += 1;
            }
            _ => core::hint::spin_loop(),
        }
    }
    core::str::from_utf8(&line[..len]).unwrap_or_default()
}
