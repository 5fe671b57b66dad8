//! How long a streaming command goes on.

use super::{Session, args::Args, complaint::Complaint};

/// When to stop.
pub(crate) struct Pace {
    left: Option<u64>,
    until_ns: Option<u64>,
}

impl Pace {
    /// Takes `--count N` and `--for SECONDS`; without either, the command goes on until it is
    /// interrupted.
    pub(crate) fn take(session: &Session<'_>, args: &mut Args<'_>) -> Result<Self, Complaint> {
        let left = args.number("--count")?;
        let seconds = args.number("--for")?;
        let now = session.shell.registry.platform().now_ns();
        let until_ns = seconds.map(|s| now.saturating_add(s.saturating_mul(1_000_000_000)));
        Ok(Self { left, until_ns })
    }

    /// Tells whether the operator said when to stop.
    #[cfg(feature = "runtime")]
    pub(crate) fn is_limited(&self) -> bool {
        self.left.is_some() || self.until_ns.is_some()
    }

    /// Counts one line; `false` when there have been enough already, and the line is not to be
    /// written.
    pub(crate) fn admit(&mut self) -> bool {
        match &mut self.left {
            Some(0) => false,
            Some(left) => {
                *left -= 1;
                true
            }
            None => true,
        }
    }

    /// Takes back one [`admit`](Self::admit): there was no line.
    pub(crate) fn put_back(&mut self) {
        if let Some(left) = &mut self.left {
            *left += 1;
        }
    }

    /// Waits a moment; `false` when it is time to stop.
    pub(crate) fn go_on(&self, session: &mut Session<'_>) -> bool {
        let now = session.shell.registry.platform().now_ns();
        if self.left == Some(0) || self.until_ns.is_some_and(|until| now >= until) {
            return false;
        }
        if session.io.interrupted() {
            return false;
        }
        session.io.idle();
        true
    }
}
