//! The regions of a running program, and access to them.
#![allow(unsafe_code)]

use core::marker::PhantomData;
use core::ptr;
use core::sync::atomic::{AtomicU32, AtomicU64};

use axebpf_maps::{Arena, Map, MapKind, ValueSource};

use super::raw::{self, Word};
use super::{FRAME_BYTES, STACK_BYTES};
use crate::bound_map::BoundMap;
use crate::context::Context;
use crate::run_error::Access;

/// The number of ring-buffer records that a program can hold reserved at a time.
pub(crate) const MAX_RECORDS: usize = 8;

/// The number of maps that a run can find in others.
const MAX_INNER: usize = 8;

/// The high bits of an inner map in a register; no address on any machine looks like this.
const INNER_TAG: u64 = 0x6d62_0000_0000_0000;

/// Returns what names an inner map in a register: where it is in the run's table, and which one it is, so that a
/// handle that was kept from another run is not taken for another map.
fn inner_handle(index: usize, map: &Map) -> u64 {
    let which = (map as *const Map).addr() as u64 >> 4 & 0xff_ffff_ffff;
    INNER_TAG | which << 8 | index as u64
}

/// A refused access.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Violation {
    /// The bytes are not all in one region that allows the access.
    OutOfBounds { access: Access, addr: u64, len: u64 },
    /// The address of an atomic operation is not aligned.
    Misaligned { addr: u64, len: u64 },
}

/// A range of addresses.
#[derive(Clone, Copy, Debug)]
struct Window {
    start: u64,
    len: u64,
}

impl Window {
    const EMPTY: Self = Self { start: 0, len: 0 };

    #[inline(always)]
    fn holds(&self, addr: u64, len: u64) -> bool {
        let offset = addr.wrapping_sub(self.start);
        offset < self.len && self.len - offset >= len
    }

    /// Does the same in one comparison, for `len` of 8 at most and a window of at least 8 bytes.
    #[inline(always)]
    fn holds_word(&self, addr: u64, len: u64) -> bool {
        debug_assert!(len <= 8 && self.len >= 8);
        addr.wrapping_sub(self.start) <= self.len - len
    }
}

/// How much of its frame a function is known to use, to be made ready before it starts.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameUse {
    bytes: u16,
}

impl FrameUse {
    /// What the use is a multiple of.
    const STEP: usize = 64;

    /// Rounds a number of bytes to what can be made ready.
    pub(crate) fn new(bytes: usize) -> Self {
        const { assert!(FRAME_BYTES.is_multiple_of(Self::STEP)) };
        let bytes = bytes.clamp(1, FRAME_BYTES).next_multiple_of(Self::STEP);
        Self {
            bytes: bytes as u16,
        }
    }

    fn bytes(self) -> u64 {
        self.bytes.into()
    }
}

/// A ring-buffer record that the program has reserved and not given back.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reservation {
    /// The index of the map among the program's.
    pub(crate) map: usize,
    pub(crate) addr: u64,
    pub(crate) len: u64,
}

/// Who else can access the bytes that the program accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sharing {
    /// Nobody: they are of the stack or the context.
    Private,
    /// Programs on other CPUs, by way of a map.
    Shared,
}

/// The memory of a running program.
pub(crate) struct Memory<'r> {
    /// The live frames of the stack: from the lowest byte of the innermost to the end of the outermost.
    ///
    /// Of the outermost frame, only a part may be live yet; [`grow_stack`](Self::grow_stack) adds the rest.
    stack: Window,
    context: Window,
    /// The context if the program may write it, or nothing.
    writable_context: Window,
    /// The shared region that the program last read.
    readable: Window,
    /// The shared region that the program last wrote.
    writable: Window,
    maps: &'r [BoundMap],
    records: [Option<Reservation>; MAX_RECORDS],
    /// The maps that were found in others.
    inner: [Option<&'r Map>; MAX_INNER],
    /// The number of records that are held.
    held: usize,
    _context: PhantomData<&'r mut [u8]>,
}

