//! A platform with simulated text, on the threads, signals and clock of the host.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use axebpf_hit::text::TextWrite;
use axebpf_hit::{FenceError, install};
use axebpf_platform::host::HOST;
use axebpf_platform::{
    CacheGeometry, Clock, Console, CoreSync, CpuId, Cpus, CurrentVcpu, ExecError, ExecMemory,
    ExecRegion, HostVirt, InterruptState, Interrupts, ReadFault, ReadMemory, TextError, TextPatch,
    Vcpu,
};

use crate::caches::{Caches, WORDS, address, word};

pub(crate) struct Machine {
    /// Locked only with interrupts masked: who is stopped must not hold it.
    caches: Mutex<Caches>,
    /// By how much faster the clock goes than the host's.
    pub(crate) clock_rate: AtomicU64,
    /// The step of maintenance that is left out, counted from 0.
    pub(crate) left_out: AtomicUsize,
    pub(crate) is_context_synchronized: AtomicBool,
    /// The writes that fail, counted from 0 since this was set.
    failing: Mutex<Range<u32>>,
}

pub(crate) static MACHINE: Machine = Machine {
    caches: Mutex::new(Caches::new()),
    clock_rate: AtomicU64::new(1),
    left_out: AtomicUsize::new(usize::MAX),
    is_context_synchronized: AtomicBool::new(true),
    failing: Mutex::new(0..0),
};

/// Gives the machine to one test at a time, as it is after a reset.
pub(crate) fn claim() -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let claim = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    install(&MACHINE).unwrap();
    MACHINE.with_caches(|caches| *caches = Caches::new());
    MACHINE.clock_rate.store(1, Ordering::Relaxed);
    MACHINE.left_out.store(usize::MAX, Ordering::Relaxed);
    MACHINE
        .is_context_synchronized
        .store(true, Ordering::Relaxed);
    MACHINE.fail(0..0);
    claim
}

/// Executes a word of text on this CPU.
pub(crate) fn execute(word: usize) -> u32 {
    let cpu = MACHINE.current_cpu().index();
    MACHINE.with_caches(|caches| caches.execute(cpu, word))
}

/// Returns a word of text as loads see it.
pub(crate) fn load(word: usize) -> u32 {
    MACHINE.with_caches(|caches| caches.load(word))
}

/// Writes words of text, all in one fence.
pub(crate) fn write(words: &[(usize, u32)]) -> Result<(), FenceError> {
    let bytes: Vec<_> = words.iter().map(|(_, value)| value.to_ne_bytes()).collect();
    let writes: Vec<_> = words
        .iter()
        .zip(&bytes)
        .map(|(&(word, _), bytes)| TextWrite {
            at: address(word),
            bytes,
        })
        .collect();
    // SAFETY: Nothing executes this text but the model.
    unsafe { axebpf_hit::text::write_fenced(&writes) }
}

impl Machine {
    fn with_caches<R>(&self, use_them: impl FnOnce(&mut Caches) -> R) -> R {
        let interrupts = self.mask();
        let result = use_them(&mut self.caches.lock().unwrap_or_else(PoisonError::into_inner));
        self.restore(interrupts);
        result
    }

    /// Has the writes with these numbers fail, counted from the next one.
    pub(crate) fn fail(&self, writes: Range<u32>) {
        *self.failing.lock().unwrap_or_else(PoisonError::into_inner) = writes;
    }

    /// Tells whether this write fails, and counts it.
    fn fails(&self) -> bool {
        let mut failing = self.failing.lock().unwrap_or_else(PoisonError::into_inner);
        let fails = failing.start == 0 && failing.end != 0;
        *failing = failing.start.saturating_sub(1)..failing.end.saturating_sub(1);
        fails
    }
}

impl Clock for Machine {
    fn now_ns(&self) -> u64 {
        HOST.now_ns() * self.clock_rate.load(Ordering::Relaxed)
    }
}

impl Cpus for Machine {
    fn current_cpu(&self) -> CpuId {
        HOST.current_cpu()
    }

    fn cpu_limit(&self) -> u32 {
        HOST.cpu_limit()
    }

    fn is_online(&self, cpu: CpuId) -> bool {
        HOST.is_online(cpu)
    }
}

impl CoreSync for Machine {
    fn kick(&self, cpu: CpuId) {
        HOST.kick(cpu);
    }

    fn relax(&self) {
        HOST.relax();
    }

    fn synchronize_context(&self) {
        if self.is_context_synchronized.load(Ordering::Relaxed) {
            let cpu = self.current_cpu().index();
            self.with_caches(|caches| caches.synchronize(cpu));
        }
    }

    fn set_kick_handler(&self, handler: fn()) {
        HOST.set_kick_handler(handler);
    }
}

impl TextPatch for Machine {
    fn check_text(&self, at: HostVirt, len: usize) -> Result<(), TextError> {
        let end = address(WORDS);
        if at >= address(0) && at.checked_add(len as u64).is_some_and(|last| last <= end) {
            Ok(())
        } else {
            Err(TextError::NotText { at, len })
        }
    }

    unsafe fn write_text(&self, at: HostVirt, bytes: &[u8]) -> Result<(), TextError> {
        self.check_text(at, bytes.len())?;
        let interrupts = self.mask();
        self.restore(interrupts);
        assert_ne!(
            interrupts,
            InterruptState(0),
            "an interrupt could come while the others are stopped"
        );
        if self.fails() {
            return Err(TextError::Unsupported);
        }
        let cpu = self.current_cpu().index();
        let left_out = self.left_out.load(Ordering::Relaxed);
        let geometry = CacheGeometry::from_ctr(0x8444_c004);
        self.with_caches(|caches| {
            for (index, bytes) in bytes.chunks_exact(4).enumerate() {
                let value = u32::from_ne_bytes(bytes.try_into().unwrap());
                caches.store(word(at) + index, value);
            }
            for (index, step) in geometry.maintenance(at, bytes.len()).enumerate() {
                if index != left_out {
                    caches.maintain(cpu, step);
                }
            }
        });
        Ok(())
    }
}

impl ReadMemory for Machine {
    fn read_memory(&self, src: HostVirt, dst: &mut [u8]) -> Result<(), ReadFault> {
        for (index, bytes) in dst.chunks_exact_mut(4).enumerate() {
            let value = self.with_caches(|caches| caches.load(word(src) + index));
            bytes.copy_from_slice(&value.to_ne_bytes());
        }
        Ok(())
    }
}

impl Interrupts for Machine {
    fn mask(&self) -> InterruptState {
        HOST.mask()
    }

    fn restore(&self, state: InterruptState) {
        HOST.restore(state);
    }
}

impl CurrentVcpu for Machine {
    fn current_vcpu(&self) -> Option<Vcpu> {
        None
    }

    fn exit_reason(&self) -> Option<u32> {
        None
    }
}

impl ExecMemory for Machine {
    fn alloc_exec(&self, _len: usize) -> Result<ExecRegion, ExecError> {
        Err(ExecError::Unsupported)
    }

    fn free_exec(&self, _region: ExecRegion) {}
}

impl Console for Machine {
    fn write_console(&self, _text: &[u8]) {}
}
