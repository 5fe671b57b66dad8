//! A platform with simulated text, on the threads, signals and clock of the host.

use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use axebpf_hprobe::{Blacklist, Config, Protection, install};
use axebpf_platform::host::HOST;
use axebpf_platform::{
    CacheGeometry, Clock, Console, CoreSync, CpuId, Cpus, CurrentVcpu, ExecError, ExecMemory,
    ExecRegion, HostVirt, InterruptState, Interrupts, ReadFault, ReadMemory, TextError, TextPatch,
    Vcpu,
};

use crate::caches::{BASE, Caches, WORDS, word};
use crate::cpu;

/// Bytes of text; executable memory lies behind.
pub(crate) const TEXT_BYTES: u64 = 4096;

type Hook = Box<dyn Fn(u64, u32) + Send>;

pub(crate) struct Machine {
    /// Locked only with interrupts masked: who is stopped must not hold it.
    caches: Mutex<Option<Caches>>,
    /// The step of maintenance that is left out, counted from 0.
    pub(crate) left_out: AtomicUsize,
    /// How many writes of text succeed before one that does not.
    pub(crate) writes_left: AtomicUsize,
    exec_used: AtomicUsize,
    /// Called for each word of text, right before it is written and right after.
    hooks: Mutex<Option<(Hook, Hook)>>,
}

pub(crate) static MACHINE: Machine = Machine {
    caches: Mutex::new(None),
    left_out: AtomicUsize::new(usize::MAX),
    writes_left: AtomicUsize::new(usize::MAX),
    exec_used: AtomicUsize::new(0),
    hooks: Mutex::new(None),
};

/// Gives the machine to one test at a time, with `code` in its text.
pub(crate) fn claim(code: &[u32]) -> MutexGuard<'static, ()> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    static INSTALLED: Once = Once::new();
    let claim = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    axebpf_hit::install(&MACHINE).unwrap();
    MACHINE.left_out.store(usize::MAX, Ordering::Relaxed);
    MACHINE.writes_left.store(usize::MAX, Ordering::Relaxed);
    MACHINE.set_hooks(None);
    MACHINE.with(|caches| {
        let caches = caches.get_or_insert_with(Caches::new);
        caches.boot(0, code);
    });
    INSTALLED.call_once(|| {
        let text = HostVirt::new(BASE)..HostVirt::new(BASE + TEXT_BYTES);
        let mut blacklist = Blacklist::new(text).unwrap();
        let closed = HostVirt::new(BASE + 0xf00)..HostVirt::new(BASE + 0x1000);
        blacklist.protect(closed, Protection::Declared).unwrap();
        install(
            Config::new(blacklist)
                .with_store(cpu::store)
                .with_signing(cpu::sign),
        )
        .unwrap();
    });
    claim
}

impl Machine {
    fn with<R>(&self, use_them: impl FnOnce(&mut Option<Caches>) -> R) -> R {
        let interrupts = self.mask();
        let result = use_them(&mut self.caches.lock().unwrap_or_else(PoisonError::into_inner));
        self.restore(interrupts);
        result
    }

    pub(crate) fn with_caches<R>(&self, use_them: impl FnOnce(&mut Caches) -> R) -> R {
        self.with(|caches| use_them(caches.as_mut().unwrap()))
    }

    pub(crate) fn set_hooks(&self, hooks: Option<(Hook, Hook)>) {
        *self.hooks.lock().unwrap_or_else(PoisonError::into_inner) = hooks;
    }

    /// Calls the hook before or after the write of one word, unless it is what writes.
    fn observe(&self, pick: impl Fn(&(Hook, Hook)) -> &Hook, at: u64, word: u32) {
        thread_local! {
            static IN_HOOK: Cell<bool> = const { Cell::new(false) };
        }
        if IN_HOOK.replace(true) {
            return;
        }
        if let Some(hooks) = &*self.hooks.lock().unwrap_or_else(PoisonError::into_inner) {
            pick(hooks)(at, word);
        }
        IN_HOOK.set(false);
    }

    fn write_word(&self, at: u64, value: u32) {
        let cpu = self.current_cpu().index();
        let left_out = self.left_out.load(Ordering::Relaxed);
        let geometry = CacheGeometry::from_ctr(0x8444_c004);
        self.with_caches(|caches| {
            caches.store(word(at), value);
            for (index, step) in geometry.maintenance(HostVirt::new(at), 4).enumerate() {
                if index != left_out {
                    caches.maintain(cpu, step);
                }
            }
        });
    }
}

impl Clock for Machine {
    fn now_ns(&self) -> u64 {
        HOST.now_ns()
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
        let cpu = self.current_cpu().index();
        self.with_caches(|caches| caches.synchronize(cpu));
    }

    fn set_kick_handler(&self, handler: fn()) {
        HOST.set_kick_handler(handler);
    }
}

impl TextPatch for Machine {
    unsafe fn write_text(&self, at: HostVirt, bytes: &[u8]) -> Result<(), TextError> {
        let left = self.writes_left.load(Ordering::Relaxed);
        if left == 0 {
            self.writes_left.store(usize::MAX, Ordering::Relaxed);
            return Err(TextError::Unsupported);
        }
        self.writes_left.store(left - 1, Ordering::Relaxed);
        for (index, bytes) in bytes.chunks_exact(4).enumerate() {
            let at = at.get() + 4 * index as u64;
            let value = u32::from_le_bytes(bytes.try_into().unwrap());
            self.observe(|(before, _)| before, at, value);
            self.write_word(at, value);
            self.observe(|(_, after)| after, at, value);
        }
        Ok(())
    }
}

impl ReadMemory for Machine {
    fn read_memory(&self, src: HostVirt, dst: &mut [u8]) -> Result<(), ReadFault> {
        for (index, bytes) in dst.chunks_mut(4).enumerate() {
            let at = src.get() + 4 * index as u64;
            if !(BASE..BASE + 4 * WORDS as u64).contains(&at) {
                return Err(ReadFault { addr: src });
            }
            let value = self
                .with_caches(|caches| caches.load(word(at)))
                .to_le_bytes();
            bytes.copy_from_slice(&value[..bytes.len()]);
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
    fn alloc_exec(&self, len: usize) -> Result<ExecRegion, ExecError> {
        let used = self.exec_used.fetch_add(len, Ordering::Relaxed);
        let start = BASE + TEXT_BYTES + used as u64;
        if start + len as u64 > BASE + 4 * WORDS as u64 {
            return Err(ExecError::Exhausted { len });
        }
        let start = HostVirt::new(start);
        Ok(ExecRegion { start, len })
    }

    fn free_exec(&self, _region: ExecRegion) {}
}

impl Console for Machine {
    fn write_console(&self, _text: &[u8]) {}
}
