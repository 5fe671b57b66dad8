//! What the guest of a VM writes to its console: kept, and shown to the operator a line at a time.

use alloc::{collections::VecDeque, vec::Vec};

use axebpf::platform::VmId;

use super::console::Console;

/// How much of the past is kept.
const KEPT: usize = 256 << 10;
/// The longest line that is shown as one.
const LONGEST_LINE: usize = 200;

/// Whether what a guest writes appears on the operator's console.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Show {
    /// Whole lines, with the VM's number in front.
    #[default]
    Lines,
    /// Each byte as it comes: the operator talks to the guest.
    Raw,
    /// Nothing; it is only kept.
    Nothing,
}

/// The output of one guest.
#[derive(Default)]
pub(crate) struct GuestConsole {
    kept: VecDeque<u8>,
    line: Vec<u8>,
    show: Show,
}

impl GuestConsole {
    /// Says how the output is shown from now on.
    pub(crate) fn set_show(&mut self, show: Show) {
        self.show = show;
    }

    /// Takes one byte of VM `vm`'s guest.
    pub(crate) fn put(&mut self, vm: VmId, byte: u8) {
        if self.kept.len() == KEPT {
            self.kept.pop_front();
        }
        self.kept.push_back(byte);
        match self.show {
            Show::Raw => super::uart::write(&[byte]),
            Show::Nothing => self.line.clear(),
            Show::Lines => self.collect(vm, byte),
        }
    }

    fn collect(&mut self, vm: VmId, byte: u8) {
        match byte {
            b'\r' => {}
            b'\n' => self.show_line(vm),
            _ => {
                self.line.push(harmless(byte));
                if self.line.len() == LONGEST_LINE {
                    self.show_line(vm);
                }
            }
        }
    }

    fn show_line(&mut self, vm: VmId) {
        use core::fmt::Write;
        let mut console = Console::new();
        // The console cannot fail.
        let _ = write!(console, "vm{vm}: ");
        console.write(&self.line);
        console.write(b"\n");
        self.line.clear();
    }

    /// Returns what is kept, the oldest first, from byte `from` on.
    pub(crate) fn kept_from(&self, from: usize) -> Vec<u8> {
        self.kept.iter().skip(from).copied().collect()
    }
}

/// Returns `byte`, which is no line end, as it may go to the operator's terminal: what could move the cursor or begin
/// a sequence that does, alone or as a part of a longer character, becomes a question mark.
pub(crate) fn harmless(byte: u8) -> u8 {
    match byte {
        b' '..=b'~' | b'\t' => byte,
        _ => b'?',
    }
}
