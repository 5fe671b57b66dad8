//! From the trap to the end of the displaced instruction.
//!
//! Nothing in here, and nothing that it calls, may be probed. It allocates nothing, waits for nothing, and formats
//! nothing.

use axebpf_hit::{HitGuard, Missed, NestedHit, enter};
use axebpf_platform::{HostVirt, Platform};

use super::arch::BREAKPOINT;
use super::registry::{Point, REGISTRY, Registry};
use super::{PtRegs, returning, step};
use crate::{Break, ProbeKind};

/// Handles a breakpoint that the hypervisor itself executed.
///
/// `regs` are the registers of the interrupted code, as the exception has left them; what they are afterwards is what
/// it has to return to, the interrupt mask included. A breakpoint that is not ours leaves them alone.
///
/// To be called with interrupts masked, before anything else that could be probed.
pub fn handle_break(regs: &mut PtRegs) -> Break {
    let Some(platform) = axebpf_hit::platform() else {
        return Break::NotOurs;
    };
    let at = regs.break_address();
    if step::end(regs, at, platform.current_cpu()) {
        return Break::Handled;
    }
    if returning::trampoline_address() == Some(HostVirt::new(at)) {
        return returning::trampoline(regs, at);
    }
    match enter() {
        Ok(guard) => match REGISTRY.load(&guard) {
            Some(registry) => fire(registry, regs, at, &guard),
            None => stale(regs, at, platform),
        },
        Err(Missed::Nested) => miss(regs, at, platform),
        // No probe can have been attached.
        Err(_) => Break::NotOurs,
    }
}

/// Makes an exception of a displaced instruction one of that instruction in its own place.
///
/// To be called for every other synchronous exception of the hypervisor itself, before anything looks at the registers.
/// Where the program counter is in no slot, they stay as they are. If the cause is mended and the exception returned
/// from, the instruction is executed again, and its probe fires again.
pub fn handle_fault(regs: &mut PtRegs) {
    if let Some(platform) = axebpf_hit::platform() {
        step::fault(regs, platform.current_cpu());
    }
}

/// Runs the handlers of the point at `at`, and has its instruction executed.
fn fire(registry: &Registry, regs: &mut PtRegs, at: u64, guard: &HitGuard) -> Break {
    let Some(point) = registry.find(at) else {
        return stale(regs, at, guard.platform());
    };
    regs.set_pc(at);
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
    step::begin(regs, point, guard.cpu())
}

/// Counts a firing inside a hit as missed, and has the instruction executed.
#[allow(
    unsafe_code,
    reason = "reads what is published without a guard of its own"
)]
fn miss(regs: &mut PtRegs, at: u64, platform: &dyn Platform) -> Break {
    // SAFETY: `enter` has just said so. This is a trap, with interrupts masked, and the value does not leave this
    // function: what was interrupted goes on later.
    let nested = unsafe { NestedHit::assume() };
    match REGISTRY
        .load_nested(&nested)
        .and_then(|registry| registry.find(at))
    {
        Some(point) => {
            point.miss();
            go_on(point, regs, platform)
        }
        None => stale(regs, at, platform),
    }
}

fn go_on(point: &Point, regs: &mut PtRegs, platform: &dyn Platform) -> Break {
    step::begin(regs, point, platform.current_cpu())
}

/// Handles a breakpoint that nobody knows.
///
/// If it is no longer there, the trap comes from before it was taken away, and what is there now is executed.
fn stale(regs: &mut PtRegs, at: u64, platform: &dyn Platform) -> Break {
    if is_breakpoint(platform, at) {
        return Break::NotOurs;
    }
    regs.set_pc(at);
    Break::Handled
}

/// Tells whether a breakpoint is at `at`, or nothing that could be read.
fn is_breakpoint(platform: &dyn Platform, at: u64) -> bool {
    /// `C.EBREAK`, which stands for compressed instructions on riscv64.
    const COMPRESSED: [u8; 2] = [0x02, 0x90];
    let mut bytes = [0; BREAKPOINT.len()];
    let read = platform.read_memory(HostVirt::new(at), &mut bytes);
    read.is_err()
        || bytes == BREAKPOINT
        || cfg!(target_arch = "riscv64") && bytes.starts_with(&COMPRESSED)
}
