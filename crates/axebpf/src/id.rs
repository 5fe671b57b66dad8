//! Numbers that name what a registry holds.

use core::fmt;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// Counted from 1 within one [`Registry`](crate::Registry) and never given twice.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(transparent)]
        pub struct $name(u64);

        impl $name {
            /// Wraps a number, such as one that an operator typed. Nothing need have it.
            #[must_use]
            pub const fn new(raw: u64) -> Self {
                Self(raw)
            }

            /// Returns the number.
            #[must_use]
            pub const fn get(self) -> u64 {
                self.0
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
    /// Names one loaded object.
    ObjectId
}
id! {
    /// Names one program of a loaded object.
    ProgramId
}
id! {
    /// Names one map.
    MapId
}
id! {
    /// Names one attachment of a program to a probe point.
    LinkId
}
