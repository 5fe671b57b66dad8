//! A CPU: executes what it fetches, and takes traps as a vector does.

use std::cell::RefCell;

use axebpf_a64::{BranchTargets, Execution, Memory, MemoryFault, classify, simulate};
use axebpf_hprobe::{Break, PtRegs, SigningKey, handle_break};
use axebpf_platform::{Cpus, InterruptState, Interrupts};

use crate::caches::{BASE, word};
use crate::machine::MACHINE;

/// Where functions return to that the test calls.
const HOME: u64 = 0xdead_0000;
/// Where the memory of a CPU is, its stack at the end.
pub(crate) const DATA: u64 = 0x5000_0000;
const DATA_BYTES: usize = 4096;
/// `SPSR_EL2.I`.
const MASKED: u64 = 1 << 7;

thread_local! {
    static MEMORY: RefCell<[u8; DATA_BYTES]> = const { RefCell::new([0; DATA_BYTES]) };
}

/// The function that the tests probe. It counts its calls in memory at x1, and returns x0 + 1.
///
/// Each instruction is of a kind of its own: stores to the stack, simulated; executed in slots; branches.
pub(crate) const FUNCTION: [u32; 9] = [
    0xa9bf_7bfd, // stp x29, x30, [sp, #-16]!
    0x9100_03fd, // mov x29, sp
    0xf940_0022, // ldr x2, [x1]
    0x8b03_0042, // add x2, x2, x3
    0xb400_0042, // cbz x2, .+8
    0xf900_0022, // str x2, [x1]
    0x8b03_0000, // add x0, x0, x3
    0xa8c1_7bfd, // ldp x29, x30, [sp], #16
    0xd65f_03c0, // ret
];

/// Where the function is.
pub(crate) const ENTRY: u64 = BASE;

/// What a call came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It returned, and everything is as the function leaves it.
    Returned,
    /// It ended at this address with something that is not understood there.
    Died { pc: u64, word: u32 },
}

pub(crate) struct Interrupted;

impl Memory for Interrupted {
    fn read(&mut self, addr: u64, bytes: &mut [u8]) -> Result<(), MemoryFault> {
        with_memory(addr, bytes.len(), |memory| bytes.copy_from_slice(memory))
    }

    fn write(&mut self, addr: u64, bytes: &[u8]) -> Result<(), MemoryFault> {
        with_memory(addr, bytes.len(), |memory| memory.copy_from_slice(bytes))
    }
}

fn with_memory(addr: u64, len: usize, use_it: impl FnOnce(&mut [u8])) -> Result<(), MemoryFault> {
    MEMORY.with_borrow_mut(|memory| {
        let start = addr.wrapping_sub(DATA) as usize;
        let place = start..start.saturating_add(len);
        use_it(memory.get_mut(place).ok_or(MemoryFault { addr })?);
        Ok(())
    })
}

/// Stores as the interrupted code would.
pub(crate) unsafe fn store(addr: u64, bytes: &[u8]) -> Result<(), MemoryFault> {
    Interrupted.write(addr, bytes)
}

/// Signs as a processor with keys does: the upper bits of an address change with key and modifier.
pub(crate) fn sign(key: SigningKey, address: u64, modifier: u64) -> u64 {
    let key = match key {
        SigningKey::A => 0xa,
        SigningKey::B => 0xb,
    };
    address ^ (key << 60 | (modifier & 0xffff) << 44)
}

/// Returns the word of this CPU's memory at `offset`.
pub(crate) fn load(offset: u64) -> u64 {
    let mut bytes = [0; 8];
    Interrupted.read(DATA + offset, &mut bytes).unwrap();
    u64::from_le_bytes(bytes)
}

/// Where a CPU is, between two instructions.
pub(crate) struct Running {
    pub(crate) regs: PtRegs,
    /// What to put back when the CPU unmasks interrupts, while they are masked.
    masked: Option<InterruptState>,
}

