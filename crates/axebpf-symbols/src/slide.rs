//! How far an image runs from where it was linked.

use core::fmt;

/// The distance between where an image was linked and where it runs.
///
/// Displays in hexadecimal, with a sign if it is negative.
///
/// # Examples
///
/// ```
/// use axebpf_symbols::Slide;
///
/// let slide = Slide::between(0x8000_0000, 0xffff_8000_8000_0000);
/// assert_eq!(slide.get(), 0xffff_8000_0000_0000_u64 as i64);
/// assert_eq!(Slide::new(-0x20_0000).to_string(), "-0x200000");
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Slide(i64);

impl Slide {
    /// The slide of an image that runs where it was linked.
    pub const ZERO: Self = Self(0);

    /// Makes a slide of `bytes`: what is added to a link address to get the address at run time.
    #[must_use]
    pub const fn new(bytes: i64) -> Self {
        Self(bytes)
    }

    /// Returns the slide that moves the link address `linked` to the address `running`.
    #[must_use]
    pub const fn between(linked: u64, running: u64) -> Self {
        Self(running.wrapping_sub(linked).cast_signed())
    }

    /// Returns the number of bytes that are added to a link address.
    #[must_use]
    pub const fn get(self) -> i64 {
        self.0
    }

    /// Moves a link address to where it is at run time.
    pub(crate) const fn to_running(self, linked: u64) -> u64 {
        linked.wrapping_add_signed(self.0)
    }

    /// Moves an address at run time back to where it was linked.
    pub(crate) const fn to_linked(self, running: u64) -> u64 {
        running.wrapping_sub(self.0.cast_unsigned())
    }
}

impl fmt::Display for Slide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        write!(f, "{sign}{:#x}", self.0.unsigned_abs())
    }
}