impl<'r> Memory<'r> {
    /// Makes the memory of a run that is in the main function.
    ///
    /// # Safety
    ///
    /// `STACK_BYTES` bytes from `stack` on are initialised and belong to the caller alone for `'r`, their provenance is
    /// exposed, and they are accessed through the result only.
    ///
    /// `used` is how much of the main function's frame the program is known to use. It bounds nothing: it is what is made
    /// ready at once, and the rest of the frame is when the program gets there.
    pub(crate) unsafe fn new(
        stack: u64,
        used: FrameUse,
        context: &'r mut Context<'_>,
        maps: &'r [BoundMap],
    ) -> Self {
        let whole = Window {
            len: context.len(),
            start: context.expose(),
        };
        let mut memory = Self {
            stack: Window {
                start: stack + STACK_BYTES as u64,
                len: 0,
            },
            context: whole,
            writable_context: if context.is_writable() {
                whole
            } else {
                Window::EMPTY
            },
            readable: Window::EMPTY,
            writable: Window::EMPTY,
            maps,
            records: [None; MAX_RECORDS],
            inner: [None; MAX_INNER],
            held: 0,
            _context: PhantomData,
        };
        memory.extend_stack(used.bytes());
        memory
    }

    /// Returns what the program starts with in `r1` and `r2`: where the context is, and its length.
    pub(crate) fn arguments(&self) -> [u64; 2] {
        [self.context.start, self.context.len]
    }

    /// Returns the frame pointer, `r10`: the end of the innermost frame.
    #[inline(always)]
    pub(crate) fn frame_pointer(&self) -> u64 {
        // The part of the outermost frame that is not live yet is less than a frame.
        self.stack.start + ((self.stack.len - 1) % FRAME_BYTES as u64 + 1)
    }

    /// Adds a zeroed frame below the others. The caller keeps count of how many there can be.
    #[inline(always)]
    pub(crate) fn push_frame(&mut self) {
        self.grow_stack();
        self.extend_stack(FRAME_BYTES as u64);
    }

    /// Returns how many bytes of the innermost frame are not live yet.
    #[inline(always)]
    fn unready_stack(&self) -> u64 {
        self.stack.len.next_multiple_of(FRAME_BYTES as u64) - self.stack.len
    }

    /// Makes the whole innermost frame live; tells whether there was anything to do.
    #[inline(always)]
    fn grow_stack(&mut self) -> bool {
        let missing = self.unready_stack();
        if missing != 0 {
            self.extend_stack(missing);
        }
        missing != 0
    }

    /// Makes `bytes` zeroed bytes below the live ones live, a multiple of [`FrameUse::STEP`] of which there are so many.
    #[inline(always)]
    fn extend_stack(&mut self, bytes: u64) {
        for _ in 0..bytes / FrameUse::STEP as u64 {
            self.stack.start -= FrameUse::STEP as u64;
            self.stack.len += FrameUse::STEP as u64;
            // SAFETY: the bytes lie in the stack, for which the caller of `new` vouched: the callers of this function
            // add no more than a frame for each of the frames that the stack is made of.
            unsafe { raw::zero_private(self.stack.start, FrameUse::STEP as u64) };
        }
    }

    /// Takes the innermost frame away.
    #[inline(always)]
    pub(crate) fn pop_frame(&mut self) {
        self.stack.start += FRAME_BYTES as u64;
        self.stack.len -= FRAME_BYTES as u64;
    }

