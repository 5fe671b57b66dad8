//! The error numbers of Linux that helpers return, negated as programs see them.

pub(crate) const ENOENT: i64 = -2;
pub(crate) const E2BIG: i64 = -7;
pub(crate) const EBUSY: i64 = -16;
pub(crate) const EFAULT: i64 = -14;
pub(crate) const EINVAL: i64 = -22;
