//! Reading memory that need not be the program's: its own first, then the hypervisor's or the guest's, fault-safe.

use axebpf_platform::{GuestVirt, HostVirt};

use super::call::{HelperFault, Helpers};

/// What is read at a time of something whose length is not known.
///
/// A block that starts at a multiple of this never lies in two pages, so that what can be read is not lost for what
/// comes after it.
pub(super) const BLOCK: usize = 64;

/// What a fault-safe read is charged as, besides the bytes that it copies, in bytes of work: the platform asks the
/// processor about each page first.
pub(super) const READ_COST: u64 = 128;

/// Memory that cannot be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unreadable;

/// Who gave an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The program itself: its own memory goes before what it probes.
    Program,
    /// The probed code. A guest's addresses can be the same as those of the program's memory.
    Probed(Half),
}

/// Which of a guest's addresses are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Half {
    /// All of them.
    Both,
    /// Those of its kernel: bit 55 selects `TTBR1_EL1`, whatever the tag above it is.
    Kernel,
    /// Those of its programs, which `TTBR0_EL1` translates.
    User,
}

impl Half {
    /// Tells whether the `len` bytes at `addr`, fewer than a half has, are of this half.
    fn has(self, addr: u64, len: usize) -> bool {
        let last = addr.wrapping_add(len as u64).wrapping_sub(1);
        let is_kernel = |at: u64| at >> 55 & 1 == 1;
        match self {
            Self::Both => true,
            Self::Kernel => is_kernel(addr) && is_kernel(last),
            Self::User => !is_kernel(addr) && !is_kernel(last),
        }
    }
}

impl Helpers<'_> {
    /// Copies `len` bytes from `addr` to `at` in the scratch memory.
    pub(super) fn read_foreign(
        &mut self,
        addr: u64,
        at: usize,
        len: usize,
        origin: Origin,
    ) -> Result<(), Unreadable> {
        let to = self.scratch.get_mut(at..at + len).ok_or(Unreadable)?;
        let guest = self.env.guest();
        let is_own = origin == Origin::Program || guest.is_none();
        if is_own && self.memory.copy_out(addr, to).is_ok() {
            return Ok(());
        }
        if let Some(guest) = guest {
            if let Origin::Probed(half) = origin
                && !half.has(addr, len)
            {
                return Err(Unreadable);
            }
            let read = guest.read(GuestVirt::new(addr), to);
            return read.map_err(|_| Unreadable);
        }
        let platform = self.guard.platform();
        platform
            .read_memory(HostVirt::new(addr), to)
            .map_err(|_| Unreadable)
    }

    /// Copies the block of a string that starts at `addr` to `at` in the scratch memory, `room` bytes at most.
    ///
    /// Returns how many bytes there are up to and with the terminating NUL, or to the end of the block.
    pub(super) fn read_block(
        &mut self,
        addr: u64,
        at: usize,
        room: usize,
        origin: Origin,
    ) -> Result<Block, Unreadable> {
        let len = (BLOCK - addr as usize % BLOCK).min(room);
        self.read_foreign(addr, at, len, origin)?;
        let block = self.scratch.get(at..at + len).ok_or(Unreadable)?;
        Ok(match block.iter().position(|byte| *byte == 0) {
            Some(end) => Block::Last(end + 1),
            None => Block::Inner(len),
        })
    }

    /// Copies the string at `addr` to `at` in the scratch memory, cut to `room` bytes with its terminating NUL.
    ///
    /// Returns its length with the NUL. A string that cannot be read to its end is empty.
    pub(super) fn read_string(
        &mut self,
        addr: u64,
        at: usize,
        room: usize,
    ) -> Result<usize, HelperFault> {
        let mut len = 0;
        while len < room {
            let from = addr.wrapping_add(len as u64);
            self.charge(READ_COST)?;
            match self.read_block(from, at + len, room - len, Origin::Program) {
                Ok(Block::Last(more)) => {
                    self.charge((len + more) as u64)?;
                    return Ok(len + more);
                }
                Ok(Block::Inner(more)) => len += more,
                Err(Unreadable) => {
                    self.scratch[at] = 0;
                    return Ok(1);
                }
            }
        }
        self.charge(room as u64)?;
        self.scratch[at + room - 1] = 0;
        Ok(room)
    }
}

/// A part of a string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Block {
    /// So many bytes, none of them NUL.
    Inner(usize),
    /// So many bytes, the last one NUL.
    Last(usize),
}
