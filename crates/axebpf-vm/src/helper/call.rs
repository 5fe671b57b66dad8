//! Calling a helper: what it works with, and which one it is.

use axebpf_hit::HitGuard;
use axebpf_maps::Map;

use super::Helper;
use super::foreign::Half;
use crate::bound_map::BoundMap;
use crate::env::RunEnv;
use crate::errno::EINVAL;
use crate::memory::{Memory, SCRATCH_BYTES, Violation};

/// The answer of the helpers that name the loaded virtual CPU when there is none.
pub(super) const NOBODY: u64 = u64::MAX;

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

impl<'r> Helpers<'r> {
    /// Calls `helper` with the values of `r1` to `r5` and returns that of `r0`.
    pub(crate) fn call(&mut self, helper: Helper, args: [u64; 5]) -> Result<u64, HelperFault> {
        let result = match helper {
            Helper::MapLookupElem => return self.map_lookup(args),
            Helper::MapLookupPercpuElem => return self.map_lookup_percpu(args),
            Helper::MapUpdateElem => self.map_update(args)?,
            Helper::MapDeleteElem => self.map_delete(args)?,
            Helper::MapPushElem => self.map_push(args)?,
            Helper::MapPopElem => self.map_pop(args)?,
            Helper::MapPeekElem => self.map_peek(args)?,
            Helper::PerfEventOutput => self.perf_event_output(args)?,
            Helper::GetStackid => self.get_stackid(args)?,
            Helper::ProbeRead => self.probe_read(args, Half::Both)?,
            Helper::ProbeReadKernel => self.probe_read(args, Half::Kernel)?,
            Helper::ProbeReadStr => self.probe_read_str(args, Half::Both)?,
            Helper::ProbeReadKernelStr => self.probe_read_str(args, Half::Kernel)?,
            Helper::ProbeReadUser | Helper::ReadGuestUser => {
                self.in_guest(args, Half::User, Self::probe_read)?
            }
            Helper::ReadGuestKernel => self.in_guest(args, Half::Kernel, Self::probe_read)?,
            Helper::ProbeReadUserStr => self.in_guest(args, Half::User, Self::probe_read_str)?,
            // A negative result is no error.
            Helper::Strncmp => return self.strncmp(args).map(|order| order as u64),
            Helper::TracePrintk => self.trace_printk(args)?,
            Helper::TraceVprintk => self.trace_vprintk(args)?,
            Helper::Snprintf => self.snprintf(args)?,
            Helper::GetCurrentComm => self.comm(args)?,
            Helper::GetStack => self.get_stack(args)?,
            Helper::RingbufOutput => self.ringbuf_output(args)?,
            Helper::RingbufReserve => return self.ringbuf_reserve(args),
            Helper::RingbufSubmit => self.ringbuf_submit(args)?,
            Helper::RingbufDiscard => self.ringbuf_discard(args)?,
            Helper::RingbufQuery => return self.ringbuf_query(args),
            // The engine calls `steer` for these.
            Helper::TailCall | Helper::Loop | Helper::ForEachMapElem => EINVAL,
            _ => return Ok(self.fact(helper)),
        };
        if result < 0 {
            self.errors += 1;
        }
        Ok(result as u64)
    }

    /// Returns what a helper that takes nothing and cannot fail says.
    #[inline(never)]
    pub(crate) fn fact(&self, helper: Helper) -> u64 {
        let platform = self.guard.platform();
        // Asked only where it is the answer.
        let vcpu = || platform.current_vcpu();
        match helper {
            Helper::KtimeGetNs | Helper::KtimeGetBootNs => platform.now_ns(),
            Helper::Jiffies64 => self.jiffies(),
            Helper::GetPrandomU32 => self.random(),
            Helper::GetSmpProcessorId => self.guard.cpu().get().into(),
            Helper::GetCurrentPidTgid => self.pid_tgid(),
            Helper::GetCurrentTask => self.task(),
            Helper::GetCurrentVmId => vcpu().map_or(NOBODY, |vcpu| vcpu.vm.get().into()),
            Helper::GetCurrentVcpuId => vcpu().map_or(NOBODY, |vcpu| vcpu.vcpu.get().into()),
            Helper::GetExitReason => platform.exit_reason().map_or(NOBODY, u64::from),
            Helper::GetFuncIp => self.env.function().unwrap_or(0),
            Helper::GetAttachCookie => self.env.cookie(),
            Helper::GetCallTimeNs => self.env.call_time_ns().unwrap_or(NOBODY),
            _ => NOBODY,
        }
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
        BoundMap::by_handle(self.memory.maps(), value)
            .or_else(|| self.memory.inner_by_handle(value))
            .ok_or(HelperFault::NotAMap { arg, value })
    }

    /// Returns the map that argument `arg` names.
    pub(super) fn map(&self, arg: u8, value: u64) -> Result<&'r Map, HelperFault> {
        let index = self.map_index(arg, value)?;
        self.map_at(index)
            .ok_or(HelperFault::NotAMap { arg, value })
    }

    /// Returns the map with an index that [`map_index`](Self::map_index) returned in this run.
    pub(super) fn map_at(&self, index: usize) -> Option<&'r Map> {
        self.memory.map_at(index)
    }
}

impl Helper {
    /// Tells whether the helper only states a fact: it takes nothing but the context, and cannot fail.
    pub(crate) fn is_fact(self) -> bool {
        matches!(
            self,
            Self::KtimeGetNs
                | Self::KtimeGetBootNs
                | Self::Jiffies64
                | Self::GetPrandomU32
                | Self::GetSmpProcessorId
                | Self::GetCurrentPidTgid
                | Self::GetCurrentTask
                | Self::GetCurrentVmId
                | Self::GetCurrentVcpuId
                | Self::GetExitReason
                | Self::GetFuncIp
                | Self::GetAttachCookie
                | Self::GetCallTimeNs
        )
    }
}
