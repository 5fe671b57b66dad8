//! What a run gets from whoever starts it.

use core::fmt;

use crate::printk::PrintkSink;

/// What a run gets from whoever starts it, besides its context.
///
/// # Examples
///
/// ```
/// use axebpf_vm::RunEnv;
///
/// let env = RunEnv::new().with_cookie(7);
/// # let _ = env;
/// ```
#[derive(Clone, Copy, Default)]
pub struct RunEnv<'e> {
    printk: Option<&'e dyn PrintkSink>,
    cookie: u64,
}

impl<'e> RunEnv<'e> {
    /// Makes an environment in which `trace_printk` goes nowhere and the cookie is 0.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            printk: None,
            cookie: 0,
        }
    }

    /// Returns the environment with `sink` for the messages of `trace_printk`.
    #[must_use]
    pub const fn with_printk(mut self, sink: &'e dyn PrintkSink) -> Self {
        self.printk = Some(sink);
        self
    }

    /// Returns the environment with the cookie of the link that runs the program.
    #[must_use]
    pub const fn with_cookie(mut self, cookie: u64) -> Self {
        self.cookie = cookie;
        self
    }

    /// Returns where the messages of `trace_printk` go.
    #[must_use]
    pub const fn printk(&self) -> Option<&'e dyn PrintkSink> {
        self.printk
    }

    /// Returns the cookie of the link that runs the program, 0 unless the link has one.
    #[must_use]
    pub const fn cookie(&self) -> u64 {
        self.cookie
    }
}

impl fmt::Debug for RunEnv<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunEnv")
            .field("printk", &self.printk.is_some())
            .field("cookie", &self.cookie)
            .finish()
    }
}
