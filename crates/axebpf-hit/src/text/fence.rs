//! Stopping the other CPUs, and being stopped.

use axebpf_platform::{CpuId, InterruptState, Platform};

use crate::guard::{is_odd, sequence};
use crate::sync::{AtomicUsize, Ordering, Words, const_unless_loom, fence, shared_static};
use crate::{FenceError, environment};

/// For how long a CPU may take to stop, in nanoseconds. An interrupt takes microseconds; a debugger, or a busy machine
/// below an emulator, takes longer.
const PATIENCE_NS: u64 = 5_000_000_000;

/// For how long a CPU is waited for before it is kicked again, in nanoseconds.
const KICK_AGAIN_NS: u64 = 10_000_000;

shared_static! {
    /// There is one for each image: all CPUs execute the same text.
    static FENCE: Fence = Fence::new();
}

struct Fence {
    /// The initiator's CPU number plus one, or 0 while there is none.
    initiator: AtomicUsize,
    /// The number of the fence that CPUs stop for, odd, or an even number while there is none.
    epoch: AtomicUsize,
    /// The number of the fence that each CPU has stopped for last.
    acknowledged: Words,
}

impl Fence {
    const_unless_loom! {
        fn new() -> Self {
            Self {
                initiator: AtomicUsize::new(0),
                epoch: AtomicUsize::new(0),
                acknowledged: Words::new(),
            }
        }
    }

    /// Stops `cpu`, the executing one, for as long as fences ask for it. Interrupts are masked.
    fn stop_here(&self, platform: &dyn Platform, cpu: CpuId) {
        loop {
            let epoch = self.epoch.load(Ordering::Acquire);
            if !is_odd(epoch) || self.initiator.load(Ordering::Relaxed) == holder(cpu) {
                return;
            }
            // Released: what this CPU did before the fence is done when the initiator sees the answer.
            self.acknowledged.of(cpu).store(epoch, Ordering::Release);
            while self.epoch.load(Ordering::Acquire) == epoch {
                platform.relax();
            }
            platform.synchronize_context();
        }
    }
}

/// What the initiator word holds while `cpu` is the initiator.
const fn holder(cpu: CpuId) -> usize {
    cpu.index() + 1
}

/// Stops this CPU if a fence asks for it, until the fence ends.
///
/// To be called by the handler of the kick, and in every loop that waits for another CPU with interrupts masked. Costs
/// one load when there is nothing to do. Does nothing before [`install`](crate::install).
pub fn answer() {
    if is_odd(FENCE.epoch.load(Ordering::Acquire))
        && let Some(platform) = environment::platform()
    {
        let interrupts = platform.mask();
        if let Ok(cpu) = environment::current_cpu(platform) {
            FENCE.stop_here(platform, cpu);
        }
        platform.restore(interrupts);
    }
}

/// Makes sure that a CPU that comes online neither executes text that is being written nor fetches what was there
/// before.
///
/// To be called on the CPU, with interrupts masked, after [`is_online`](axebpf_platform::Cpus::is_online) began to say
/// so and before the CPU executes any text that may be patched. A fence that began earlier did not know of the CPU,
/// which therefore looks for it here; a later one waits for the CPU.
pub fn cpu_online() {
    let Some(platform) = environment::platform() else {
        return;
    };
    // Pairs with the fence in `Stopped::others`: either this CPU sees the epoch, or the initiator sees it online.
    fence(Ordering::SeqCst);
    answer();
    platform.synchronize_context();
}

/// All other CPUs, stopped. Dropping it lets them go on.
pub(super) struct Stopped {
    platform: &'static dyn Platform,
    cpu: CpuId,
    interrupts: InterruptState,
}

impl Stopped {
    /// Stops all other CPUs that are online, and masks interrupts here.
    pub(super) fn others(platform: &'static dyn Platform) -> Result<Self, FenceError> {
        let interrupts = platform.mask();
        // Whatever fails from here on drops this, but only once it has the turn.
        match Self::take_turn(platform) {
            Ok(cpu) => {
                let stopped = Self {
                    platform,
                    cpu,
                    interrupts,
                };
                stopped.stop_all()?;
                Ok(stopped)
            }
            Err(error) => {
                platform.restore(interrupts);
                Err(error)
            }
        }
    }

    /// Becomes the initiator, and answers the fences of others until then.
    fn take_turn(platform: &dyn Platform) -> Result<CpuId, FenceError> {
        let cpu =
            environment::current_cpu(platform).map_err(|cpu| FenceError::UnknownCpu { cpu })?;
        if is_odd(sequence(cpu)) {
            return Err(FenceError::InHit { cpu });
        }
        let turn = &FENCE.initiator;
        while turn
            .compare_exchange(0, holder(cpu), Ordering::Acquire, Ordering::Relaxed)
            .is_err()
        {
            FENCE.stop_here(platform, cpu);
            platform.relax();
        }
        Ok(cpu)
    }

    fn stop_all(&self) -> Result<(), FenceError> {
        // Only the initiator writes the epoch, which is even here.
        let epoch = FENCE.epoch.load(Ordering::Relaxed).wrapping_add(1);
        FENCE.epoch.store(epoch, Ordering::Release);
        // Pairs with the fence in `cpu_online`.
        fence(Ordering::SeqCst);
        let start = self.platform.now_ns();
        self.others_online().for_each(|cpu| self.platform.kick(cpu));
        (0..self.platform.cpu_limit())
            .map(CpuId::new)
            .filter(|&cpu| cpu != self.cpu)
            .try_for_each(|cpu| self.wait_for(cpu, epoch, start))
    }

    fn others_online(&self) -> impl Iterator<Item = CpuId> {
        (0..self.platform.cpu_limit())
            .map(CpuId::new)
            .filter(|&cpu| cpu != self.cpu && self.platform.is_online(cpu))
    }

    /// Waits until `cpu` has stopped for fence `epoch`, or is offline.
    fn wait_for(&self, cpu: CpuId, epoch: usize, start: u64) -> Result<(), FenceError> {
        let mut kick_at = KICK_AGAIN_NS;
        while FENCE.acknowledged.of(cpu).load(Ordering::Acquire) != epoch {
            if !self.platform.is_online(cpu) {
                return Ok(());
            }
            let waited = self.platform.now_ns().saturating_sub(start);
            if waited > PATIENCE_NS {
                let waited_ms = waited / 1_000_000;
                return Err(FenceError::NoAnswer { cpu, waited_ms });
            }
            if waited > kick_at {
                self.platform.kick(cpu);
                kick_at = waited + KICK_AGAIN_NS;
            }
            self.platform.relax();
        }
        Ok(())
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let ended = FENCE.epoch.load(Ordering::Relaxed).wrapping_add(1);
        // Released: who goes on sees what was written.
        FENCE.epoch.store(ended, Ordering::Release);
        self.platform.synchronize_context();
        FENCE.initiator.store(0, Ordering::Release);
        self.platform.restore(self.interrupts);
    }
}
