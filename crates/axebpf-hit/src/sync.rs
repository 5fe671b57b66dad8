//! The atomics that the protocols are made of, or loom's, which explore everything they can do.

#[cfg(not(loom))]
pub(crate) use core::sync::atomic::{AtomicPtr, AtomicUsize, Ordering, fence};
#[cfg(loom)]
pub(crate) use loom::sync::atomic::{AtomicPtr, AtomicUsize, Ordering, fence};

use axebpf_platform::CpuId;

use crate::{MAX_CPUS, Padded};

/// Defines a static whose value loom makes anew for each execution that it explores.
macro_rules! shared_static {
    ($(#[$doc:meta])* static $name:ident: $type:ty = $value:expr;) => {
        #[cfg(not(loom))]
        $(#[$doc])*
        static $name: $type = $value;
        #[cfg(loom)]
        loom::lazy_static! {
            $(#[$doc])*
            static ref $name: $type = $value;
        }
    };
}
pub(crate) use shared_static;

/// Defines a function that is `const`, except under loom, whose atomics cannot be made at compile time.
macro_rules! const_unless_loom {
    ($(#[$doc:meta])* $vis:vis fn $name:ident() -> $type:ty $body:block) => {
        #[cfg(not(loom))]
        $(#[$doc])*
        $vis const fn $name() -> $type $body
        #[cfg(loom)]
        $(#[$doc])*
        $vis fn $name() -> $type $body
    };
}
pub(crate) use const_unless_loom;

/// One word for each CPU, zero at first.
pub(crate) struct Words([Padded<AtomicUsize>; MAX_CPUS]);

impl Words {
    #[cfg(not(loom))]
    pub(crate) const fn new() -> Self {
        Self([const { Padded::new(AtomicUsize::new(0)) }; MAX_CPUS])
    }

    #[cfg(loom)]
    pub(crate) fn new() -> Self {
        Self(core::array::from_fn(|_| Padded::new(AtomicUsize::new(0))))
    }

    /// Returns the word of `cpu`, which is below [`MAX_CPUS`].
    pub(crate) fn of(&self, cpu: CpuId) -> &AtomicUsize {
        &self.0[cpu.index()]
    }
}