    /// Reads a number.
    #[inline(always)]
    pub(crate) fn load<W: Word>(&mut self, addr: u64) -> Result<W, Violation> {
        Ok(match self.check_read(addr, W::LEN)? {
            // SAFETY: the bytes lie in the stack or the context, which are readable, initialised and exposed, and which this run
            // has to itself or borrows.
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
        // It reads what it writes, as far as the program can tell.
        self.check_read(addr, 4)?;
        self.check_write(addr, 4)?;
        if !addr.is_multiple_of(4) {
            return Err(Violation::Misaligned { addr, len: 4 });
        }
        // SAFETY: the address is aligned, as just seen. The bytes are readable, writable and exposed, as in `load` and
        // `store`, and private, or accessed by atomic operations only.
        Ok(unsafe { raw::atomic_u32(addr) })
    }

    /// Returns the atomic at `addr`.
    #[inline(always)]
    pub(crate) fn atomic64(&mut self, addr: u64) -> Result<&AtomicU64, Violation> {
        self.check_read(addr, 8)?;
        self.check_write(addr, 8)?;
        if !addr.is_multiple_of(8) {
            return Err(Violation::Misaligned { addr, len: 8 });
        }
        // SAFETY: as in `atomic32`.
        Ok(unsafe { raw::atomic_u64(addr) })
    }

    /// Tells whether the bytes lie in the live part of the stack, which is never smaller than [`FrameUse::STEP`].
    #[inline(always)]
    fn in_stack(&self, addr: u64, len: u64) -> bool {
        if len <= 8 {
            self.stack.holds_word(addr, len)
        } else {
            self.stack.holds(addr, len)
        }
    }

    /// Refuses a read unless it lies in one region.
    #[inline(always)]
    fn check_read(&mut self, addr: u64, len: u64) -> Result<Sharing, Violation> {
        if self.in_stack(addr, len) || self.context.holds(addr, len) {
            return Ok(Sharing::Private);
        }
        if self.readable.holds(addr, len) {
            return Ok(Sharing::Shared);
        }
        self.find(addr, len, Access::Read)
    }

    /// Refuses a write unless it lies in one region that may be written.
    #[inline(always)]
    fn check_write(&mut self, addr: u64, len: u64) -> Result<Sharing, Violation> {
        if self.in_stack(addr, len) || self.writable_context.holds(addr, len) {
            return Ok(Sharing::Private);
        }
        if self.writable.holds(addr, len) {
            return Ok(Sharing::Shared);
        }
        self.find(addr, len, Access::Write)
    }

    /// Finds the region that allows the access, when none of those does that are looked at first.
    #[cold]
    fn find(&mut self, addr: u64, len: u64, access: Access) -> Result<Sharing, Violation> {
        // Map values are the usual case here, and no reason to make the rest of the frame ready.
        let unready = self.unready_stack();
        if addr.wrapping_sub(self.stack.start - unready) < unready
            && self.grow_stack()
            && self.stack.holds(addr, len)
        {
            return Ok(Sharing::Private);
        }
        let window = self.find_shared(addr, len, access)?;
        match access {
            Access::Read => self.readable = window,
            Access::Write => self.writable = window,
        }
        Ok(Sharing::Shared)
    }

    /// Finds the shared region that allows the access.
    fn find_shared(&self, addr: u64, len: u64, access: Access) -> Result<Window, Violation> {
        let records = self.records.iter().flatten();
        self.maps
            .iter()
            .filter(|map| match access {
                Access::Read => map.access().can_read(),
                Access::Write => map.access().can_write(),
            })
            .find_map(|map| value_window(map.arena()?, addr))
            .into_iter()
            .chain(self.find_inner(addr, access))
            .chain(records.map(|record| Window {
                start: record.addr,
                len: record.len,
            }))
            .find(|window| window.holds(addr, len))
            .ok_or(Violation::OutOfBounds { access, addr, len })
    }

    /// Finds the value of a map that was found in another one.
    fn find_inner(&self, addr: u64, access: Access) -> Option<Window> {
        let inner = self.inner.iter().flatten().filter(|map| {
            let allowed = map.program_access();
            map.kind() != MapKind::RingBuf
                && match access {
                    Access::Read => allowed.can_read(),
                    Access::Write => allowed.can_write(),
                }
        });
        inner
            .into_iter()
            .find_map(|map| value_window(&map.arena(), addr))
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

    /// Goes on with the maps of another program.
    pub(crate) fn switch_maps(&mut self, maps: &'r [BoundMap]) {
        self.maps = maps;
        (self.readable, self.writable) = (Window::EMPTY, Window::EMPTY);
    }

    /// Returns the program's maps.
    pub(crate) fn maps(&self) -> &'r [BoundMap] {
        self.maps
    }

    /// Makes a map that is the value of another one accessible, and returns its handle.
    ///
    /// `None` when the run has as many already as it can.
    pub(crate) fn bind_inner(&mut self, map: &'r Map) -> Option<u64> {
        let mut inner = self.inner.iter_mut().enumerate();
        let (index, slot) = inner.find(|(_, slot)| slot.is_none_or(|known| ptr::eq(known, map)))?;
        *slot = Some(map);
        Some(inner_handle(index, map))
    }

    /// Returns the index of the inner map that a register names; it follows those of the program's maps.
    pub(crate) fn inner_by_handle(&self, value: u64) -> Option<usize> {
        let index = usize::from(value as u8);
        let map = (*self.inner.get(index)?)?;
        (inner_handle(index, map) == value).then_some(self.maps.len() + index)
    }

    /// Returns the map with that index, of the program's or an inner one.
    pub(crate) fn map_at(&self, index: usize) -> Option<&'r Map> {
        match self.maps.get(index) {
            Some(bound) => Some(bound.map()),
            None => *self.inner.get(index.checked_sub(self.maps.len())?)?,
        }
    }

    /// Returns the handle of the map with that index.
    pub(crate) fn handle_of(&self, index: usize) -> Option<u64> {
        if let Some(bound) = self.maps.get(index) {
            return Some(bound.handle());
        }
        let inner = index.checked_sub(self.maps.len())?;
        Some(inner_handle(inner, (*self.inner.get(inner)?)?))
    }

    /// Tells whether one more record can be held.
    pub(crate) fn can_hold_record(&self) -> bool {
        self.records.iter().any(Option::is_none)
    }

    /// Makes a record accessible.
    ///
    /// # Safety
    ///
    /// The bytes of the record belong to the caller, their provenance is exposed, and they stay so until
    /// [`take_record`](Self::take_record) or [`drain_records`](Self::drain_records) returns the record.
    pub(crate) unsafe fn hold_record(&mut self, record: Reservation) {
        if let Some(free) = self.records.iter_mut().find(|slot| slot.is_none()) {
            *free = Some(record);
            self.held += 1;
        }
    }

    /// Tells whether a record at `addr` is held.
    pub(crate) fn holds_record(&self, addr: u64) -> bool {
        self.records
            .iter()
            .flatten()
            .any(|record| record.addr == addr)
    }

    /// Makes the record at `addr` inaccessible and returns it.
    pub(crate) fn take_record(&mut self, addr: u64) -> Option<Reservation> {
        let slot = self
            .records
            .iter_mut()
            .find(|slot| slot.is_some_and(|record| record.addr == addr))?;
        (self.readable, self.writable) = (Window::EMPTY, Window::EMPTY);
        self.held -= 1;
        slot.take()
    }

    /// Makes some record that is still held inaccessible and returns it.
    #[inline]
    pub(crate) fn take_any_record(&mut self) -> Option<Reservation> {
        if self.held == 0 {
            return None;
        }
        let held = self.records.iter().flatten().next()?.addr;
        self.take_record(held)
    }
}

/// Returns the range of the value that `addr` lies in.
fn value_window(arena: &Arena, addr: u64) -> Option<Window> {
    let start = arena.value_at(addr as usize)?;
    Some(Window {
        start: start as u64,
        len: arena.value_size as u64,
    })
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
