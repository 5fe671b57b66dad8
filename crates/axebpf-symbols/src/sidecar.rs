//! What `ksym`'s blob lacks: true sizes, which symbol encloses which, and an index of demangled names.
//!
//! The sidecar lies behind the blob, at the next multiple of 8. All of it is little-endian:
//!
//! | part | content |
//! |---|---|
//! | header | [`Header`] |
//! | sizes | `n` × `u32` bytes, 0 where the size is unknown |
//! | enclosing | `n` × `u32`: the last symbol before this one that reaches over this one's start, or `u32::MAX` |
//! | demangled index | `d` × (`u32` hash of a demangled name, `u32` symbol), ascending |
//!
//! A method `<a::T>::f` is in the index under that name and as `a::T::f`.

use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

use crate::blob::Blob;
use crate::cursor::Cursor;
use crate::hash::Fnv;
use crate::{Part, SymbolError};

/// What the sidecar starts with: `axebSYM1`.
pub(crate) const MAGIC: u64 = u64::from_le_bytes(*b"axebSYM1");
/// Stands for no enclosing symbol.
pub(crate) const NONE: u32 = u32::MAX;

/// The header of the sidecar.
#[derive(Clone, Copy, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct Header {
    /// [`MAGIC`].
    pub(crate) magic: U64,
    /// The length of the sidecar in bytes, with this header.
    pub(crate) total: U64,
    /// The number of symbols, the same as in the blob.
    pub(crate) symbols: U64,
    /// The number of entries of the demangled index.
    pub(crate) demangled: U64,
    /// FNV-1a over the blob, the padding, this header with zero here, and the rest.
    pub(crate) checksum: U64,
}

/// One entry of the index of demangled names.
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(crate) struct DemangledEntry {
    /// The short FNV-1a hash of the demangled name.
    pub(crate) hash: U32,
    /// The symbol.
    pub(crate) symbol: U32,
}

/// The parts of a sidecar.
#[derive(Clone, Copy)]
pub(crate) struct Sidecar<'a> {
    pub(crate) sizes: &'a [U32],
    pub(crate) enclosing: &'a [U32],
    pub(crate) demangled: &'a [DemangledEntry],
}

impl<'a> Sidecar<'a> {
    /// Finds the sidecar that belongs to `blob` in `bytes`, which start with the blob, and checks it.
    ///
    /// Returns `None` where the bytes end with the blob.
    pub(crate) fn parse(bytes: &'a [u8], blob: &Blob<'_>) -> Result<Option<Self>, SymbolError> {
        let blob_len = blob.bytes.len();
        if bytes.len() == blob_len {
            return Ok(None);
        }
        let mut cursor = Cursor::new(bytes);
        cursor.bytes(Part::Header, blob_len as u64)?;
        cursor.align(crate::blob::ALIGN);
        let start = cursor.position();
        let header = cursor.one::<Header>(Part::SidecarHeader)?;
        check_header(&header, bytes, start, blob.addresses.len())?;
        let symbols = header.symbols.get();
        let sidecar = Self {
            sizes: cursor.array(Part::Sizes, symbols)?,
            enclosing: cursor.array(Part::Enclosing, symbols)?,
            demangled: cursor.array(Part::DemangledIndex, header.demangled.get())?,
        };
        if cursor.position() != bytes.len() {
            return Err(SymbolError::WrongEnd {
                part: Part::DemangledIndex,
                expected: bytes.len() as u64,
                actual: cursor.position() as u64,
            });
        }
        let checksum = checksum(
            &bytes[..start],
            &header,
            &bytes[start + size_of::<Header>()..],
        );
        if checksum != header.checksum.get() {
            return Err(SymbolError::BadChecksum {
                stored: header.checksum.get(),
                computed: checksum,
            });
        }
        sidecar.check()?;
        Ok(Some(sidecar))
    }

    /// Checks every entry.
    fn check(&self) -> Result<(), SymbolError> {
        for (index, outer) in self.enclosing.iter().enumerate() {
            // Going outwards ends, because each step leads to a smaller index.
            if outer.get() != NONE && outer.get() as usize >= index {
                return Err(SymbolError::BadReference {
                    part: Part::Enclosing,
                    index: index as u64,
                    value: u64::from(outer.get()),
                    limit: index as u64,
                });
            }
        }
        let part = Part::DemangledIndex;
        let limit = self.sizes.len() as u64;
        for (index, entry) in self.demangled.iter().enumerate() {
            let value = u64::from(entry.symbol.get());
            if value >= limit {
                let index = index as u64;
                return Err(SymbolError::BadReference {
                    part,
                    index,
                    value,
                    limit,
                });
            }
        }
        let key = |e: &DemangledEntry| (e.hash.get(), e.symbol.get());
        match self
            .demangled
            .windows(2)
            .position(|w| key(&w[0]) >= key(&w[1]))
        {
            Some(index) => Err(SymbolError::OutOfOrder {
                part,
                index: index as u64 + 1,
            }),
            None => Ok(()),
        }
    }

    /// Returns the entries whose demangled name has the hash `hash`.
    pub(crate) fn with_hash(&self, hash: u32) -> &'a [DemangledEntry] {
        let start = self.demangled.partition_point(|e| e.hash.get() < hash);
        let end = self.demangled.partition_point(|e| e.hash.get() <= hash);
        self.demangled.get(start..end).unwrap_or_default()
    }
}

/// Checks what the header at `start` of `bytes` says against what is there.
fn check_header(
    header: &Header,
    bytes: &[u8],
    start: usize,
    symbols: usize,
) -> Result<(), SymbolError> {
    if header.magic.get() != MAGIC {
        return Err(SymbolError::BadMagic {
            found: header.magic.get(),
            expected: MAGIC,
        });
    }
    let end = (start as u64).saturating_add(header.total.get());
    if end > bytes.len() as u64 {
        return Err(SymbolError::Truncated {
            part: Part::SidecarHeader,
            need: end,
            have: bytes.len() as u64,
        });
    }
    if end < bytes.len() as u64 {
        return Err(SymbolError::WrongEnd {
            part: Part::SidecarHeader,
            expected: bytes.len() as u64,
            actual: end,
        });
    }
    if header.symbols.get() != symbols as u64 {
        return Err(SymbolError::BadReference {
            part: Part::SidecarHeader,
            index: 0,
            value: header.symbols.get(),
            limit: symbols as u64,
        });
    }
    Ok(())
}

/// Computes the checksum of a table: what lies before the sidecar's header, the header, and what lies
/// behind it.
pub(crate) fn checksum(before: &[u8], header: &Header, behind: &[u8]) -> u64 {
    let mut header = *header;
    header.checksum = U64::new(0);
    let mut fnv = Fnv::new();
    fnv.add(before);
    fnv.add(header.as_bytes());
    fnv.add(behind);
    fnv.finish()
}
