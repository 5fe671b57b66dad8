//! What happens at a hit in a guest's kernel.

use alloc::sync::Arc;

use axebpf_guestprobe::{GuestProbeHandler, GuestProbeHit, ProbeKind};
use axebpf_hit::HitGuard;
use axebpf_platform::{GuestVirt, HostVirt};
use axebpf_vm::{CallStack, Context, StackStart};
use zerocopy::IntoBytes;

use crate::{
    attachment::{
        Runner,
        registers::{Call, FilteredHit, RegisterFilter},
    },
    kprobe::{TaskLayout, TaskView},
};

/// The frame pointer (AAPCS64, section 6.4.6).
const FP: usize = 29;
/// The link register.
const LR: usize = 30;
/// `SCTLR_EL1.EE`: what the guest's kernel writes is big-endian (ARM ARM B2.8.2).
const SCTLR_EE: u64 = 1 << 25;

/// A runner that is told of hits at one function.
pub(super) struct Handler {
    pub(super) runner: Arc<Runner>,
    pub(super) filter: Option<Arc<RegisterFilter>>,
    pub(super) function: GuestVirt,
    pub(super) tasks: Option<TaskLayout>,
}

impl GuestProbeHandler for Handler {
    fn hit(&self, hit: &GuestProbeHit<'_>) {
        let call = hit.entered.map(|entered| Call {
            duration_ns: hit.now_ns().saturating_sub(entered.time_ns),
            arguments: entered.arguments,
        });
        if let Some(filter) = &self.filter {
            let seen = FilteredHit {
                guard: hit.guard,
                vcpu: Some(hit.vcpu),
                regs: hit.regs,
                call,
            };
            if !filter.passes(&seen) {
                return;
            }
        }
        let stack = HitStack {
            hit,
            function: self.function,
        };
        let guest = TaskView {
            guest: hit.guest,
            layout: self.tasks,
        };
        let env = self.runner.env(&stack);
        let mut env = env.with_function(self.function.get()).with_guest(&guest);
        if let Some(call) = call {
            env = env.with_call_time_ns(call.duration_ns);
        }
        self.runner
            .run(hit.guard, Context::new(hit.regs.as_bytes()), &env);
    }
}

/// The guest's call chain at a hit. Its addresses are those of the guest.
struct HitStack<'h> {
    hit: &'h GuestProbeHit<'h>,
    function: GuestVirt,
}

impl CallStack for HitStack<'_> {
    fn start(&self) -> Option<StackStart> {
        let GuestProbeHit { probe, regs, .. } = self.hit;
        let start = StackStart::new(HostVirt::new(regs.pc), HostVirt::new(regs.regs[FP]));
        let is_entered = probe.kind() == ProbeKind::Entry && probe.at() == self.function;
        Some(if is_entered {
            start.with_return_address(HostVirt::new(regs.regs[LR]))
        } else {
            start
        })
    }

    fn read_frame(&self, _guard: &HitGuard, frame: HostVirt) -> Option<[u64; 2]> {
        let guest = self.hit.guest;
        let mut record = [[0; 8]; 2];
        let at = GuestVirt::new(frame.get());
        guest.read(at, record.as_flattened_mut()).ok()?;
        let is_big_endian = guest.stage1().sctlr & SCTLR_EE != 0;
        Some(record.map(|word| match is_big_endian {
            true => u64::from_be_bytes(word),
            false => u64::from_le_bytes(word),
        }))
    }

    fn real_return(&self, _frame: Option<HostVirt>, saved: HostVirt) -> HostVirt {
        let stage1 = self.hit.guest.stage1();
        let plain = stage1.without_authentication(GuestVirt::new(saved.get()));
        HostVirt::new(plain.get())
    }

    /// What is above the guest's addresses is left to [`real_return`](CallStack::real_return), which knows where that
    /// is.
    fn address_bits(&self) -> u32 {
        u64::BITS
    }
}
