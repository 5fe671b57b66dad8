//! What the tests of the facade share.
#![allow(dead_code)]

use std::collections::VecDeque;

use axebpf::Axebpf;
use axebpf::platform::mock::{MOCK, MockPlatform, advance_mock_time};
use axebpf::shell::Io;

/// Makes a root on the mock platform.
pub(crate) fn root() -> Axebpf<MockPlatform> {
    Axebpf::new(&MOCK).expect("the mock platform is the only one")
}

macro_rules! object {
    ($name:literal) => {
        include_bytes!(concat!("../objects/", $name, ".bpf.o"))
    };
}

/// Counts pings in `totals` and `by_value`.
pub(crate) const COUNT: &[u8] = object!("count");
/// Uses everything that a program can use.
pub(crate) const ALL: &[u8] = object!("all");
/// Leaves a reservation behind.
pub(crate) const LEAK: &[u8] = object!("leak");
/// Prints an address in the ways that have names.
pub(crate) const NAMES: &[u8] = object!("names");
/// Never ends by itself.
pub(crate) const SPIN: &[u8] = object!("spin");
/// Counts in a map that is pinned by name.
pub(crate) const SHARED: &[u8] = object!("shared");
/// Has maps of all kinds, and a program that calls another one.
pub(crate) const KINDS: &[u8] = object!("kinds");
/// Has sections of all kinds.
pub(crate) const SECTIONS: &[u8] = object!("sections");
/// Calls a helper that does not exist.
pub(crate) const REFUSED: &[u8] = object!("refused");

/// A console that is a test.
#[derive(Default)]
pub(crate) struct TestIo {
    /// What was written.
    pub(crate) output: String,
    /// What is typed.
    pub(crate) input: VecDeque<u8>,
    /// After how many polls the operator interrupts; 0 for never.
    pub(crate) patience: usize,
    /// How often it was polled.
    pub(crate) polls: usize,
}

impl TestIo {
    /// Takes what was written.
    pub(crate) fn take(&mut self) -> String {
        std::mem::take(&mut self.output)
    }
}

impl Io for TestIo {
    fn write(&mut self, text: &str) {
        self.output.push_str(text);
    }

    fn interrupted(&mut self) -> bool {
        self.polls += 1;
        self.patience != 0 && self.polls >= self.patience
    }

    fn read(&mut self) -> Option<u8> {
        self.input.pop_front()
    }

    fn idle(&mut self) {
        advance_mock_time(1_000_000);
    }
}