impl Running {
    /// Starts at the entry of the function, on the stack of this CPU.
    pub(crate) fn enter(argument: u64) -> Self {
        let mut regs = PtRegs {
            pc: ENTRY,
            sp: DATA + DATA_BYTES as u64,
            ..PtRegs::default()
        };
        regs.regs[0] = argument;
        regs.regs[1] = DATA;
        regs.regs[3] = 1;
        regs.regs[30] = HOME;
        Self { regs, masked: None }
    }

    /// Executes one instruction, and the trap that it takes. Returns how it ended if that was the end.
    pub(crate) fn step(&mut self) -> Option<Outcome> {
        if self.regs.pc == HOME {
            return Some(Outcome::Returned);
        }
        let pc = self.regs.pc;
        let cpu = MACHINE.current_cpu().index();
        let fetched = MACHINE.with_caches(|caches| caches.fetch(cpu, word(pc)));
        let died = Outcome::Died { pc, word: fetched };
        if fetched & 0xffe0_001f == 0xd420_0000 {
            return (self.trap(fetched >> 5 & 0xffff) == Break::NotOurs).then_some(died);
        }
        match classify(fetched) {
            Ok(Execution::Simulate(insn)) => {
                let targets = BranchTargets::Unimplemented;
                simulate(insn, &mut self.regs, &mut Interrupted, targets).unwrap();
                None
            }
            Ok(Execution::OutOfLine) if self.execute(fetched) => {
                self.regs.pc += 4;
                None
            }
            _ => Some(died),
        }
    }

    /// Takes the exception of a `BRK`. Entry and return synchronise the context.
    fn trap(&mut self, immediate: u32) -> Break {
        let before = MACHINE.mask();
        let before = *self.masked.get_or_insert(before);
        MACHINE.with_caches(|caches| caches.synchronize(MACHINE.current_cpu().index()));
        let result = handle_break(&mut self.regs, u64::from(immediate) | 0x3c << 26);
        MACHINE.with_caches(|caches| caches.synchronize(MACHINE.current_cpu().index()));
        if self.regs.pstate & MASKED == 0 {
            self.masked = None;
            MACHINE.restore(before);
        }
        result
    }

    /// Executes one of those instructions of the function that are not simulated, and tells whether it was one.
    fn execute(&mut self, word: u32) -> bool {
        let regs = &mut self.regs;
        let mut bytes = [0; 8];
        match word {
            0xf940_0022 => {
                Interrupted.read(regs.regs[1], &mut bytes).unwrap();
                regs.regs[2] = u64::from_le_bytes(bytes);
            }
            0x8b03_0042 => regs.regs[2] = regs.regs[2].wrapping_add(regs.regs[3]),
            0x8b03_0000 => regs.regs[0] = regs.regs[0].wrapping_add(regs.regs[3]),
            0xf900_0022 => {
                let value = regs.regs[2].to_le_bytes();
                Interrupted.write(regs.regs[1], &value).unwrap();
            }
            0xa8c1_7bfd => {
                for (reg, offset) in [(29, 0), (30, 8)] {
                    Interrupted.read(regs.sp + offset, &mut bytes).unwrap();
                    regs.regs[reg] = u64::from_le_bytes(bytes);
                }
                regs.sp += 16;
            }
            _ => return false,
        }
        true
    }

    /// Goes on to the end, and checks what the function leaves.
    pub(crate) fn finish(mut self) -> Outcome {
        let argument = self.regs.regs[0];
        let calls = load(0);
        for _ in 0..100 {
            if let Some(outcome) = self.step() {
                if outcome == Outcome::Returned {
                    self.check(argument, calls);
                }
                return outcome;
            }
        }
        panic!("the function does not end: at {:#x}", self.regs.pc);
    }

    fn check(&self, argument: u64, calls: u64) {
        let entered = Self::enter(argument).regs;
        assert_eq!(self.regs.regs[0], argument + 1);
        assert_eq!(self.regs.regs[29..], entered.regs[29..]);
        assert_eq!(
            (self.regs.sp, self.regs.pstate),
            (entered.sp, entered.pstate)
        );
        assert_eq!(load(0), calls + 1, "the function counts each call once");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(before) = self.masked.take() {
            MACHINE.restore(before);
        }
    }
}

/// Calls the function on this CPU.
pub(crate) fn call() -> Outcome {
    Running::enter(41).finish()
}
