//! The call chain of the probed code.
//!
//! A chain is the program counter, then the return addresses that the frame records name. Each record is read
//! fault-safe. The next one must lie above it, by less than [`MAX_FRAME_GAP`], at a multiple of eight: whatever a
//! corrupt stack holds, unwinding goes upwards, ends after [`MAX_STACK_DEPTH`] addresses at the latest, and reads
//! nothing but Normal memory.

use axebpf_maps::{MapKind, StackFlags};
use axebpf_platform::HostVirt;

use super::call::{HelperFault, Helpers};
use crate::call_stack::{CallStack, StackStart};
use crate::errno::{EFAULT, EINVAL};

/// The most addresses of a call chain: Linux's `PERF_MAX_STACK_DEPTH`.
pub const MAX_STACK_DEPTH: usize = 127;

/// The most bytes between two frame records; one further away is none.
const MAX_FRAME_GAP: u64 = 64 << 10;

/// The flag for the number of addresses to leave out from the innermost on (`BPF_F_SKIP_FIELD_MASK`).
const SKIP_MASK: u64 = 0xff;
/// The chain of the user instead (`BPF_F_USER_STACK`).
const USER_STACK: u64 = 1 << 8;

/// What one address of a chain is charged as, in bytes of work.
const ADDRESS_COST: u64 = 64;

/// A call chain, innermost first.
pub(super) struct Chain {
    addresses: [u64; MAX_STACK_DEPTH],
    len: usize,
}

impl Chain {
    fn push(&mut self, address: u64) -> bool {
        let place = self.addresses.get_mut(self.len);
        let fits = place.is_some();
        if let Some(place) = place {
            *place = address;
            self.len += 1;
        }
        fits
    }

    /// Returns the addresses without the innermost `skip`.
    pub(super) fn skip(&self, skip: usize) -> &[u64] {
        self.addresses[..self.len].get(skip..).unwrap_or(&[])
    }
}

impl<'r> Helpers<'r> {
    /// Follows the frame records of `stack`, for `limit` addresses at most.
    pub(super) fn unwind(&mut self, found: Found<'_>, limit: usize) -> Result<Chain, HelperFault> {
        let Found { stack, start } = found;
        let mut chain = Chain {
            addresses: [0; MAX_STACK_DEPTH],
            len: 0,
        };
        let limit = limit.min(MAX_STACK_DEPTH);
        let caller = |frame: Option<HostVirt>, saved| {
            let saved = strip(saved, stack.address_bits());
            stack.real_return(frame, HostVirt::new(saved)).get()
        };
        chain.push(start.pc().get());
        if let Some(saved) = start.return_address() {
            chain.push(caller(None, saved.get()));
        }
        let mut frame = start.frame_pointer().get();
        while chain.len < limit && frame != 0 && frame.is_multiple_of(8) {
            self.charge(ADDRESS_COST)?;
            let place = HostVirt::new(frame);
            let Some([next, saved]) = stack.read_frame(self.guard, place) else {
                break;
            };
            // The first record of a stack has no caller.
            if saved == 0 {
                break;
            }
            chain.push(caller(Some(place), saved));
            let gap = next.wrapping_sub(frame);
            let is_above = next > frame && gap >= 16;
            if !is_above || gap > MAX_FRAME_GAP {
                break;
            }
            frame = next;
        }
        Ok(chain)
    }

    /// `bpf_get_stack(ctx, buf, size, flags)`: returns the number of bytes written; the rest of `buf` is zeroes.
    pub(super) fn get_stack(&mut self, args: [u64; 5]) -> Result<i64, HelperFault> {
        let [_, to, size, flags, _] = args;
        let size = u64::from(size as u32);
        self.charge(size)?;
        if size != 0 {
            self.memory.check_writable(to, size)?;
        }
        let start = match self.stack(flags) {
            Ok(start) if size.is_multiple_of(8) => start,
            Ok(_) => return self.zero(to, size).map(|()| EINVAL),
            Err(error) => return self.zero(to, size).map(|()| error),
        };
        let skip = (flags & SKIP_MASK) as usize;
        let chain = self.unwind(start, (size as usize / 8).saturating_add(skip))?;
        let mut done = 0;
        for address in chain.skip(skip).iter().take(size as usize / 8) {
            self.memory.copy_in(to + done, &address.to_ne_bytes())?;
            done += 8;
        }
        self.zero(to + done, size - done)?;
        Ok(done as i64)
    }

    /// `bpf_get_stackid(ctx, map, flags)`: returns the number that the chain has in a map of stack traces.
    pub(super) fn get_stackid(&mut self, args: [u64; 5]) -> Result<i64, HelperFault> {
        let [_, map, flags, ..] = args;
        let map = self.map(2, map)?;
        let slot_flags = StackFlags::from_bits_truncate(flags);
        let start = match self.stack(flags & !slot_flags.bits()) {
            Ok(start) if map.kind() == MapKind::StackTrace => start,
            Ok(_) => return Ok(EINVAL),
            Err(error) => return Ok(error),
        };
        let skip = (flags & SKIP_MASK) as usize;
        let depth = map.spec().value_size as usize / 8;
        let chain = self.unwind(start, depth.saturating_add(skip))?;
        let frames = chain.skip(skip);
        if frames.is_empty() {
            return Ok(EFAULT);
        }
        self.charge(frames.len() as u64 * 8)?;
        let id = map.stack_id(self.guard, frames, slot_flags);
        Ok(id.map_or_else(|error| error.errno(), i64::from))
    }

    /// Returns the chain to be followed, or the error number for flags that are not possible, or for there being none.
    pub(super) fn stack(&self, flags: u64) -> Result<Found<'r>, i64> {
        if flags & !(SKIP_MASK | USER_STACK) != 0 {
            return Err(EINVAL);
        }
        // There are no users here: what runs below the hypervisor is guests.
        let stack = self.env.stack().filter(|_| flags & USER_STACK == 0);
        let found = stack.and_then(|stack| {
            let start = stack.start()?;
            Some(Found { stack, start })
        });
        found.ok_or(EFAULT)
    }
}

/// A chain, and where it starts.
#[derive(Clone, Copy)]
pub(super) struct Found<'s> {
    stack: &'s dyn CallStack,
    start: StackStart,
}

/// Takes the signature out of a return address of so many bits: the bits above become bit 55.
fn strip(address: u64, bits: u32) -> u64 {
    let above = u64::MAX.checked_shl(bits).unwrap_or(0);
    if address & 1 << 55 == 0 {
        address & !above
    } else {
        address | above
    }
}
