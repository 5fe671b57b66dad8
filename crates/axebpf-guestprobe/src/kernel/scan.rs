//! Where to look, and what can go wrong.

use alloc::vec::Vec;
use core::fmt;
use core::ops::Range;

use axebpf_platform::{GuestPhys, GuestVirt};
use thiserror::Error;

use super::btf;
use super::kallsyms;
use super::window::Window;
use crate::{Access, GuestMemory, GuestMemoryFault, Stage1, WalkFault};
use axebpf_symbols::CompressedSymbols;

/// How much memory one scan looks at, at most.
const MAX_RANGE: u64 = 1 << 30;
/// How far from a place in its text a kernel image is looked for, in both directions.
const AROUND: u64 = 64 << 20;

/// What is looked for in a guest's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Sought {
    /// The table of tokens of which names consist, with its index.
    Tokens,
    /// The names of symbols, with their number and markers.
    Names,
    /// The addresses of symbols, relative to a base.
    Offsets,
    /// Type information (`.BTF`).
    Btf,
}

impl fmt::Display for Sought {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tokens => "token table of kallsyms",
            Self::Names => "name table of kallsyms",
            Self::Offsets => "table of relative addresses of kallsyms",
            Self::Btf => "BTF",
        })
    }
}

/// Why something was not found in a guest's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum KernelScanError {
    /// It is not there, or it is damaged.
    #[error("no {sought} from {start} to {end} in the guest's memory")]
    NotFound {
        /// What was looked for.
        sought: Sought,
        /// Where the search began.
        start: GuestPhys,
        /// Where it ended.
        end: GuestPhys,
    },
    /// The range is empty or too large.
    #[error("{len} bytes cannot be searched, 1 to {limit} are possible")]
    BadRange {
        /// The length of the range.
        len: u64,
        /// The largest possible length.
        limit: u64,
    },
    /// The memory went away while it was read.
    #[error(transparent)]
    Memory(#[from] GuestMemoryFault),
    /// A place in the kernel's text has no translation.
    #[error(transparent)]
    Walk(#[from] WalkFault),
    /// The hypervisor has no memory left for a copy of what was found. How large that is, the guest decides.
    #[error("no memory is left for {bytes} bytes of the guest's")]
    NoMemory {
        /// The length of the copy.
        bytes: usize,
    },
}

/// Says that something is not in `range`.
pub(super) fn not_found(range: &Range<u64>, sought: Sought) -> KernelScanError {
    KernelScanError::NotFound {
        sought,
        start: GuestPhys::new(range.start),
        end: GuestPhys::new(range.end),
    }
}

/// Returns room for `len` values, of which the guest has said how many there are.
pub(super) fn reserved<T>(len: usize) -> Result<Vec<T>, KernelScanError> {
    let mut values = Vec::new();
    match values.try_reserve_exact(len) {
        Ok(()) => Ok(values),
        Err(_) => Err(KernelScanError::NoMemory {
            bytes: len.saturating_mul(size_of::<T>()),
        }),
    }
}

/// A search for what a Linux kernel knows of itself in the physical memory of a guest.
///
/// Nothing that is found is trusted: each search reads every byte of its range a bounded number of times, whatever is
/// there. It allocates and takes long (tens of megabytes are read), so it belongs into management.
#[derive(Clone, Debug)]
pub struct KernelScan<'a, M: ?Sized> {
    memory: &'a M,
    range: Range<u64>,
}

impl<'a, M: GuestMemory + ?Sized> KernelScan<'a, M> {
    /// Searches from `range.start` up to `range.end`, which both are rounded to pages of 4096 bytes.
    ///
    /// # Errors
    ///
    /// [`KernelScanError::BadRange`] if that is nothing, or more than a gigabyte.
    pub fn new(memory: &'a M, range: Range<GuestPhys>) -> Result<Self, KernelScanError> {
        let start = range.start.get() & !0xfff;
        let end = range.end.get().checked_next_multiple_of(0x1000);
        let len = end.map_or(u64::MAX, |end| end.saturating_sub(start));
        if len == 0 || len > MAX_RANGE {
            return Err(KernelScanError::BadRange {
                len,
                limit: MAX_RANGE,
            });
        }
        Ok(Self {
            memory,
            range: start..start + len,
        })
    }

    /// Searches up to 64 MiB in both directions from where the kernel's text has `at`, such as `VBAR_EL1`: a kernel
    /// image is in one piece in physical memory.
    ///
    /// # Errors
    ///
    /// [`KernelScanError::Walk`] if the guest has nothing there.
    pub fn around(memory: &'a M, stage1: &Stage1, at: GuestVirt) -> Result<Self, KernelScanError> {
        let found = stage1.translate(memory, at, Access::Fetch)?;
        let start = found.at.get().saturating_sub(AROUND);
        let end = found.at.get().saturating_add(AROUND);
        Self::new(memory, GuestPhys::new(start)..GuestPhys::new(end))
    }

    /// Finds and copies the kernel's own compressed symbol tables (`kallsyms`), in the orders in which Linux 5.x, 6.x
    /// up to 6.3, and later ones have them.
    ///
    /// [`CompressedSymbols::base`] is what the kernel has there: where it runs, once it has relocated itself; often 0
    /// before. Kernels without `CONFIG_KALLSYMS_BASE_RELATIVE` are not known here.
    ///
    /// # Errors
    ///
    /// [`KernelScanError::NotFound`] says which of the tables is missing; [`KernelScanError::NoMemory`] if they do not
    /// fit into the hypervisor's.
    pub fn kallsyms(&self) -> Result<CompressedSymbols, KernelScanError> {
        kallsyms::find(&mut Window::new(self.memory), &self.range)
    }

    /// Finds the kernel's type information: where its header is, and how many bytes it has, header included.
    ///
    /// # Errors
    ///
    /// [`KernelScanError::NotFound`] if there is none.
    pub fn btf(&self) -> Result<Range<GuestPhys>, KernelScanError> {
        btf::find(&mut Window::new(self.memory), &self.range)
            .map(|found| GuestPhys::new(found.start)..GuestPhys::new(found.end))
            .ok_or(not_found(&self.range, Sought::Btf))
    }

    /// Copies what was found.
    ///
    /// # Errors
    ///
    /// [`KernelScanError`] if it is larger than a search may be, or than the memory that is left, or not there any more.
    pub fn copy(&self, found: &Range<GuestPhys>) -> Result<Vec<u8>, KernelScanError> {
        let len = found.end.get().saturating_sub(found.start.get());
        if len > MAX_RANGE {
            return Err(KernelScanError::BadRange {
                len,
                limit: MAX_RANGE,
            });
        }
        let mut bytes = reserved(len as usize)?;
        bytes.resize(len as usize, 0);
        let mut at = found.start.get();
        let mut rest = &mut bytes[..];
        while !rest.is_empty() {
            let in_page = (0x1000 - at % 0x1000) as usize;
            let (piece, behind) = rest.split_at_mut(in_page.min(rest.len()));
            self.memory.read_guest(GuestPhys::new(at), piece)?;
            at += piece.len() as u64;
            rest = behind;
        }
        Ok(bytes)
    }
}
