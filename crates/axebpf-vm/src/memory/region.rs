//! The regions of a running program, and the check whether an access lies in one.
#![allow(unsafe_code)]

use core::marker::PhantomData;

use axebpf_maps::{Access as Allowed, Arena, Map, MapKind};

use super::inner::MAX_INNER;
use super::records::{MAX_RECORDS, Reservation};
use super::stack::{FrameUse, Stack};
use super::window::{Sharing, Violation, WideWindow, Window};
use crate::bound_map::BoundMap;
use crate::context::Context;
use crate::run_error::Access;

/// The memory of a running program.
pub(crate) struct Memory<'r> {
    pub(super) stack: Stack,
    /// Private memory that may be read, and written: the context as a rule.
    readable_private: WideWindow,
    writable_private: WideWindow,
    /// The shared region that the program last read, and wrote.
    pub(super) readable: Window,
    pub(super) writable: Window,
    context: Window,
    context_is_writable: bool,
    pub(super) maps: &'r [BoundMap],
    /// The records that are held; nothing as long as there were none, so that a run starts fast.
    pub(super) records: Option<[Option<Reservation>; MAX_RECORDS]>,
    /// The maps that were found in others, likewise.
    pub(super) inner: Option<[Option<&'r Map>; MAX_INNER]>,
    _context: PhantomData<&'r mut [u8]>,
}

impl<'r> Memory<'r> {
    /// Makes the memory of a run that is in the main function.
    ///
    /// # Safety
    ///
    /// `STACK_BYTES` bytes from `stack` on, a multiple of 16, are initialised and belong to the caller alone for `'r`,
    /// their provenance is exposed, and they are accessed through the result only.
    ///
    /// `used` is how much of the main function's frame the program is known to use. It bounds nothing: it is what is
    /// made ready at once, and the rest of the frame is when the program gets there.
    #[inline(always)]
    pub(crate) unsafe fn new(
        stack: u64,
        used: FrameUse,
        context: &'r mut Context<'_>,
        maps: &'r [BoundMap],
    ) -> Self {
        // SAFETY: this function's precondition is that of the call.
        let stack = unsafe { Stack::new(stack, used) };
        let context_is_writable = context.is_writable();
        let whole = Window {
            len: context.len(),
            start: context.expose(),
        };
        // Where there is no context to put into a window, something else that the program may access stands in.
        let private = WideWindow::new(whole).unwrap_or(stack.highest());
        Self {
            readable_private: private,
            writable_private: if context_is_writable {
                private
            } else {
                stack.highest()
            },
            stack,
            readable: Window::EMPTY,
            writable: Window::EMPTY,
            context: whole,
            context_is_writable,
            maps,
            records: None,
            inner: None,
            _context: PhantomData,
        }
    }

    /// Returns what the program starts with in `r1` and `r2`: where the context is, and its length.
    pub(crate) fn arguments(&self) -> [u64; 2] {
        [self.context.start, self.context.len]
    }

    /// Returns the frame pointer, `r10`: the end of the innermost frame.
    #[inline(always)]
    pub(crate) fn frame_pointer(&self) -> u64 {
        self.stack.frame_pointer()
    }

    /// Adds a zeroed frame below the others. The caller keeps count of how many there can be.
    #[inline(always)]
    pub(crate) fn push_frame(&mut self) {
        self.stack.push();
    }

    /// Takes the innermost frame away.
    #[inline(always)]
    pub(crate) fn pop_frame(&mut self) {
        self.stack.pop();
    }

    /// Makes ready what another program uses of the main function's frame, in which it goes on.
    pub(crate) fn ready_frame(&mut self, used: FrameUse) {
        self.stack.ready(used);
    }

    /// Refuses a read unless it lies in one region.
    #[inline(always)]
    pub(super) fn check_read(&mut self, addr: u64, len: u64) -> Result<Sharing, Violation> {
        if self.readable_private.holds(addr, len) || self.stack.holds(addr, len) {
            return Ok(Sharing::Private);
        }
        if self.readable.holds(addr, len) {
            return Ok(Sharing::Shared);
        }
        self.find(addr, len, Access::Read)
    }

    /// Refuses a write unless it lies in one region that may be written.
    #[inline(always)]
    pub(super) fn check_write(&mut self, addr: u64, len: u64) -> Result<Sharing, Violation> {
        if self.stack.holds(addr, len) || self.writable_private.holds(addr, len) {
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
        let allowed = access == Access::Read || self.context_is_writable;
        // Only a part of the frame may be ready yet; only a long context is among the windows.
        if self.stack.grow_to(addr) && self.stack.holds(addr, len)
            || allowed && self.context.holds(addr, len)
        {
            return Ok(Sharing::Private);
        }
        let (window, allowed) = self
            .find_shared(addr)
            .filter(|(window, allowed)| window.holds(addr, len) && permits(*allowed, access))
            .ok_or(Violation::OutOfBounds { access, addr, len })?;
        // What is read is often written next; the other way round, two values may take turns.
        if access == Access::Read {
            self.readable = window;
        }
        if allowed.can_write() {
            self.writable = window;
        }
        Ok(Sharing::Shared)
    }

    /// Finds the shared region that an address is in, and what the program may do there.
    fn find_shared(&self, addr: u64) -> Option<(Window, Allowed)> {
        let value = |arena: &Arena, allowed| Some((value_window(arena, addr)?, allowed));
        self.maps
            .iter()
            .find_map(|map| value(map.arena()?, map.access()))
            .or_else(|| {
                self.inner_maps()
                    .filter(|map| map.kind() != MapKind::RingBuf)
                    .find_map(|map| value(&map.arena(), map.program_access()))
            })
            .or_else(|| Some((self.find_record(addr)?, Allowed::ReadWrite)))
    }

    /// Looks at the value of map `index` at `addr` first from now on, which is what a lookup returned.
    #[inline(always)]
    pub(crate) fn expect_value(&mut self, index: usize, addr: u64) {
        let Some(map) = self.maps.get(index) else {
            return;
        };
        let Some(window) = map.arena().and_then(|arena| value_from(arena, addr)) else {
            return;
        };
        if map.access().can_read() {
            self.readable = window;
        }
        if map.access().can_write() {
            self.writable = window;
        }
    }
}

/// Tells whether what is allowed includes an access.
fn permits(allowed: Allowed, access: Access) -> bool {
    match access {
        Access::Read => allowed.can_read(),
        Access::Write => allowed.can_write(),
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

/// Returns the range of the value that starts at `addr`, or nothing if there is no room for it there.
#[inline(always)]
fn value_from(arena: &Arena, addr: u64) -> Option<Window> {
    let values = Window {
        start: arena.base as u64,
        len: arena.len as u64,
    };
    let len = arena.value_size as u64;
    values
        .holds(addr, len)
        .then_some(Window { start: addr, len })
}
