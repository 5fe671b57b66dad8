//! What `kprobe` says of an instruction.

#![allow(unsafe_code)]

use alloc::boxed::Box;

use axebpf_platform::{HostVirt, Platform, ReadMemory};
use kprobe::{
    KprobeAuxiliaryOps, ProbeBuilder, ProbeInstallError, ProbeManager, ProbePointList,
    register_kprobe, retprobe::RetprobeInstance,
};
use spin::mutex::SpinMutex;

use super::arch::{self, ALIGN, MAX_INSN, trap_len};
use crate::slot::SLOT_BYTES;
use crate::{Blacklist, ForeignRefusal, HprobeError, ProbePoint};

/// A few bytes of text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    bytes: [u8; SLOT_BYTES as usize],
    len: usize,
}

/// An instruction that can be executed elsewhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Displaced {
    /// The instruction.
    pub(crate) insn: Text,
    /// What traps in its place. Not longer than the instruction.
    pub(crate) trap: Text,
}

impl Text {
    /// Takes the first bytes of `bytes`: as many as there is room for.
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let mut text = Self {
            bytes: [0; SLOT_BYTES as usize],
            len: bytes.len().min(SLOT_BYTES as usize),
        };
        text.bytes[..text.len].copy_from_slice(&bytes[..text.len]);
        text
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes[..self.len]
    }

    pub(crate) fn len(&self) -> u64 {
        self.len as u64
    }

    /// Returns this with `next` behind it.
    pub(crate) fn followed_by(&self, next: &[u8]) -> Self {
        let mut bytes = [0; 2 * SLOT_BYTES as usize];
        bytes[..self.len].copy_from_slice(self.bytes());
        let end = self.len + next.len().min(SLOT_BYTES as usize);
        bytes[self.len..end].copy_from_slice(&next[..end - self.len]);
        Self::new(&bytes[..end])
    }
}

/// Finds out whether `point` may be probed, and what is displaced there. Changes nothing.
pub(crate) fn inspect(
    point: &ProbePoint,
    platform: &dyn Platform,
    blacklist: &Blacklist,
) -> Result<Displaced, HprobeError> {
    let at = point.at();
    if !at.is_aligned(ALIGN) {
        return Err(HprobeError::Misaligned { at });
    }
    blacklist.check(at)?;
    let refused = |why| HprobeError::ForeignRefused { at, why };
    arch::check(point, platform).map_err(refused)?;
    let (len, trap) = displaced(at).map_err(|error| refused(ForeignRefusal::from(error)))?;
    let mut bytes = [0; MAX_INSN];
    platform.read_memory(at, &mut bytes[..len.min(MAX_INSN)])?;
    Ok(Displaced {
        insn: Text::new(&bytes[..len.min(MAX_INSN)]),
        trap: Text::new(&trap[..trap_len(len).min(trap.len())]),
    })
}

/// Reads as many of the bytes at `at` as there are in memory, and returns how many.
pub(crate) fn read(memory: &(impl ReadMemory + ?Sized), at: HostVirt, bytes: &mut [u8]) -> usize {
    // An instruction may be the last one in memory, so what follows it need not be there.
    match memory.read_memory(at, bytes) {
        Ok(()) => bytes.len(),
        Err(fault) => {
            let there = fault.addr.get().saturating_sub(at.get());
            let there = usize::try_from(there).map_or(0, |there| there.min(bytes.len()));
            match memory.read_memory(at, &mut bytes[..there]) {
                Ok(()) => there,
                Err(_) => 0,
            }
        }
    }
}

/// What `kprobe` would write over text: the first bytes are what traps.
type Written = [u8; MAX_INSN];

/// Has `kprobe` probe a copy of the instruction at `at`, and returns how long that is and what would be written over
/// it.
fn displaced(at: HostVirt) -> Result<(usize, Written), ProbeInstallError> {
    let address = usize::try_from(at.get()).map_err(|_| ProbeInstallError::InvalidAddress)?;
    // The lock keeps other attaches away from what is written here. It is taken under the management lock only.
    *WRITTEN.lock() = None;
    let manager = ProbeManager::<SpinMutex<()>, Copies>::new();
    let mut points = ProbePointList::new();
    let probe = ProbeBuilder::new().with_symbol_addr(address);
    register_kprobe(&manager, &mut points, probe)?;
    // The first write sets the trap. The second one, when the probe goes, is of no interest.
    let written = WRITTEN.lock().take();
    written.ok_or(ProbeInstallError::PatchFailed)
}

/// The length of the instruction and what was written over it.
static WRITTEN: SpinMutex<Option<(usize, Written)>> = SpinMutex::new(None);

/// Room for the slot of `kprobe`: it uses at most the longest instruction and a breakpoint.
#[repr(align(16))]
struct Scratch([u8; 64]);

/// Lets `kprobe` work on copies.
#[derive(Debug)]
struct Copies;

impl KprobeAuxiliaryOps for Copies {
    fn copy_memory(src: *const u8, dst: *mut u8, len: usize, _user_pid: Option<i32>) {
        let Some(platform) = axebpf_hit::platform() else {
            return;
        };
        let mut copy = [0; MAX_INSN];
        let len = len.min(MAX_INSN);
        read(platform, HostVirt::new(src as u64), &mut copy[..len]);
        // SAFETY: `kprobe` passes `len` bytes of its own, or more, to be written to.
        unsafe { dst.copy_from_nonoverlapping(copy.as_ptr(), len) };
    }

    fn set_writeable_for_address<F: FnOnce(*mut u8)>(
        _address: usize,
        len: usize,
        _user_pid: Option<i32>,
        action: F,
    ) {
        // Aligned for the widest write, and as long as the longest instruction.
        let mut copy = Scratch([0; 64]);
        action(copy.0.as_mut_ptr());
        let mut written = Written::default();
        written.copy_from_slice(&copy.0[..MAX_INSN]);
        *WRITTEN.lock() = Some((len, written));
    }

    fn alloc_kernel_exec_memory() -> *mut u8 {
        // Nothing executes it.
        Box::into_raw(Box::new(Scratch([0; 64]))).cast()
    }

    #[expect(clippy::cast_ptr_alignment, reason = "it was a `Scratch` before")]
    fn free_kernel_exec_memory(ptr: *mut u8) {
        // SAFETY: `kprobe` gives back once what `alloc_kernel_exec_memory` returned, a box.
        drop(unsafe { Box::from_raw(ptr.cast::<Scratch>()) });
    }

    fn alloc_user_exec_memory<F: FnOnce(*mut u8)>(_pid: Option<i32>, _action: F) -> *mut u8 {
        // For probes of user programs only.
        core::ptr::null_mut()
    }

    fn free_user_exec_memory(_pid: Option<i32>, _ptr: *mut u8) {}

    fn insert_kretprobe_instance_to_task(_instance: RetprobeInstance) {}

    fn pop_kretprobe_instance_from_task() -> RetprobeInstance {
        unreachable!("no probe of `kprobe` ever fires")
    }
}

impl From<ProbeInstallError> for ForeignRefusal {
    fn from(error: ProbeInstallError) -> Self {
        match error {
            ProbeInstallError::DecodeFailed => Self::Undecodable,
            ProbeInstallError::InvalidAddress => Self::WithinInstruction,
            ProbeInstallError::UnsafeInstruction | ProbeInstallError::RelocationFailed => {
                Self::PositionDependent
            }
            ProbeInstallError::UnsupportedInstruction | ProbeInstallError::PatchFailed => {
                Self::Unsupported
            }
        }
    }
}
