//! From the trap to the end of the displaced instruction.
//!
//! Nothing in here, and nothing that it calls, may be probed: it runs before a nested trap can be recognised as one,
//! and after that. It allocates nothing, waits for nothing, and formats nothing.

use axebpf_a64::{
    Execution, Insn, Memory, MemoryFault, PtRegs, SigningKey, Width, sign_return, simulate,
};
use axebpf_hit::{HitGuard, Missed, NestedHit, enter};
use axebpf_platform::{HostVirt, Platform};

use crate::registry::{Point, REGISTRY, Registry, Subscription};
use crate::trap::{Break, BrkImmediate};
use crate::{Entered, HprobeHit, ProbeKind, returning, step};

/// Handles a `BRK` that the hypervisor itself executed (exception class 0x3c, taken from EL2 to EL2).
///
/// `regs` are the registers of the interrupted code, `sp` included; what they are afterwards is what the exception has
/// to return to. `esr` is the syndrome. A break that is not ours leaves them alone.
///
/// To be called by the vector with interrupts masked, before anything else that could be probed. The frame in which
/// `regs` lie is at least 512 bytes below the interrupted stack pointer, where the displaced instruction can store.
pub fn handle_break(regs: &mut PtRegs, esr: u64) -> Break {
    match BrkImmediate::of_syndrome(esr) {
        Some(BrkImmediate::Probe) => probe(regs),
        Some(BrkImmediate::SlotEnd) => match axebpf_hit::platform() {
            Some(platform) => step::end(regs, platform.current_cpu()),
            None => Break::NotOurs,
        },
        Some(BrkImmediate::Return) => returning::trampoline(regs),
        None => Break::NotOurs,
    }
}

/// Makes an exception of a displaced instruction one of that instruction in its own place.
///
/// To be called by the vector for every synchronous exception of the hypervisor itself but those that [`handle_break`]
/// takes, and for system errors, before anything looks at the registers. Where the program counter is in no slot,
/// they stay as they are. If the cause is mended and the exception returned from, the instruction is executed again,
/// and its probe fires again.
pub fn handle_fault(regs: &mut PtRegs) {
    if let Some(platform) = axebpf_hit::platform() {
        step::fault(regs, platform.current_cpu());
    }
}

/// Handles the break of a probe.
fn probe(regs: &mut PtRegs) -> Break {
    match enter() {
        Ok(guard) => match REGISTRY.load(&guard) {
            Some(registry) => fire(registry, regs, &guard),
            None => stale(regs, guard.platform()),
        },
        Err(Missed::Nested) => miss(regs),
        // No probe can have been attached.
        Err(_) => Break::NotOurs,
    }
}

/// Runs the handlers of the point at `regs.pc`, and executes its instruction.
fn fire(registry: &Registry, regs: &mut PtRegs, guard: &HitGuard) -> Break {
    let Some(point) = registry.find(regs.pc) else {
        return stale(regs, guard.platform());
    };
    let mut has_returns = false;
    for subscription in point.subscriptions.iter() {
        if subscription.is(ProbeKind::Entry) {
            subscription.fire(regs, guard, None);
        } else {
            has_returns = true;
        }
    }
    if has_returns {
        returning::arm(point, regs, guard);
    }
    displace(registry, point, regs, guard.platform())
}

/// Counts a firing inside a hit as missed, and executes the instruction.
#[allow(
    unsafe_code,
    reason = "reads what is published without a guard of its own"
)]
fn miss(regs: &mut PtRegs) -> Break {
    // SAFETY: `enter` has just said so. This is a trap, with interrupts masked, and the value does not leave this
    // function: what was interrupted goes on later.
    let nested = unsafe { NestedHit::assume() };
    let Some(platform) = axebpf_hit::platform() else {
        return Break::NotOurs;
    };
    let registry = REGISTRY.load_nested(&nested);
    match registry.and_then(|registry| Some((registry, registry.find(regs.pc)?))) {
        Some((registry, point)) => {
            point.miss();
            displace(registry, point, regs, platform)
        }
        None => stale(regs, platform),
    }
}

