//! Symbol tables: address to name and back, globs
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

mod glob;

pub use glob::{Glob, GlobError};
