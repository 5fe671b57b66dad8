//! Symbol tables: from an address to a name and back, and globs over names.
//!
//! A hypervisor that is to be probed by name, and whose addresses are to be shown by name, carries its own
//! symbol table. This crate reads that table ([`SymbolTable`]), writes it (`Encoder`, feature `encode`),
//! and makes room for it in the image ([`reserve_symbol_section!`]): the table is made from the linked
//! image, so it is put into the file afterwards, without a second link.
//!
//! The table is a blob of [`ksym`] 0.6, which has names, addresses and types, and behind it a sidecar of
//! our own with what that lacks: true sizes, nesting, an index of demangled names, and a checksum. All of
//! it is checked when it is opened. `ksym`'s reader is undefined behaviour on a malformed blob and so gets
//! to see only what has passed; it does the search by name. Names and addresses are never looked up in a
//! probe hit.
//!
//! [`KernelSymbols`] are those of a Linux kernel, from a file or from the compressed tables that the kernel carries. A
//! file is the text of `/proc/kallsyms` or of a `System.map`, or a table as above with the header of the section in
//! front. [`KernelSymbols::slide_to`] finds out by how far a kernel runs from where its file says.
//!
//! [`Glob`] is the pattern language of all of axebpf. It matches in linear time and without allocating.
//!
//! # Examples
//!
//! The build tool:
//!
//! ```
//! use axebpf_symbols::{Encoder, fill_section};
//!
//! /// Puts a table into `section`, the bytes of `.axebpf_ksyms` in an image file.
//! fn add_symbols(section: &mut [u8], link_address: u64) -> Result<(), Box<dyn std::error::Error>> {
//!     let mut encoder = Encoder::new();
//!     // For each symbol of the linked image: name, address, size, type.
//!     encoder.push("_ZN3hyp4vcpu3run17h0123456789abcdefE", 0x8000_1040, 0x20, 't')?;
//!     fill_section(section, link_address, &encoder.finish()?)?;
//!     Ok(())
//! }
//! # assert!(add_symbols(&mut [0; 16], 0x8000_0000).is_err());
//! ```
//!
//! The hypervisor:
//!
//! ```
//! use axebpf_symbols::{Glob, SymbolTable, reserve_symbol_section};
//!
//! reserve_symbol_section! {
//!     /// The symbols of this image.
//!     static SYMBOLS: 256 * 1024;
//! }
//!
//! fn show(table: &SymbolTable<'_>, pc: u64, pattern: &str) -> Result<(), axebpf_symbols::GlobError> {
//!     if let Some(location) = table.lookup_address(pc) {
//!         println!("{pc:#x} is {location}");
//!     }
//!     let glob = Glob::new(pattern)?;
//!     for symbol in table.matching(&glob).take(20) {
//!         println!("{:#x} {symbol}", symbol.address());
//!     }
//!     Ok(())
//! }
//!
//! match SYMBOLS.open() {
//!     Ok(table) => show(&table, 0x8000_1044, "hyp::*")?,
//!     Err(error) => println!("no symbols: {error}"),
//! }
//! # Ok::<(), axebpf_symbols::GlobError>(())
//! ```
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

#[cfg(target_endian = "big")]
compile_error!("ksym's reader takes the little-endian numbers of its blob for native ones");

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
mod kernel;
mod name;
mod plain;
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
pub use kernel::{
    CompressedSymbols, KernelLocation, KernelSymbol, KernelSymbolError, KernelSymbols,
};
pub use name::{NameBuf, SymbolName};
pub use section::{SECTION_NAME, SymbolSection};
pub use slide::Slide;
pub use suggest::nearest;
pub use symbol::{Demangled, Location, Symbol};
pub use table::SymbolTable;