impl<R> Subscription<R> {
    /// Calls the handler.
    pub(crate) fn fire(&self, regs: &R, guard: &HitGuard, entered: Option<Entered>) {
        self.count();
        self.handler.hit(&HprobeHit {
            guard,
            point: &self.point,
            regs,
            entered,
        });
    }
}

/// Handles a break of a probe that nobody knows.
///
/// If it is no longer there, the trap comes from before it was taken away, and what is there now is executed.
fn stale(regs: &PtRegs, platform: &dyn Platform) -> Break {
    let mut word = [0; 4];
    let read = platform.read_memory(HostVirt::new(regs.pc), &mut word);
    if read.is_ok() && u32::from_le_bytes(word) != BrkImmediate::Probe.instruction() {
        Break::Handled
    } else {
        Break::NotOurs
    }
}

/// Executes the instruction of `point`, or sends this CPU to where it is executed.
fn displace(
    registry: &Registry,
    point: &Point,
    regs: &mut PtRegs,
    platform: &dyn Platform,
) -> Break {
    if let Execution::Simulate(insn) = point.execution {
        let mut memory = Interrupted { registry, platform };
        if push(insn, regs, &mut memory)
            || simulate(insn, regs, &mut memory, registry.branch_targets).is_ok()
        {
            return Break::Handled;
        }
    } else if signs(registry, point.word, regs) {
        return Break::Handled;
    }
    // A store that cannot be simulated faults in the slot, or finds what the simulation did not.
    let Some(slot) = point.slot else {
        return Break::NotOurs;
    };
    step::begin(regs, slot, platform.current_cpu(), registry.branch_targets);
    Break::Handled
}

/// Executes `insn` if it is what most probed functions begin with, and nothing about it is out of the ordinary: `STP`
/// of two registers to the stack, below the stack pointer, which moves there.
///
/// [`simulate`] does the same, in twice as many instructions.
fn push(insn: Insn, regs: &mut PtRegs, memory: &mut Interrupted<'_>) -> bool {
    let Insn::StorePairPre {
        first,
        second,
        width: Width::X,
        base,
        offset,
    } = insn
    else {
        return false;
    };
    if !base.is_sp() || !regs.sp.is_multiple_of(16) || regs.btype() != 0 {
        return false;
    }
    let addr = regs.sp.wrapping_add_signed(offset);
    let pair = u128::from(regs.get(first)) | u128::from(regs.get(second)) << 64;
    if memory.write(addr, &pair.to_le_bytes()).is_err() {
        return false;
    }
    regs.sp = addr;
    regs.pc = regs.pc.wrapping_add(4);
    true
}

/// Executes `word` if it signs the return address, and the hypervisor can do that in a hit. Tells whether it did.
fn signs(registry: &Registry, word: u32, regs: &mut PtRegs) -> bool {
    let (Some(sign), Some(key)) = (registry.sign, SigningKey::of(word)) else {
        return false;
    };
    sign_return(key, regs, registry.branch_targets, sign).is_ok()
}

/// The memory of the interrupted code.
struct Interrupted<'a> {
    registry: &'a Registry,
    platform: &'a dyn Platform,
}

impl Memory for Interrupted<'_> {
    fn read(&mut self, addr: u64, bytes: &mut [u8]) -> Result<(), MemoryFault> {
        self.platform
            .read_memory(HostVirt::new(addr), bytes)
            .map_err(|_| MemoryFault { addr })
    }

    #[allow(unsafe_code, reason = "stores what the displaced instruction stores")]
    fn write(&mut self, addr: u64, bytes: &[u8]) -> Result<(), MemoryFault> {
        let store = self.registry.store.ok_or(MemoryFault { addr })?;
        // SAFETY: The interrupted code is at the instruction that is being simulated.
        unsafe { store(addr, bytes) }
    }
}
