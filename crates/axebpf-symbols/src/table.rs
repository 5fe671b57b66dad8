//! The table: opening it, and looking things up.

use core::fmt;

use ksym::{KSYM_NAME_LEN, KallsymsMapped};

use crate::blob::{self, Blob};
use crate::hash::Fnv;
use crate::iter::{Iter, Matching, Named};
use crate::sidecar::{NONE, Sidecar};
use crate::{Glob, Location, Slide, Symbol, SymbolError};

/// A symbol table that has been checked from front to back.
///
/// It borrows the bytes and copies nothing. Nothing here is for a probe hit: look names up before, or when
/// the results are shown.
///
/// # Examples
///
/// ```
/// use axebpf_symbols::{AlignedBytes, Encoder, Slide, SymbolTable};
///
/// let mut encoder = Encoder::new();
/// encoder.push("vm_entry", 0x1000, 0x40, 'T')?;
/// encoder.push("_ZN3hyp4vcpu3run17h0123456789abcdefE", 0x1040, 0x20, 't')?;
/// let bytes = AlignedBytes::copy_of(&encoder.finish()?)?;
///
/// let table = SymbolTable::from_blob(&bytes, Slide::new(0x10_0000))?;
/// let found = table.lookup_address(0x10_1044).unwrap();
/// assert_eq!(found.to_string(), "hyp::vcpu::run+0x4/0x20");
/// assert_eq!(table.lookup_name("hyp::vcpu::run").unwrap().address(), 0x10_1040);
/// assert!(table.lookup_address(0x10_1060).is_none());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct SymbolTable<'a> {
    blob: Blob<'a>,
    sidecar: Option<Sidecar<'a>>,
    by_name: KallsymsMapped<'a>,
    slide: Slide,
}

impl<'a> SymbolTable<'a> {
    /// Opens the table in `bytes`, for an image that runs `slide` away from where it was linked.
    ///
    /// The bytes are what the encoder writes: a blob of `ksym` 0.6 with a sidecar. A blob without a sidecar
    /// is taken too; a symbol then counts as reaching up to the next one, the size of the last one is
    /// unknown, and looking up a demangled name takes a pass over all of them.
    ///
    /// The bytes must lie at a multiple of 8; [`AlignedBytes`](crate::AlignedBytes) copies those that do
    /// not.
    ///
    /// # Errors
    ///
    /// [`SymbolError`] says which part of the table is wrong. Every byte is checked, so that no lookup can
    /// fail later.
    pub fn from_blob(bytes: &'a [u8], slide: Slide) -> Result<Self, SymbolError> {
        let addr = bytes.as_ptr().addr();
        if !addr.is_multiple_of(blob::ALIGN) {
            return Err(SymbolError::Misaligned {
                addr: addr as u64,
                align: blob::ALIGN as u64,
            });
        }
        let blob = Blob::parse(bytes)?;
        let sidecar = Sidecar::parse(bytes, &blob)?;
        // `from_blob` relies on an aligned blob whose parts are all in bounds; both were checked above. The
        // bounds of the text matter to its lookup by address alone, which is not used here because it does
        // not say which symbol it found.
        let by_name = KallsymsMapped::from_blob(blob.bytes, 0, u64::MAX).map_err(|_| {
            SymbolError::WrongEnd {
                part: crate::Part::Header,
                expected: blob.bytes.len() as u64,
                actual: bytes.len() as u64,
            }
        })?;
        let table = Self {
            blob,
            sidecar,
            by_name,
            slide,
        };
        table.check_range()?;
        Ok(table)
    }

    /// Returns the number of symbols.
    #[must_use]
    pub fn len(&self) -> usize {
        self.blob.addresses.len()
    }

    /// Tells whether there are no symbols.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns how far the image runs from where it was linked.
    #[must_use]
    pub fn slide(&self) -> Slide {
        self.slide
    }

