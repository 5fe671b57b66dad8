//! Ranges of addresses, and what is said of an access to one.

use crate::run_error::Access;

/// A refused access.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Violation {
    /// The bytes are not all in one region that allows the access.
    OutOfBounds { access: Access, addr: u64, len: u64 },
    /// The address of an atomic operation is not aligned.
    Misaligned { addr: u64, len: u64 },
}

/// Who else can access the bytes that the program accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sharing {
    /// Nobody: they are of the stack or the context.
    Private,
    /// Programs on other CPUs, by way of a map.
    Shared,
}

/// A range of addresses.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window {
    pub(super) start: u64,
    pub(super) len: u64,
}

impl Window {
    pub(super) const EMPTY: Self = Self { start: 0, len: 0 };

    /// Tells whether the window holds all of `len` bytes at `addr`, of which there is at least one.
    #[inline(always)]
    pub(super) fn holds(&self, addr: u64, len: u64) -> bool {
        let offset = addr.wrapping_sub(self.start);
        offset < self.len && self.len - offset >= len
    }
}

/// A range of addresses for which one comparison tells whether it holds a number: none shorter than [`MIN`](Self::MIN).
#[derive(Clone, Copy, Debug)]
pub(super) struct WideWindow(Window);

impl WideWindow {
    /// The bytes of the longest number.
    pub(super) const MIN: u64 = 8;

    /// Returns the window, unless it is too short.
    #[inline(always)]
    pub(super) fn new(window: Window) -> Option<Self> {
        (window.len >= Self::MIN).then_some(Self(window))
    }

    /// Returns the `len` addresses before `end`, or as few as there can be.
    #[inline(always)]
    pub(super) fn before(end: u64, len: u64) -> Self {
        let len = len.max(Self::MIN);
        Self(Window {
            start: end - len,
            len,
        })
    }

    #[inline(always)]
    pub(super) fn start(&self) -> u64 {
        self.0.start
    }

    /// Returns the window with `bytes` addresses more below.
    #[inline(always)]
    pub(super) fn with_below(self, bytes: u64) -> Self {
        Self(Window {
            start: self.0.start - bytes,
            len: self.0.len + bytes,
        })
    }

    /// Returns the window without its lowest `bytes` addresses, or with as few as there can be.
    #[inline(always)]
    pub(super) fn without_lowest(self, bytes: u64) -> Self {
        Self::before(self.0.start + self.0.len, self.0.len.saturating_sub(bytes))
    }

    /// Returns the shortest window that ends where this one does.
    #[inline(always)]
    pub(super) fn highest(&self) -> Self {
        Self::before(self.0.start + self.0.len, Self::MIN)
    }

    /// Tells whether the window holds all of `len` bytes at `addr`, of which there is at least one.
    #[inline(always)]
    pub(super) fn holds(&self, addr: u64, len: u64) -> bool {
        if len <= Self::MIN {
            // The last address where the bytes fit is no less than the first, since the window is no shorter.
            addr.wrapping_sub(self.0.start) <= self.0.len - len
        } else {
            self.0.holds(addr, len)
        }
    }
}
