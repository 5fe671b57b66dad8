//! A hypervisor with six functions, and a CPU that calls them.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};

use axebpf::platform::mock::{MOCK, set_mock_cpu_id};
use axebpf::platform::{
    Clock, Console, CoreSync, CpuId, Cpus, CurrentVcpu, ExecError, ExecMemory, ExecRegion,
    HostVirt, InterruptState, Interrupts, ReadFault, ReadMemory, TextError, TextPatch, Vcpu,
};
use axebpf::probe::hprobe::{Break, BrkImmediate, MemoryFault, Protection, PtRegs, handle_break};
use axebpf::symbols::{Encoder, Slide, SymbolTable};
use axebpf::{Axebpf, HprobeSetup};

/// Where the text starts. Executable memory lies behind it.
pub(crate) const BASE: u64 = 0x4020_0000;
/// Bytes of each function.
const FUNCTION: u64 = 16;
/// Words of text and executable memory together.
const WORDS: usize = 4096;
const TEXT_BYTES: u64 = 4096;

/// `stp x29, x30, [sp, #-16]!; mov x29, sp; nop; ret`.
const PLAIN: [u32; 4] = [0xa9bf_7bfd, 0x9100_03fd, NOP, RET];
/// `ldxr x0, [x1]`, and so on.
const EXCLUSIVE: [u32; 4] = [0xc85f_7c20, 0xc802_7c20, NOP, RET];
const NOP: u32 = 0xd503_201f;
const RET: u32 = 0xd65f_03c0;

/// The functions, in their order.
pub(crate) const NAMES: [&str; 6] = [
    "demo::start",
    "demo::stop",
    "demo::lock",
    "demo::vector",
    "demo::twin",
    "demo::twin",
];

/// Where functions are called from.
pub(crate) const CALLER: u64 = 0x4030_0000;

pub(crate) struct Machine {
    text: [AtomicU32; WORDS],
    /// How many nanoseconds the next function takes.
    takes: AtomicU64,
}

pub(crate) static MACHINE: Machine = Machine {
    text: [const { AtomicU32::new(NOP) }; WORDS],
    takes: AtomicU64::new(0),
};

/// Returns where function `index` starts.
pub(crate) fn function(index: u64) -> u64 {
    BASE + FUNCTION * index
}

/// Gives the machine to one test at a time.
pub(crate) fn claim() -> (Axebpf<Machine>, MutexGuard<'static, ()>) {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    static SET_UP: Once = Once::new();
    // First: a thread keeps its CPU until it ends, and may claim the machine again before that.
    set_mock_cpu_id(3);
    let claim = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let root = Axebpf::new(&MACHINE).unwrap();
    SET_UP.call_once(set_up);
    (root, claim)
}

pub(crate) fn symbols() -> &'static SymbolTable<'static> {
    static SYMBOLS: std::sync::OnceLock<SymbolTable<'static>> = std::sync::OnceLock::new();
    SYMBOLS.get_or_init(|| {
        let mut encoder = Encoder::new();
        for (name, index) in NAMES.iter().zip(0..) {
            encoder.push(name, function(index), FUNCTION, 'T').unwrap();
        }
        let blob = encoder.finish().unwrap().leak();
        SymbolTable::from_blob(blob, Slide::ZERO).unwrap()
    })
}

fn set_up() {
    for (index, name) in NAMES.iter().enumerate() {
        let code = if *name == "demo::lock" {
            EXCLUSIVE
        } else {
            PLAIN
        };
        for (place, word) in MACHINE.text[4 * index..].iter().zip(code) {
            place.store(word, Ordering::Relaxed);
        }
    }
    let text = HostVirt::new(BASE)..HostVirt::new(BASE + TEXT_BYTES);
    HprobeSetup::new(symbols(), text)
        .close("*::vector", Protection::TrapEntry)
        .with_store(store)
        .install()
        .unwrap();
}

/// Calls a function with `arg`, which it returns, and lets it take `ns` nanoseconds.
pub(crate) fn call(function: u64, arg: u64, ns: u64) -> PtRegs {
    let mut regs = PtRegs {
        sp: 0x5000_0000,
        pc: function,
        ..PtRegs::default()
    };
    regs.regs[0] = arg;
    regs.regs[30] = CALLER;
    MACHINE.takes.store(ns, Ordering::Relaxed);
    while regs.pc != CALLER {
        step(&mut regs);
    }
    regs
}

