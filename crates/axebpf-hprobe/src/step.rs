//! Executing a displaced instruction in its slot.

use core::sync::atomic::{AtomicU64, Ordering};

use axebpf_a64::{BranchTargets, PtRegs};
use axebpf_hit::{MAX_CPUS, Padded};
use axebpf_platform::CpuId;

use crate::Break;
use crate::slot::{MASKED_HALF, SLOT_BYTES, Slot};

/// `SPSR_EL2`: D, A, I and F (ARM ARM C5.2.20).
const DAIF: u64 = 0b1111 << 6;
/// `SPSR_EL2`: A, I and F.
const AIF: u64 = 0b0111 << 6;
/// `SPSR_EL2`: I and F.
const IF: u64 = 0b0011 << 6;
/// `SPSR_EL2`: `BTYPE`.
const BTYPE: u64 = 0b11 << 10;
/// Where no slot is.
const NOWHERE: u64 = u64::MAX;

/// What a CPU has to remember while it is in a slot.
///
/// Only the CPU itself accesses it, in traps: from the trap before the slot to the one behind it nothing else is
/// executed there, since interrupts are masked.
struct Step {
    /// The slot that was entered last.
    slot: AtomicU64,
    /// Where its instruction comes from.
    at: AtomicU64,
    /// The processor state before it.
    pstate: AtomicU64,
}

static STEPS: [Padded<Step>; MAX_CPUS] = [const {
    Padded::new(Step {
        slot: AtomicU64::new(NOWHERE),
        at: AtomicU64::new(0),
        pstate: AtomicU64::new(0),
    })
}; MAX_CPUS];

/// Sends `cpu` into `slot`, which has the instruction at `regs.pc`.
pub(crate) fn begin(regs: &mut PtRegs, slot: Slot, cpu: CpuId, targets: BranchTargets) {
    let Some(step) = STEPS.get(cpu.index()) else {
        return;
    };
    let start = slot.start().get();
    step.slot.store(start, Ordering::Relaxed);
    step.at.store(regs.pc, Ordering::Relaxed);
    step.pstate.store(regs.pstate, Ordering::Relaxed);
    // In guarded pages, an instruction that is no landing pad faults in its slot as it would in its place.
    if targets != BranchTargets::Guarded {
        regs.pstate &= !BTYPE;
    }
    if regs.pstate & IF == IF {
        regs.pc = start;
    } else {
        regs.pstate |= AIF;
        regs.pc = start + MASKED_HALF;
    }
}

/// Goes on behind the displaced instruction whose slot has ended.
pub(crate) fn end(regs: &mut PtRegs, cpu: CpuId) -> Break {
    match leave(regs, cpu) {
        Some(at) => {
            regs.pc = at.wrapping_add(4);
            Break::Handled
        }
        None => Break::NotOurs,
    }
}

/// Makes an exception in a slot one of the displaced instruction in its place, or of the one behind it if that has been
/// executed: a system error may come on the way on.
pub(crate) fn fault(regs: &mut PtRegs, cpu: CpuId) {
    let Some(step) = STEPS.get(cpu.index()) else {
        return;
    };
    let offset = regs.pc.wrapping_sub(step.slot.load(Ordering::Relaxed));
    let btype = step.pstate.load(Ordering::Relaxed) & BTYPE;
    let Some(at) = leave(regs, cpu) else {
        return;
    };
    if offset.is_multiple_of(MASKED_HALF) {
        regs.pc = at;
        regs.pstate = regs.pstate & !BTYPE | btype;
    } else {
        regs.pc = at.wrapping_add(4);
    }
}

/// If `regs.pc` is in the slot that `cpu` entered last, puts the interrupt masks back and returns where the displaced
/// instruction comes from.
fn leave(regs: &mut PtRegs, cpu: CpuId) -> Option<u64> {
    let step = STEPS.get(cpu.index())?;
    let slot = step.slot.load(Ordering::Relaxed);
    if regs.pc.wrapping_sub(slot) >= SLOT_BYTES {
        return None;
    }
    step.slot.store(NOWHERE, Ordering::Relaxed);
    let before = step.pstate.load(Ordering::Relaxed);
    regs.pstate = regs.pstate & !DAIF | before & DAIF;
    Some(step.at.load(Ordering::Relaxed))
}
