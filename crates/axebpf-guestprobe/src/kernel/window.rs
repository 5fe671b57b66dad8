//! Reading a guest's memory piece by piece, one page at a time.

use alloc::boxed::Box;

use axebpf_platform::GuestPhys;

use crate::GuestMemory;

const PAGE: u64 = 4096;

/// A page of a guest's memory, and the next one when that is asked for.
pub(super) struct Window<'a, M: ?Sized> {
    memory: &'a M,
    /// The page that was read last, if it was there.
    page: Option<u64>,
    bytes: Box<[u8; PAGE as usize]>,
}

impl<'a, M: GuestMemory + ?Sized> Window<'a, M> {
    pub(super) fn new(memory: &'a M) -> Self {
        Self {
            memory,
            page: None,
            bytes: Box::new([0; PAGE as usize]),
        }
    }

    /// Returns the page at `page`, a multiple of 4096, or `None` where the guest has no memory.
    pub(super) fn page(&mut self, page: u64) -> Option<&[u8; PAGE as usize]> {
        if self.page != Some(page) {
            self.page = None;
            self.memory
                .read_guest(GuestPhys::new(page), &mut self.bytes[..])
                .ok()?;
            self.page = Some(page);
        }
        Some(&self.bytes)
    }

    /// Returns the byte at `at`.
    pub(super) fn byte(&mut self, at: u64) -> Option<u8> {
        let offset = (at % PAGE) as usize;
        Some(self.page(at - at % PAGE)?[offset])
    }

    /// Returns the little-endian number of `N` bytes at `at`, which is a multiple of `N`.
    fn number<const N: usize>(&mut self, at: u64) -> Option<[u8; N]> {
        let offset = (at % PAGE) as usize;
        let bytes = self.page(at - at % PAGE)?.get(offset..offset + N)?;
        bytes.try_into().ok()
    }

    pub(super) fn u16(&mut self, at: u64) -> Option<u16> {
        self.number(at).map(u16::from_le_bytes)
    }

    pub(super) fn u32(&mut self, at: u64) -> Option<u32> {
        self.number(at).map(u32::from_le_bytes)
    }

    pub(super) fn u64(&mut self, at: u64) -> Option<u64> {
        self.number(at).map(u64::from_le_bytes)
    }
}
