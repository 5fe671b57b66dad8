//! What the shell asks of the console that hosts it.

use core::fmt;

/// A console, as the shell sees it.
///
/// Text goes out with `\n` line ends; a console that needs `\r\n` translates. None of the methods
/// is called during a hit or with a lock of axebpf held, so they may take locks of their own and
/// fire tracepoints.
pub trait Io {
    /// Writes `text` as it is.
    fn write(&mut self, text: &str);

    /// Polls whether the operator asked the running command to stop, usually with Ctrl-C.
    ///
    /// May throw away other input that it finds. Called between the lines of long outputs and while
    /// waiting.
    fn interrupted(&mut self) -> bool;

    /// Returns one byte of input if there is one, without waiting.
    ///
    /// Only uploads read. The default has no input, so that they end with a time-out.
    fn read(&mut self) -> Option<u8> {
        None
    }

    /// Spends a moment, a millisecond or so, while a command waits for something to happen.
    ///
    /// A hypervisor yields to its scheduler or waits for an interrupt here. The default comes back
    /// at once.
    fn idle(&mut self) {
        core::hint::spin_loop();
    }
}

/// Lets `write!` write to an [`Io`].
pub(crate) struct Out<'a>(pub(crate) &'a mut dyn Io);

impl fmt::Write for Out<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.write(text);
        Ok(())
    }
}
