//! Numbers that name CPUs, virtual machines and virtual CPUs.

use core::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name(u32);

        impl $name {
            /// Wraps the number that the hypervisor uses.
            #[must_use]
            pub const fn new(raw: u32) -> Self {
                Self(raw)
            }

            /// Returns the number that the hypervisor uses.
            #[must_use]
            pub const fn get(self) -> u32 {
                self.0
            }

            /// Returns the number as an index into a table with one entry each.
            #[must_use]
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

id! {
    /// Names one physical CPU of the hypervisor, counted from 0.
    CpuId
}
id! {
    /// Names one virtual machine.
    VmId
}
id! {
    /// Names one virtual CPU within its virtual machine, counted from 0.
    VcpuId
}
