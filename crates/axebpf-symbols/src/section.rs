//! Room for a symbol table in an image, to be filled after the image has been linked.
//!
//! A table is made from the linked image, so it cannot be compiled into it. The hypervisor reserves a
//! section instead, and the build tool writes the table into the file. The compiler does not know that: to
//! it, the section holds the zeroes of its initial value for ever. So [`SymbolSection::open`] reads it by
//! an address that the compiler cannot see through.
#![allow(unsafe_code)]

use core::fmt;

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::hash::Fnv;
use crate::{Slide, SymbolError, SymbolTable};

/// The name of the section that [`reserve_symbol_section!`](crate::reserve_symbol_section) reserves.
pub const SECTION_NAME: &str = ".axebpf_ksyms";

/// What the section starts with: `axebKSYM`.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"axebKSYM");
/// The version of the header.
pub(crate) const VERSION: u32 = 1;

/// The header of the section, little-endian.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Header {
    /// [`MAGIC`].
    pub(crate) magic: U64,
    /// [`VERSION`].
    pub(crate) version: U32,
    /// Zero; keeps what follows aligned.
    pub(crate) reserved: U32,
    /// The number of bytes behind this header.
    pub(crate) capacity: U64,
    /// The number of those that the table takes; 0 as long as there is none.
    pub(crate) len: U64,
    /// The link address of the section, from which the slide of the running image follows.
    pub(crate) link_address: U64,
    /// FNV-1a over this header with zero here; the table has its own checksum.
    pub(crate) checksum: U64,
    /// Zeroes.
    pub(crate) padding: [U64; 2],
}

impl Header {
    /// Makes the header of a section without a table.
    pub(crate) const fn unfilled(capacity: u64) -> Self {
        Self {
            magic: U64::new(MAGIC),
            version: U32::new(VERSION),
            reserved: U32::new(0),
            capacity: U64::new(capacity),
            len: U64::new(0),
            link_address: U64::new(0),
            checksum: U64::new(0),
            padding: [U64::new(0); 2],
        }
    }

    /// Computes the checksum that belongs into the header.
    pub(crate) fn compute_checksum(&self) -> u64 {
        let mut header = *self;
        header.checksum = U64::new(0);
        let mut fnv = Fnv::new();
        fnv.add(header.as_bytes());
        fnv.finish()
    }

    /// Checks the header of a section that has `capacity` bytes behind it.
    pub(crate) fn check(&self, capacity: u64) -> Result<(), SymbolError> {
        if self.magic.get() != MAGIC {
            return Err(SymbolError::BadMagic {
                found: self.magic.get(),
                expected: MAGIC,
            });
        }
        for (found, expected) in [
            (u64::from(self.version.get()), u64::from(VERSION)),
            (self.capacity.get(), capacity),
        ] {
            if found != expected {
                return Err(SymbolError::BadSection { found, expected });
            }
        }
        if self.as_bytes() == Self::unfilled(capacity).as_bytes() {
            return Err(SymbolError::NotFilled { capacity });
        }
        let computed = self.compute_checksum();
        if self.checksum.get() != computed {
            return Err(SymbolError::BadChecksum {
                stored: self.checksum.get(),
                computed,
            });
        }
        if self.len.get() > capacity {
            return Err(SymbolError::TooLarge {
                len: self.len.get(),
                capacity,
            });
        }
        Ok(())
    }
}

/// Room for a symbol table of up to `N` bytes in an image.
///
/// Declared by [`reserve_symbol_section!`](crate::reserve_symbol_section), which see.
#[repr(C, align(64))]
pub struct SymbolSection<const N: usize> {
    header: Header,
    table: [u8; N],
}

impl<const N: usize> SymbolSection<N> {
    /// Makes a section without a table.
    #[must_use]
    pub const fn unfilled() -> Self {
        Self {
            header: Header::unfilled(N as u64),
            table: [0; N],
        }
    }

    /// Opens the table in the section, of the image at the place where it runs now.
    ///
    /// The slide follows from where the section was linked and where it is found. Checks the whole table,
    /// so keep the result.
    ///
    /// # Errors
    ///
    /// [`SymbolError::NotFilled`] if no build tool has put a table there; any other error means that the
    /// table is damaged or of another version.
    pub fn open(&'static self) -> Result<SymbolTable<'static>, SymbolError> {
        let this = self.as_in_memory();
        this.header.check(N as u64)?;
        let running = core::ptr::from_ref(this).addr() as u64;
        this.open_at(Slide::between(this.header.link_address.get(), running))
    }

    /// Opens the table in the section, for an image that runs `slide` away from where it was linked.
    ///
    /// For images that do not run at the address by which they see the section.
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    pub fn open_with_slide(
        &'static self,
        slide: Slide,
    ) -> Result<SymbolTable<'static>, SymbolError> {
        let this = self.as_in_memory();
        this.header.check(N as u64)?;
        this.open_at(slide)
    }

    /// Opens the table of a section whose header has been checked.
    fn open_at(&'static self, slide: Slide) -> Result<SymbolTable<'static>, SymbolError> {
        let capacity = N as u64;
        let len = self.header.len.get();
        let bytes = usize::try_from(len)
            .ok()
            .and_then(|len| self.table.get(..len))
            .ok_or(SymbolError::TooLarge { len, capacity })?;
        SymbolTable::from_blob(bytes, slide)
    }

    /// Returns the section as it is in memory, of whose content the compiler knows nothing.
    fn as_in_memory(&'static self) -> &'static Self {
        let own: &'static Self = self;
        // SAFETY: `&own` is valid for reads, aligned, and holds an initialised reference, which is `Copy`,
        // so that two copies of it may exist. A volatile read yields a value that the compiler has to take
        // for any other, so what is read through it is read from memory.
        unsafe { core::ptr::read_volatile(&own) }
    }
}

impl<const N: usize> fmt::Debug for SymbolSection<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SymbolSection")
            .field("capacity", &N)
            .finish_non_exhaustive()
    }
}

/// Reserves room for a symbol table in the image: a static in the section
/// [`SECTION_NAME`](crate::SECTION_NAME).
///
/// The section needs no entry in a linker script. It takes its whole size in the image, with or without a
/// table. Only one per image can be filled.
///
/// # Examples
///
/// ```
/// use axebpf_symbols::{SymbolError, reserve_symbol_section};
///
/// reserve_symbol_section! {
///     /// The symbols of this image.
///     pub static SYMBOLS: 64 * 1024;
/// }
///
/// // No build tool has put a table into this image.
/// assert!(matches!(SYMBOLS.open(), Err(SymbolError::NotFilled { capacity: 0x10000 })));
/// ```
#[macro_export]
macro_rules! reserve_symbol_section {
    ($(#[$attr:meta])* $vis:vis static $name:ident: $bytes:expr $(;)?) => {
        $(#[$attr])*
        #[used]
        #[cfg_attr(any(target_os = "none", target_os = "linux"), unsafe(link_section = ".axebpf_ksyms"))]
        $vis static $name: $crate::SymbolSection<{ $bytes }> = $crate::SymbolSection::unfilled();
    };
}