/// Executes one instruction, as far as the functions need it.
fn step(regs: &mut PtRegs) {
    let word = MACHINE.word(regs.pc).load(Ordering::Relaxed);
    let of_probes = [
        BrkImmediate::Probe,
        BrkImmediate::SlotEnd,
        BrkImmediate::Return,
    ];
    if let Some(brk) = of_probes.iter().find(|brk| brk.instruction() == word) {
        let esr = 0xf200_0000 | *brk as u64;
        assert_eq!(handle_break(regs, esr), Break::Handled);
        return;
    }
    if word == RET {
        // The frame is gone by then.
        regs.sp = 0x5000_0000;
        axebpf::platform::mock::advance_mock_time(MACHINE.takes.load(Ordering::Relaxed));
        regs.pc = regs.regs[30];
    } else {
        regs.pc += 4;
    }
}

/// Stores nowhere: no function here looks at its stack.
unsafe fn store(_: u64, _: &[u8]) -> Result<(), MemoryFault> {
    Ok(())
}

impl Machine {
    /// Returns the word of text at an address.
    pub(crate) fn word(&self, at: u64) -> &AtomicU32 {
        &self.text[(at - BASE) as usize / 4]
    }
}

impl Clock for Machine {
    fn now_ns(&self) -> u64 {
        MOCK.now_ns()
    }
}

impl Cpus for Machine {
    fn current_cpu(&self) -> CpuId {
        MOCK.current_cpu()
    }

    fn cpu_limit(&self) -> u32 {
        MOCK.cpu_limit()
    }

    fn is_online(&self, cpu: CpuId) -> bool {
        MOCK.is_online(cpu)
    }
}

impl CoreSync for Machine {
    fn kick(&self, cpu: CpuId) {
        MOCK.kick(cpu);
    }

    fn relax(&self) {
        MOCK.relax();
    }

    fn synchronize_context(&self) {
        MOCK.synchronize_context();
    }

    fn set_kick_handler(&self, handler: fn()) {
        MOCK.set_kick_handler(handler);
    }
}

impl TextPatch for Machine {
    unsafe fn write_text(&self, at: HostVirt, bytes: &[u8]) -> Result<(), TextError> {
        for (bytes, index) in bytes.chunks_exact(4).zip(0..) {
            let word = u32::from_le_bytes(bytes.try_into().unwrap());
            self.word(at.get() + 4 * index)
                .store(word, Ordering::Relaxed);
        }
        Ok(())
    }
}

impl ExecMemory for Machine {
    fn alloc_exec(&self, len: usize) -> Result<ExecRegion, ExecError> {
        static USED: AtomicU64 = AtomicU64::new(TEXT_BYTES);
        let start = HostVirt::new(BASE + USED.fetch_add(len as u64, Ordering::Relaxed));
        Ok(ExecRegion { start, len })
    }

    fn free_exec(&self, _: ExecRegion) {}
}

impl ReadMemory for Machine {
    fn read_memory(&self, src: HostVirt, dst: &mut [u8]) -> Result<(), ReadFault> {
        for (index, bytes) in dst.chunks_mut(4).enumerate() {
            let at = src.get() + 4 * index as u64;
            if !(BASE..BASE + 4 * WORDS as u64).contains(&at) {
                return Err(ReadFault { addr: src });
            }
            let word = self.word(at).load(Ordering::Relaxed).to_le_bytes();
            bytes.copy_from_slice(&word[..bytes.len()]);
        }
        Ok(())
    }
}

impl Interrupts for Machine {
    fn mask(&self) -> InterruptState {
        MOCK.mask()
    }

    fn restore(&self, state: InterruptState) {
        MOCK.restore(state);
    }
}

impl CurrentVcpu for Machine {
    fn current_vcpu(&self) -> Option<Vcpu> {
        MOCK.current_vcpu()
    }

    fn exit_reason(&self) -> Option<u32> {
        MOCK.exit_reason()
    }
}

impl Console for Machine {
    fn write_console(&self, text: &[u8]) {
        MOCK.write_console(text);
    }
}
