//! Access to the program's memory, by the program and by helpers for it.
#![allow(unsafe_code)]

use core::marker::PhantomData;
use core::sync::atomic::{AtomicU32, AtomicU64};

use axebpf_maps::ValueSource;

use super::raw::{self, Word};
use super::region::Memory;
use super::window::{Sharing, Violation};

impl Memory<'_> {
    /// Reads a number.
    #[inline(always)]
    pub(crate) fn load<W: Word>(&mut self, addr: u64) -> Result<W, Violation> {
        Ok(match self.check_read(addr, W::LEN)? {
            // SAFETY: the bytes lie in the stack or the context, which are readable, initialised and exposed, and which
            // this run has to itself or borrows.
            Sharing::Private => unsafe { W::load_private(addr) },
            // SAFETY: the bytes lie in a map's arena or ring, which is initialised and exposed, lives as long as the
            // map that is borrowed, and is accessed by atomic operations only.
            Sharing::Shared => unsafe { W::load_shared(addr) },
        })
    }

    /// Writes a number.
    #[inline(always)]
    pub(crate) fn store<W: Word>(&mut self, addr: u64, value: W) -> Result<(), Violation> {
        match self.check_write(addr, W::LEN)? {
            // SAFETY: the bytes lie in the stack or a context that is borrowed mutably; the rest as in `load`.
            Sharing::Private => unsafe { W::store_private(addr, value) },
            // SAFETY: as in `load`.
            Sharing::Shared => unsafe { W::store_shared(addr, value) },
        }
        Ok(())
    }

    /// Returns the atomic at `addr`.
    #[inline(always)]
    pub(crate) fn atomic32(&mut self, addr: u64) -> Result<&AtomicU32, Violation> {
        self.check_atomic(addr, 4)?;
        // SAFETY: the address is aligned. The bytes are readable, writable and exposed, as in `load` and `store`, and
        // private, or accessed by atomic operations only.
        Ok(unsafe { raw::atomic_u32(addr) })
    }

    /// Returns the atomic at `addr`.
    #[inline(always)]
    pub(crate) fn atomic64(&mut self, addr: u64) -> Result<&AtomicU64, Violation> {
        self.check_atomic(addr, 8)?;
        // SAFETY: as in `atomic32`.
        Ok(unsafe { raw::atomic_u64(addr) })
    }

    /// Refuses an atomic operation unless its bytes lie in one region that may be read and written, and are aligned.
    #[inline(always)]
    fn check_atomic(&mut self, addr: u64, len: u64) -> Result<(), Violation> {
        // It reads what it writes, as far as the program can tell.
        self.check_read(addr, len)?;
        self.check_write(addr, len)?;
        if addr.is_multiple_of(len) {
            Ok(())
        } else {
            Err(Violation::Misaligned { addr, len })
        }
    }

    /// Reads a number of the innermost frame without a check.
    ///
    /// `offset` is from the frame's lowest byte, a multiple of the number's length, and of what is ready of the frame.
    /// Another one names other bytes of the frame.
    #[inline(always)]
    pub(crate) fn load_frame<W: Word>(&self, offset: i32) -> W {
        self.stack.load(offset)
    }

    /// Writes a number of the innermost frame without a check; see [`load_frame`](Self::load_frame).
    #[inline(always)]
    pub(crate) fn store_frame<W: Word>(&mut self, offset: i32, value: W) {
        self.stack.store(offset, value);
    }

    /// Refuses to let a helper write `len` bytes at `addr` unless they lie in one region that may be written.
    pub(crate) fn check_writable(&mut self, addr: u64, len: u64) -> Result<(), Violation> {
        self.check_write(addr, len).map(|_| ())
    }

    /// Returns `len` bytes at `addr`, for a map or a ring buffer to copy from.
    pub(crate) fn bytes(&mut self, addr: u64, len: u64) -> Result<Bytes<'_>, Violation> {
        let sharing = if len == 0 {
            Sharing::Private
        } else {
            self.check_read(addr, len)?
        };
        Ok(Bytes {
            addr,
            len: len as usize,
            sharing,
            _memory: PhantomData,
        })
    }

    /// Returns `len` bytes at `addr` if nobody else can access them.
    #[inline(always)]
    pub(crate) fn private(&mut self, addr: u64, len: usize) -> Result<Option<&[u8]>, Violation> {
        if len == 0 {
            return Ok(Some(&[]));
        }
        Ok(match self.check_read(addr, len as u64)? {
            // SAFETY: as in `load`; the program, which alone writes its stack and context, does not run while the
            // memory is borrowed.
            Sharing::Private => Some(unsafe { raw::private_bytes(addr, len) }),
            Sharing::Shared => None,
        })
    }

    /// Copies bytes out of the program's memory.
    pub(crate) fn copy_out(&mut self, addr: u64, out: &mut [u8]) -> Result<(), Violation> {
        if out.is_empty() {
            return Ok(());
        }
        match self.check_read(addr, out.len() as u64)? {
            // SAFETY: as in `load`. Helpers copy to memory of their own, which is not the program's.
            Sharing::Private => unsafe { raw::load_private_bytes(addr, out) },
            // SAFETY: as in `load`.
            Sharing::Shared => unsafe { raw::load_shared_bytes(addr, out) },
        }
        Ok(())
    }

    /// Copies bytes into the program's memory.
    pub(crate) fn copy_in(&mut self, addr: u64, bytes: &[u8]) -> Result<(), Violation> {
        if bytes.is_empty() {
            return Ok(());
        }
        match self.check_write(addr, bytes.len() as u64)? {
            // SAFETY: as in `store`. Helpers copy from memory of their own, which is not the program's.
            Sharing::Private => unsafe { raw::store_private_bytes(addr, bytes) },
            // SAFETY: as in `store`.
            Sharing::Shared => unsafe { raw::store_shared_bytes(addr, bytes) },
        }
        Ok(())
    }
}

/// Bytes of the program's memory that have been checked, to copy from. Other CPUs may write them meanwhile.
pub(crate) struct Bytes<'m> {
    addr: u64,
    len: usize,
    sharing: Sharing,
    _memory: PhantomData<&'m ()>,
}

impl ValueSource for Bytes<'_> {
    fn byte_len(&self) -> usize {
        self.len
    }

    fn word(&self, index: usize) -> u64 {
        let mut word = [0; 8];
        let Some(rest) = index
            .checked_mul(8)
            .and_then(|start| self.len.checked_sub(start))
        else {
            return 0;
        };
        let addr = self.addr + index as u64 * 8;
        let (bytes, _) = word.split_at_mut(rest.min(8));
        match self.sharing {
            // SAFETY: the bytes lie within the checked ones, as in `load`; the word is no memory of the program's.
            Sharing::Private => unsafe { raw::load_private_bytes(addr, bytes) },
            // SAFETY: eight bytes lie within the checked ones, as in `load`.
            Sharing::Shared if rest >= 8 => return unsafe { u64::load_shared(addr) },
            // SAFETY: the bytes lie within the checked ones, as in `load`.
            Sharing::Shared => unsafe { raw::load_shared_bytes(addr, bytes) },
        }
        u64::from_ne_bytes(word)
    }
}
