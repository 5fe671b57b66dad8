//! FNV-1a: as a checksum of a table, and as the key of the index of demangled names.
//!
//! Each step is a bijection of the state, so any change of a single byte changes the checksum. It guards
//! against damage, not against an attacker, who could recompute it.

/// A running FNV-1a hash of 64 bits.
#[derive(Clone, Copy)]
pub(crate) struct Fnv(u64);

impl Fnv {
    pub(crate) const fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
        }
    }

    pub(crate) const fn finish(self) -> u64 {
        self.0
    }

    /// Returns both halves folded into one.
    pub(crate) const fn finish_short(self) -> u32 {
        (self.0 ^ (self.0 >> 32)) as u32
    }
}
