//! Symbol tables: address to name and back, globs
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

mod aligned;
mod blob;
mod check;
mod cursor;
#[cfg(feature = "encode")]
mod encode;
mod error;
mod glob;
mod hash;
mod iter;
mod name;
mod section;
mod sidecar;
mod slide;
mod suggest;
mod symbol;
mod table;

pub use aligned::AlignedBytes;
#[cfg(feature = "encode")]
pub use encode::{EncodeError, Encoder, fill_section};
pub use error::{Part, SymbolError};
pub use glob::{Glob, GlobError};
pub use iter::{Iter, Matching, Named};
pub use name::{NameBuf, SymbolName};
pub use section::{SECTION_NAME, SymbolSection};
pub use slide::Slide;
pub use suggest::nearest;
pub use symbol::{Demangled, Location, Symbol};
pub use table::SymbolTable;
