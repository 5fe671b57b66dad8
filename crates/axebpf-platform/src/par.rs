//! What `PAR_EL1` says about a translation.

/// Tells whether a value of `PAR_EL1` is that of a successful translation to Normal memory (ARM ARM, register `PAR_EL1`).
///
/// Bit 0 is set when the translation failed. Otherwise bits 63 to 56 are the memory attributes as in `MAIR_EL2`, with
/// those of the translation and of the implementation combined; the upper four bits are zero for every kind of Device memory
/// and for none of Normal memory.
#[must_use]
pub const fn is_normal(par: u64) -> bool {
    let failed = par & 1 != 0;
    let is_device = par >> 60 == 0;
    !failed && !is_device
}