    /// Finds the symbol that covers `address`, an address at run time.
    ///
    /// Where symbols are nested, that is the innermost one; where several start at the same place, the
    /// first that reaches far enough. An address behind the end of its symbol is in none, and a symbol of
    /// unknown size covers only its start.
    #[must_use]
    pub fn lookup_address(&self, address: u64) -> Option<Location<'a>> {
        let linked = self.slide.to_linked(address);
        let after = self.blob.addresses.partition_point(|a| a.get() <= linked);
        let mut index = after.checked_sub(1)?;
        while !self.at(index)?.covers(address) {
            index = self.enclosing(index)?;
        }
        let start = self.blob.addresses.get(index)?;
        let first = self.blob.addresses.partition_point(|a| a < start);
        let symbol = (first..=index)
            .filter_map(|i| self.at(i))
            .find(|s| s.covers(address))?;
        Some(Location {
            offset: address.wrapping_sub(symbol.address),
            symbol,
        })
    }

    /// Finds the symbol called `name`, by its exact name, mangled or demangled without hash.
    ///
    /// A method that is no trait's, `<a::T>::f`, is found as `a::T::f` too.
    ///
    /// Where several have that name this is the one with the lowest address;
    /// [`lookup_names`](Self::lookup_names) has them all.
    #[must_use]
    pub fn lookup_name(&self, name: &str) -> Option<Symbol<'a>> {
        self.lookup_names(name).min_by_key(Symbol::address)
    }

    /// Returns all symbols called `name`.
    ///
    /// Those whose name as the linker knows it is `name` come alone if there are any; otherwise those whose
    /// demangled name it is, which can be many: each instance of a generic function has the same demangled
    /// name.
    pub fn lookup_names<'t, 'n>(&'t self, name: &'n str) -> Named<'t, 'a, 'n> {
        // The reader compares with names that it has cut to this length.
        if name.is_empty() || name.len() > KSYM_NAME_LEN {
            return Named::linked(self, &[]);
        }
        if let Some((first, last)) = self.by_name.lookup_names(name, true) {
            return Named::linked(self, self.blob.name_order.get(first..=last).unwrap_or(&[]));
        }
        match &self.sidecar {
            Some(sidecar) => {
                let mut fnv = Fnv::new();
                fnv.add(name.as_bytes());
                Named::demangled(self, sidecar.with_hash(fnv.finish_short()), name)
            }
            None => Named::searched(self, name),
        }
    }

    /// Returns the symbols whose name, mangled or demangled, matches `glob`, in the order of their
    /// addresses.
    ///
    /// Limit the results with [`take`](Iterator::take). The search goes on only as far as results are asked
    /// for.
    pub fn matching<'t, 'g>(&'t self, glob: &'g Glob) -> Matching<'t, 'a, 'g> {
        Matching::new(self.iter(), glob)
    }

    /// Returns all symbols in the order of their addresses.
    pub fn iter<'t>(&'t self) -> Iter<'t, 'a> {
        Iter::new(self)
    }

    /// Returns symbol `index` in address order.
    pub(crate) fn at(&self, index: usize) -> Option<Symbol<'a>> {
        let linked = self.blob.addresses.get(index)?.get();
        Some(Symbol {
            name: self.blob.name_of(index),
            address: self.slide.to_running(linked),
            size: self.size_of(index, linked),
            kind: self.blob.record(index)?.kind,
        })
    }

    /// Returns the size of symbol `index`, which was linked at `linked`.
    fn size_of(&self, index: usize, linked: u64) -> u64 {
        match &self.sidecar {
            Some(sidecar) => sidecar.sizes.get(index).map_or(0, |s| u64::from(s.get())),
            None => {
                let next = self.blob.addresses.partition_point(|a| a.get() <= linked);
                self.blob
                    .addresses
                    .get(next)
                    .map_or(0, |a| a.get() - linked)
            }
        }
    }

    /// Returns the last symbol before `index` that reaches over its start.
    fn enclosing(&self, index: usize) -> Option<usize> {
        let outer = self.sidecar.as_ref()?.enclosing.get(index)?.get();
        (outer != NONE).then_some(outer as usize)
    }

    /// Checks that all symbols lie in the address space, where they were linked and where they run.
    fn check_range(&self) -> Result<(), SymbolError> {
        let slide = self.slide.get();
        let first = self.blob.addresses.first().map_or(0, |a| a.get());
        for (index, addr) in self.blob.addresses.iter().enumerate() {
            let addr = addr.get();
            let size = self.size_of(index, addr);
            let span = (addr - first).checked_add(size);
            let linked = span.and_then(|span| first.checked_add(span));
            let running = span.and_then(|s| self.slide.to_running(first).checked_add(s));
            if linked.is_none() || running.is_none() {
                return Err(SymbolError::AddressOverflow { addr, size, slide });
            }
        }
        Ok(())
    }
}

impl fmt::Debug for SymbolTable<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SymbolTable")
            .field("len", &self.len())
            .field("slide", &self.slide)
            .field("has_sidecar", &self.sidecar.is_some())
            .finish()
    }
}
