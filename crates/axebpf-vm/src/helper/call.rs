//! Calling a helper: what it works with, and which one it is.

use axebpf_hit::HitGuard;

use super::Helper;
use crate::bound_map::BoundMap;
use crate::env::RunEnv;
use crate::errno::EINVAL;
use crate::memory::{Memory, SCRATCH_BYTES, Violation};

/// The answer of the helpers that name the loaded virtual CPU when there is none.
const NOBODY: u64 = u64::MAX;

/// A call that ends the program.
#[derive(Clone, Copy, Debug)]
pub(crate) enum HelperFault {
    /// An argument points where it must not.
    Memory(Violation),
    /// An argument is no map of the program.
    NotAMap { arg: u8, value: u64 },
    /// The first argument is no reserved record.
    NotARecord { value: u64 },
    /// The work that the call asks for is more than the budget allows.
    Budget,
}

impl From<Violation> for HelperFault {
    fn from(violation: Violation) -> Self {
        Self::Memory(violation)
    }
}

/// What helpers work with during one run.
pub(crate) struct Helpers<'r> {
    pub(crate) guard: &'r HitGuard,
    pub(crate) env: &'r RunEnv<'r>,
    pub(crate) memory: Memory<'r>,
    pub(crate) scratch: &'r mut [u8; SCRATCH_BYTES],
    /// What is left of the budget, in instructions.
    pub(crate) left: u64,
    /// Calls that returned a negative error number.
    pub(crate) errors: u32,
    /// Reservations that the program left to [`discard_records`](Self::discard_records).
    pub(crate) abandoned: u32,
    /// Tail calls so far.
    pub(crate) tail_calls: u32,
}

impl Helpers<'_> {
    /// Calls `helper` with the values of `r1` to `r5` and returns that of `r0`.
    pub(crate) fn call(&mut self, helper: Helper, args: [u64; 5]) -> Result<u64, HelperFault> {
        let platform = self.guard.platform();
        let result = match helper {
            Helper::MapLookupElem => return self.map_lookup(args),
            Helper::MapUpdateElem => self.map_update(args)?,
            Helper::MapDeleteElem => self.map_delete(args)?,
            Helper::KtimeGetNs => return Ok(platform.now_ns()),
            Helper::TracePrintk => self.trace_printk(args)?,
            Helper::GetSmpProcessorId => return Ok(self.guard.cpu().get().into()),
            Helper::GetCurrentVmId => {
                return Ok(platform
                    .current_vcpu()
                    .map_or(NOBODY, |vcpu| vcpu.vm.get().into()));
            }
            Helper::GetCurrentVcpuId => {
                return Ok(platform
                    .current_vcpu()
                    .map_or(NOBODY, |vcpu| vcpu.vcpu.get().into()));
            }
            Helper::GetExitReason => return Ok(platform.exit_reason().map_or(NOBODY, u64::from)),
            Helper::ProbeReadKernel => self.probe_read(args)?,
            Helper::RingbufOutput => self.ringbuf_output(args)?,
            Helper::RingbufReserve => return self.ringbuf_reserve(args),
            Helper::RingbufSubmit => self.ringbuf_submit(args)?,
            Helper::RingbufDiscard => self.ringbuf_discard(args)?,
            // The engine calls `steer` for these.
            Helper::TailCall | Helper::Loop => EINVAL,
        };
        if result < 0 {
            self.errors += 1;
        }
        Ok(result as u64)
    }

    /// Charges the budget for `bytes` bytes of work, eight to an instruction.
    pub(super) fn charge(&mut self, bytes: u64) -> Result<(), HelperFault> {
        self.left = self
            .left
            .checked_sub(bytes / 8)
            .ok_or(HelperFault::Budget)?;
        Ok(())
    }

    /// Returns the index of the map that argument `arg` names.
    pub(super) fn map_index(&self, arg: u8, value: u64) -> Result<usize, HelperFault> {
        BoundMap::by_handle(self.memory.maps(), value).ok_or(HelperFault::NotAMap { arg, value })
    }
}
