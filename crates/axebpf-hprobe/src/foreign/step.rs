//! Executing a displaced instruction in its slot.

use core::sync::atomic::{AtomicU64, Ordering};

use axebpf_hit::{MAX_CPUS, Padded};
use axebpf_platform::CpuId;

use super::PtRegs;
use super::registry::Point;
use crate::Break;

/// Where no slot is.
const NOWHERE: u64 = u64::MAX;

/// What a CPU has to remember while it is in a slot.
///
/// Only the CPU itself accesses it, in traps: from the trap before the slot to the one behind it nothing else is
/// executed there, since interrupts are masked.
struct Step {
    /// Where the slot starts that was entered last.
    slot: AtomicU64,
    /// How long its instruction is, in bytes.
    len: AtomicU64,
    /// Where its instruction comes from.
    at: AtomicU64,
    /// What was masked before.
    mask: AtomicU64,
}

static STEPS: [Padded<Step>; MAX_CPUS] = [const {
    Padded::new(Step {
        slot: AtomicU64::new(NOWHERE),
        len: AtomicU64::new(0),
        at: AtomicU64::new(0),
        mask: AtomicU64::new(0),
    })
}; MAX_CPUS];

/// Sends `cpu` into the slot of `point`.
pub(crate) fn begin(regs: &mut PtRegs, point: &Point, cpu: CpuId) -> Break {
    let Some(step) = STEPS.get(cpu.index()) else {
        return Break::NotOurs;
    };
    let slot = point.slot.start().get();
    step.slot.store(slot, Ordering::Relaxed);
    let len = point.displaced.insn.len();
    step.len.store(len, Ordering::Relaxed);
    step.at.store(point.at, Ordering::Relaxed);
    step.mask.store(regs.mask(), Ordering::Relaxed);
    regs.set_pc(slot);
    Break::Handled
}

/// Goes on behind the displaced instruction, if the breakpoint at `at` is the one behind it.
pub(crate) fn end(regs: &mut PtRegs, at: u64, cpu: CpuId) -> bool {
    let Some(step) = STEPS.get(cpu.index()) else {
        return false;
    };
    let len = step.len.load(Ordering::Relaxed);
    let is_end = step.slot.load(Ordering::Relaxed).checked_add(len) == Some(at);
    if is_end {
        let from = leave(step, regs);
        regs.set_pc(from.wrapping_add(len));
    }
    is_end
}

/// Makes a fault in a slot one of the displaced instruction in its place.
pub(crate) fn fault(regs: &mut PtRegs, cpu: CpuId) {
    if let Some(step) = STEPS.get(cpu.index())
        && step.slot.load(Ordering::Relaxed) == regs.pc()
    {
        let from = leave(step, regs);
        regs.set_pc(from);
    }
}

/// Puts the interrupt mask back, and returns where the displaced instruction comes from.
fn leave(step: &Step, regs: &mut PtRegs) -> u64 {
    step.slot.store(NOWHERE, Ordering::Relaxed);
    regs.unmask(step.mask.load(Ordering::Relaxed));
    step.at.load(Ordering::Relaxed)
}
