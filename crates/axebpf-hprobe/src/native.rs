//! The engine of the architecture that this is built for, by the same names on all of them.
//!
//! On aarch64 that is what the rest of this crate does. That engine is there on other architectures, too, where it is
//! tested on a model; the probes of those run on the `kprobe` crate, with the feature of this name. What differs are
//! the registers, what [`PointInfo`] tells, and that [`handle_break`] needs no syndrome there.

#[cfg(target_arch = "aarch64")]
#[doc(no_inline)]
pub use crate::{
    HprobeLink, PointInfo, PtRegs, attach, forget_stack, handle_break, handle_fault, install, list,
    real_return_address,
};

#[cfg(not(target_arch = "aarch64"))]
pub use crate::foreign::{
    HprobeLink, PointInfo, PtRegs, attach, forget_stack, handle_break, handle_fault, install, list,
    real_return_address,
};
