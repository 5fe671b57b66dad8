//! The machine that loom explores: threads as CPUs, and one word of text.

use core::cell::Cell;

use axebpf_hit::text::TextWrite;
use axebpf_platform::{
    Clock, Console, CoreSync, CpuId, Cpus, CurrentVcpu, ExecError, ExecMemory, ExecRegion,
    HostVirt, InterruptState, Interrupts, ReadFault, ReadMemory, TextError, TextPatch, Vcpu,
};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, Ordering};

/// How many CPUs there are. The first is the main thread of the model.
pub(crate) const CPUS: u32 = 3;

/// Where the word of text is.
pub(crate) const AT: HostVirt = HostVirt::new(0x1000);

pub(crate) struct Text(UnsafeCell<u8>);

// SAFETY: Unsynchronised accesses are what loom is there to find.
unsafe impl Sync for Text {}

loom::lazy_static! {
    /// The word of text. Loom reports an access during a write.
    static ref TEXT: Text = Text(UnsafeCell::new(0));
    static ref ONLINE: [AtomicBool; CPUS as usize] = core::array::from_fn(|_| AtomicBool::new(false));
}

loom::thread_local! {
    static CPU: Cell<u32> = Cell::new(0);
    /// What this CPU has fetched and not thrown away yet.
    static FETCHED: Cell<Option<u8>> = Cell::new(None);
    static CLOCK: Cell<u64> = Cell::new(0);
}

std::thread_local! {
    /// By how much the clock moves on each time it is asked, in nanoseconds.
    static TICK: Cell<u64> = const { Cell::new(0) };
}

/// Explores `model` on a machine whose clock moves on by `tick_ns` each time it is asked.
pub(crate) fn explore(preemptions: usize, tick_ns: u64, model: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 20_000;
    builder.check(move || {
        axebpf_hit::install(&MACHINE).unwrap();
        TICK.set(tick_ns);
        model();
    });
}

/// Makes this thread `cpu`.
pub(crate) fn become_cpu(cpu: u32) {
    CPU.with(|current| current.set(cpu));
}

/// Says that `cpu` is online, but does not tell the crate.
pub(crate) fn power_on(cpu: u32) {
    ONLINE[cpu as usize].store(true, Ordering::Release);
}

/// Takes `cpu` offline.
pub(crate) fn power_off(cpu: u32) {
    ONLINE[cpu as usize].store(false, Ordering::Release);
}

/// Makes this CPU fetch `word`, long before it comes online.
pub(crate) fn prefetch(word: u8) {
    FETCHED.with(|fetched| fetched.set(Some(word)));
}

/// Executes the word of text: what was fetched before, if anything was.
pub(crate) fn execute() -> u8 {
    FETCHED.with(|fetched| {
        let word = fetched
            .get()
            // SAFETY: The pointer is valid, and loom checks the rest.
            .unwrap_or_else(|| TEXT.0.with(|text| unsafe { *text }));
        fetched.set(Some(word));
        word
    })
}

/// Writes the word of text.
pub(crate) fn write(word: u8) -> Result<(), axebpf_hit::FenceError> {
    let bytes = [word];
    // SAFETY: Nothing is executed, really.
    unsafe {
        axebpf_hit::text::write_fenced(&[TextWrite {
            at: AT,
            bytes: &bytes,
        }])
    }
}

pub(crate) struct Machine;

pub(crate) static MACHINE: Machine = Machine;

impl Clock for Machine {
    fn now_ns(&self) -> u64 {
        CLOCK.with(|clock| {
            clock.set(clock.get() + TICK.get());
            clock.get()
        })
    }
}

impl Cpus for Machine {
    fn current_cpu(&self) -> CpuId {
        CpuId::new(CPU.with(Cell::get))
    }

    fn cpu_limit(&self) -> u32 {
        CPUS
    }

    fn is_online(&self, cpu: CpuId) -> bool {
        ONLINE[cpu.index()].load(Ordering::Acquire)
    }
}

impl CoreSync for Machine {
    /// The CPUs of the models look for themselves.
    fn kick(&self, _cpu: CpuId) {}

    fn relax(&self) {
        loom::thread::yield_now();
    }

    fn synchronize_context(&self) {
        FETCHED.with(|fetched| fetched.set(None));
    }
}

impl TextPatch for Machine {
    unsafe fn write_text(&self, _at: HostVirt, bytes: &[u8]) -> Result<(), TextError> {
        // SAFETY: The pointer is valid, and loom checks the rest.
        TEXT.0.with_mut(|text| unsafe { *text = bytes[0] });
        Ok(())
    }
}

impl Interrupts for Machine {
    fn mask(&self) -> InterruptState {
        InterruptState(0)
    }

    fn restore(&self, _state: InterruptState) {}
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

impl ReadMemory for Machine {
    fn read_memory(&self, addr: HostVirt, _dst: &mut [u8]) -> Result<(), ReadFault> {
        Err(ReadFault { addr })
    }
}

impl Console for Machine {
    fn write_console(&self, _text: &[u8]) {}
}
