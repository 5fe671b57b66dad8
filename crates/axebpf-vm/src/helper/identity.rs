//! Who and where: the helpers that name what runs, and give numbers.

use core::cell::Cell;

use axebpf_hit::{MAX_CPUS, Padded, PerCpu};
use axebpf_platform::GuestVirt;

use super::call::{HelperFault, Helpers, NOBODY};
use crate::errno::EINVAL;
use crate::guest::GuestTask;

/// The nanoseconds of a tick of `jiffies64`: 250 Hz, what Linux has on aarch64 unless it is configured otherwise.
const NS_PER_JIFFY: u64 = 4_000_000;

/// The longest name of what runs, with its terminating NUL: Linux's `TASK_COMM_LEN` is less than two numbers take.
const NAME_BYTES: usize = 32;

/// The states of the random numbers; 0 before the first one.
static RANDOM: PerCpu<Cell<u64>> = PerCpu::new([const { Padded::new(Cell::new(0)) }; MAX_CPUS]);

impl Helpers<'_> {
    /// `bpf_get_prandom_u32()`: numbers that are no secret, a sequence of its own for each CPU (SplitMix64).
    pub(super) fn random(&self) -> u64 {
        const STEP: u64 = 0x9e37_79b9_7f4a_7c15;
        let state = RANDOM.get(self.guard);
        let last = match state.get() {
            0 => {
                let cpu = u64::from(self.guard.cpu().get()) + 1;
                self.guard.platform().now_ns() ^ cpu.wrapping_mul(0xbf58_476d_1ce4_e5b9)
            }
            last => last,
        };
        let next = last.wrapping_add(STEP);
        state.set(next);
        let mixed = (next ^ next >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ mixed >> 31) & 0xffff_ffff
    }

    /// `bpf_jiffies64()`.
    pub(super) fn jiffies(&self) -> u64 {
        self.guard.platform().now_ns() / NS_PER_JIFFY
    }

    /// `bpf_get_current_task()`: 0 where there is none.
    pub(super) fn task(&self) -> u64 {
        let task = self.env.guest().and_then(GuestTask::task);
        task.map_or(0, GuestVirt::get)
    }

    /// `bpf_get_current_pid_tgid()`: the VM in the upper half, as the process, its vCPU in the lower one, as the
    /// thread. At a probe on a guest's kernel, those of the guest's task.
    pub(super) fn pid_tgid(&self) -> u64 {
        if let Some(guest) = self.env.guest() {
            return guest.pid_tgid().unwrap_or(NOBODY);
        }
        let vcpu = self.guard.platform().current_vcpu();
        vcpu.map_or(NOBODY, |vcpu| {
            u64::from(vcpu.vm.get()) << 32 | u64::from(vcpu.vcpu.get())
        })
    }

    /// `bpf_get_current_comm(buf, size)`: `vm3/vcpu0`, or `hypervisor` when no vCPU is loaded; the rest is zeroes.
    /// At a probe on a guest's kernel, the name of the guest's task, or `vm3/vcpu0` where that is not known.
    pub(super) fn comm(&mut self, args: [u64; 5]) -> Result<i64, HelperFault> {
        let [to, size, ..] = args;
        let size = u64::from(size as u32);
        if size == 0 {
            return Ok(EINVAL);
        }
        self.charge(size)?;
        self.memory.check_writable(to, size)?;
        let mut name = Name::default();
        let task = self.env.guest().and_then(GuestTask::name);
        match (task, self.guard.platform().current_vcpu()) {
            (Some(task), _) => {
                let end = task.iter().position(|byte| *byte == 0);
                name.text(&task[..end.unwrap_or(task.len())]);
            }
            (None, Some(vcpu)) => {
                name.text(b"vm");
                name.number(vcpu.vm.get());
                name.text(b"/vcpu");
                name.number(vcpu.vcpu.get());
            }
            (None, None) => name.text(b"hypervisor"),
        }
        self.zero(to, size)?;
        let len = name.len.min(size as usize - 1);
        self.memory.copy_in(to, &name.bytes[..len])?;
        Ok(0)
    }
}

/// A name that is being put together.
#[derive(Default)]
struct Name {
    bytes: [u8; NAME_BYTES],
    len: usize,
}

impl Name {
    fn text(&mut self, text: &[u8]) {
        for byte in text {
            if let Some(place) = self.bytes.get_mut(self.len) {
                *place = *byte;
                self.len += 1;
            }
        }
    }

    fn number(&mut self, value: u32) {
        let mut digits = [0; 10];
        let mut rest = value;
        let mut start = digits.len();
        while start > 0 {
            start -= 1;
            digits[start] = b'0' + (rest % 10) as u8;
            rest /= 10;
            if rest == 0 {
                break;
            }
        }
        self.text(&digits[start..]);
    }
}
