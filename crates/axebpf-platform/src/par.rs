//! What `PAR_EL1` says about a translation.

use crate::{HostPhys, HostVirt};

/// Tells whether a value of `PAR_EL1` is that of a successful translation to Normal memory (ARM ARM, register
/// `PAR_EL1`).
///
/// Bit 0 is set when the translation failed. Otherwise bits 63 to 56 are the memory attributes as in `MAIR_EL2`, with
/// those of the translation and of the implementation combined; the upper four bits are zero for every kind of Device
/// memory and for none of Normal memory.
#[must_use]
pub const fn is_normal(par: u64) -> bool {
    let is_device = par >> 60 == 0;
    !has_failed(par) && !is_device
}

/// Returns the physical address that a value of `PAR_EL1` gives for `addr`, or `None` where the translation failed.
///
/// Bits 51 to 12 are those of the physical address, the others come from the virtual one.
#[must_use]
pub const fn translated_address(par: u64, addr: HostVirt) -> Option<HostPhys> {
    const PAGE_OFFSET: u64 = 0xfff;
    const PAGE: u64 = ((1 << 52) - 1) & !PAGE_OFFSET;
    if has_failed(par) {
        None
    } else {
        Some(HostPhys::new(par & PAGE | addr.get() & PAGE_OFFSET))
    }
}

const fn has_failed(par: u64) -> bool {
    par & 1 != 0
}
