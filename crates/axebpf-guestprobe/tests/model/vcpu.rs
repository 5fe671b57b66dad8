//! A vCPU: registers, and an interpreter of what the guest programs consist of.

use std::cell::Cell;
use std::collections::HashMap;

use axebpf_a64::{BranchTargets, Execution, Memory, MemoryFault, PtRegs, classify, simulate};
use axebpf_guestprobe::{
    Capabilities, GuestDebug, GuestVcpu, HoldInterrupts, Outcome, ProbedGuest, SingleStep,
    SwitchView, Syndrome, SystemRegister, VcpuRegisters, View, deliver_brk,
};
use axebpf_platform::{Vcpu, VcpuId};

use crate::asm;
use crate::machine::{Machine, VM, Wanted};

/// `PSTATE` of a kernel on its own stack.
pub(crate) const EL1H: u64 = 0b0101;
/// Where the guest's vectors are.
pub(crate) const VECTORS: u64 = 0x3000;

pub(crate) struct ModelVcpu {
    id: u32,
    pub(crate) regs: PtRegs,
    pub(crate) system: HashMap<SystemRegister, u64>,
    pub(crate) view: View,
    pub(crate) is_stepping: bool,
    pub(crate) holds: bool,
    pub(crate) debugs: bool,
    pub(crate) halted: bool,
    /// What was fetched and may be executed later.
    pub(crate) prefetched: HashMap<u64, u32>,
    /// How many instructions were executed at each place, however that came about.
    pub(crate) executed: HashMap<u64, u64>,
    /// Virtual interrupts that are waiting.
    pub(crate) interrupts: u32,
    /// Exceptions that were delivered to the guest: syndrome and address.
    pub(crate) delivered: Vec<(u64, u64)>,
    pub(crate) exits: u64,
    /// How often it was asked which vCPU it is, which is asked first of all.
    pub(crate) asked: Cell<u64>,
    /// The instruction at which the guest was left.
    left_at: u64,
    /// An exit that is still to be handled.
    pending: Option<Exit>,
}

/// Why the guest was left.
struct Exit(Syndrome);

fn class(class: u64, iss: u64) -> u64 {
    class << 26 | 1 << 25 | iss
}

impl ModelVcpu {
    pub(crate) fn new(id: u32) -> Self {
        let system = [
            (SystemRegister::VbarEl1, VECTORS),
            (SystemRegister::TcrEl1, 16 << 16 | 16),
            (SystemRegister::SpEl0, 0xffff_0000 + u64::from(id) * 0x1000),
        ];
        Self {
            id,
            regs: PtRegs {
                pstate: EL1H,
                ..PtRegs::default()
            },
            system: system.into(),
            view: View::Main,
            is_stepping: false,
            holds: false,
            debugs: false,
            halted: true,
            prefetched: HashMap::new(),
            executed: HashMap::new(),
            interrupts: 0,
            delivered: Vec::new(),
            exits: 0,
            asked: Cell::new(0),
            left_at: 0,
            pending: None,
        }
    }

    /// Starts the vCPU at `pc` with a stack of its own.
    pub(crate) fn start(&mut self, pc: u64) {
        self.regs.pc = pc;
        self.regs.sp = 0x2_0000 + u64::from(self.id) * 0x1000;
        self.halted = false;
    }

    /// Tells whether it has left the guest at a trap and nobody has looked at that yet.
    pub(crate) fn has_trapped(&self) -> bool {
        let class = self.pending.as_ref().map(|exit| exit.0.esr >> 26);
        matches!(class, Some(0x3c | 0x16 | 0x20))
    }

    /// Executes one instruction, or leaves the guest and enters it again.
    pub(crate) fn step(&mut self, machine: &Machine, probes: &ProbedGuest, forget: bool) {
        if self.halted {
            return;
        }
        if forget {
            self.prefetched.clear();
        }
        if let Some(exit) = self.pending.take() {
            return self.leave(probes, exit);
        }
        if let Some(exit) = self.run(machine) {
            self.exits += 1;
            self.prefetched.clear();
            // Much may happen before it is handled.
            if forget {
                self.pending = Some(exit);
            } else {
                self.leave(probes, exit);
            }
        }
    }

    /// Executes one instruction, and returns why the guest is left, if it is.
    fn run(&mut self, machine: &Machine) -> Option<Exit> {
        if self.interrupts > 0 && !self.holds && self.regs.pstate & 0x80 == 0 {
            self.interrupts -= 1;
            self.take_interrupt();
        } else if let Err(exit) = self.execute(machine) {
            return Some(exit);
        }
        self.is_stepping.then(|| {
            Exit(Syndrome {
                esr: class(0x32, 0),
                ..Syndrome::default()
            })
        })
    }

    /// Hands a debug exception on to the guest.
    pub(crate) fn deliver(&mut self, syndrome: &Syndrome) {
        let mut parts = Parts {
            capabilities: Capabilities::all(),
            vcpu: self,
        };
        deliver_brk(&mut parts, syndrome);
    }

    /// Enters the vector for interrupts, as the processor does.
    fn take_interrupt(&mut self) {
        let spsr = self.regs.pstate | if self.is_stepping { 1 << 21 } else { 0 };
        self.system.insert(SystemRegister::SpsrEl1, spsr);
        self.system.insert(SystemRegister::ElrEl1, self.regs.pc);
        self.regs.pc = VECTORS + 0x280;
        self.regs.pstate = EL1H | 0x3c0;
    }

    /// Leaves the guest because of `syndrome`, whatever the vCPU is doing.
    pub(crate) fn inject(&mut self, probes: &ProbedGuest, syndrome: Syndrome) {
        self.leave(probes, Exit(syndrome));
    }

    /// Enters the guest again if it was in there.
    pub(crate) fn enter_again(&mut self, probes: &ProbedGuest) {
        self.prefetched.clear();
        if !self.halted && self.pending.is_none() {
            let mut parts = Parts {
                capabilities: probes.capabilities(),
                vcpu: self,
            };
            probes.prepare_entry(&mut parts);
        }
    }

    fn leave(&mut self, probes: &ProbedGuest, Exit(syndrome): Exit) {
        let behind = if syndrome.esr >> 26 == 0x16 { 4 } else { 0 };
        let at = self.regs.pc - behind;
        self.left_at = at;
        let mut parts = Parts {
            capabilities: probes.capabilities(),
            vcpu: self,
        };
        let outcome = probes.handle_exit(&mut parts, &syndrome);
        if outcome == Outcome::NotOurs {
            match syndrome.esr >> 26 {
                0x3c => {
                    parts.vcpu.delivered.push((syndrome.esr, at));
                    deliver_brk(&mut parts, &syndrome);
                }
                // The guest's hypercall ends its vCPU.
                0x16 => parts.vcpu.halted = true,
                other => panic!(
                    "exit {other:#x} of vCPU {} at {at:#x}, address {:#x}, in view {:?}",
                    parts.vcpu.id, syndrome.far, parts.vcpu.view
                ),
            }
        }
        probes.prepare_entry(&mut parts);
    }

    /// Returns the instruction at the program counter.
    fn fetch(&mut self, machine: &Machine) -> Result<u32, Exit> {
        let at = self.regs.pc;
        if let Some(&word) = self.prefetched.get(&at) {
            return Ok(word);
        }
        let mut word = None;
        for ahead in 0..4 {
            let next = at + 4 * ahead;
            if let Some(backing) = machine.access(self.view, next, Wanted::Fetch) {
                let mut bytes = [0; 4];
                machine.load(backing, next, &mut bytes);
                let fetched = u32::from_le_bytes(bytes);
                self.prefetched.entry(next).or_insert(fetched);
                word = word.or(Some(fetched).filter(|_| ahead == 0));
            }
        }
        word.ok_or_else(|| fault(0x20, at, 0))
    }

    fn execute(&mut self, machine: &Machine) -> Result<(), Exit> {
        let word = self.fetch(machine)?;
        let (at, view) = (self.regs.pc, self.view);
        if word & 0xffe0_001f == 0xd420_0000 {
            return Err(trapped(0x3c, word));
        }
        if word & 0xffe0_001f == 0xd400_0002 {
            self.regs.pc += 4;
            return Err(trapped(0x16, word));
        }
        let mut memory = Seen {
            machine,
            view,
            is_write: false,
        };
        match classify(word) {
            Ok(Execution::Simulate(insn)) => {
                let regs = &mut self.regs;
                simulate(insn, regs, &mut memory, BranchTargets::Unimplemented).map_err(
                    |error| match error {
                        axebpf_a64::SimulateError::Memory(fault_at) => {
                            fault(0x24, fault_at.addr, u64::from(memory.is_write) << 6)
                        }
                        other => panic!("{other}"),
                    },
                )?;
            }
            _ => self.execute_other(word, &mut memory)?,
        }
        *self.executed.entry(at).or_default() += 1;
        Ok(())
    }

    /// Executes what is not simulated.
    fn execute_other(&mut self, word: u32, memory: &mut Seen<'_>) -> Result<(), Exit> {
        let field = |low: u32| (word >> low & 31) as usize;
        let (to, left, right) = (field(0), field(5), field(16));
        let base = if left == 31 {
            self.regs.sp
        } else {
            self.regs.regs[left]
        };
        let offset = u64::from(word >> 10 & 0xfff);
        let mut bytes = [0; 8];
        match word {
            asm::PACIASP => self.regs.regs[30] ^= code_of(self.regs.sp),
            asm::AUTIASP => self.regs.regs[30] ^= code_of(self.regs.sp),
            asm::ERET => {
                self.regs.pc = self.system_register(SystemRegister::ElrEl1);
                self.regs.pstate = self.system_register(SystemRegister::SpsrEl1);
                assert_eq!(self.regs.pstate >> 21 & 1, 0, "the guest would step itself");
                return Ok(());
            }
            asm::POP_FRAME => {
                let sp = self.regs.sp;
                for (index, reg) in [29, 30].into_iter().enumerate() {
                    memory.get(sp + 8 * index as u64, &mut bytes)?;
                    self.regs.regs[reg] = u64::from_le_bytes(bytes);
                }
                self.regs.sp = sp + 16;
            }
            _ if word & 0xff20_0000 == 0xca00_0000 => {
                let amount = word >> 10 & 63;
                self.regs.regs[to] = self.regs.regs[left] ^ self.regs.regs[right] << amount;
            }
            _ if word & 0xffc0_0000 == 0xf940_0000 => {
                memory.get(base + 8 * offset, &mut bytes)?;
                self.regs.regs[to] = u64::from_le_bytes(bytes);
            }
            _ if word & 0xffc0_0000 == 0xf900_0000 => {
                memory.put(base + 8 * offset, &self.regs.regs[to].to_le_bytes())?;
            }
            _ if word & 0xffc0_0000 == 0xb900_0000 => {
                memory.put(base + 4 * offset, &self.regs.regs[to].to_le_bytes()[..4])?;
            }
            _ => panic!("{word:#010x} at {:#x} is not known here", self.regs.pc),
        }
        self.regs.pc += 4;
        Ok(())
    }

    fn system_register(&self, register: SystemRegister) -> u64 {
        self.system.get(&register).copied().unwrap_or(0)
    }
}

/// Returns the authentication code of a pointer on the stack `sp`.
fn code_of(sp: u64) -> u64 {
    (sp.wrapping_mul(0x9e37_79b9) & 0x7f | 1) << 48
}

fn fault(exception: u64, at: u64, iss: u64) -> Exit {
    Exit(Syndrome {
        // A permission fault on level 3, for which the processor need not say the guest-physical address.
        esr: class(exception, iss | 0b00_1111),
        far: at,
        hpfar: u64::MAX,
    })
}

fn trapped(exception: u64, word: u32) -> Exit {
    Exit(Syndrome {
        esr: class(exception, u64::from(word >> 5 & 0xffff)),
        ..Syndrome::default()
    })
}

/// The memory as a vCPU sees it.
struct Seen<'a> {
    machine: &'a Machine,
    view: View,
    is_write: bool,
}

impl Seen<'_> {
    fn get(&mut self, at: u64, bytes: &mut [u8]) -> Result<(), Exit> {
        self.read(at, bytes).map_err(|at| fault(0x24, at.addr, 0))
    }

    fn put(&mut self, at: u64, bytes: &[u8]) -> Result<(), Exit> {
        self.write(at, bytes)
            .map_err(|at| fault(0x24, at.addr, 1 << 6))
    }
}

impl Memory for Seen<'_> {
    fn read(&mut self, addr: u64, bytes: &mut [u8]) -> Result<(), MemoryFault> {
        let backing = self
            .machine
            .access(self.view, addr, Wanted::Read)
            .ok_or(MemoryFault { addr })?;
        self.machine.load(backing, addr, bytes);
        Ok(())
    }

    fn write(&mut self, addr: u64, bytes: &[u8]) -> Result<(), MemoryFault> {
        self.is_write = true;
        self.machine
            .access(self.view, addr, Wanted::Write)
            .ok_or(MemoryFault { addr })?;
        self.machine.store(addr, bytes);
        Ok(())
    }
}

/// A vCPU with what it is able to do.
struct Parts<'a> {
    vcpu: &'a mut ModelVcpu,
    capabilities: Capabilities,
}

impl VcpuRegisters for Parts<'_> {
    fn name(&self) -> Vcpu {
        self.vcpu.asked.update(|asked| asked + 1);
        Vcpu {
            vm: VM,
            vcpu: VcpuId::new(self.vcpu.id),
        }
    }

    fn regs(&self) -> PtRegs {
        self.vcpu.regs
    }

    fn set_regs(&mut self, regs: &PtRegs) {
        // Whoever moves on past an instruction has executed it.
        let left_at = self.vcpu.left_at;
        if regs.pc != left_at && regs.pc != VECTORS + 0x200 {
            *self.vcpu.executed.entry(left_at).or_default() += 1;
        }
        self.vcpu.regs = *regs;
    }

    fn system_register(&self, register: SystemRegister) -> u64 {
        self.vcpu.system_register(register)
    }

    fn set_system_register(&mut self, register: SystemRegister, value: u64) {
        self.vcpu.system.insert(register, value);
    }
}

impl SingleStep for Parts<'_> {
    fn begin_step(&mut self) {
        self.vcpu.is_stepping = true;
    }

    fn end_step(&mut self) {
        self.vcpu.is_stepping = false;
    }
}

impl SwitchView for Parts<'_> {
    fn set_view(&mut self, view: View) {
        self.vcpu.view = view;
    }
}

impl HoldInterrupts for Parts<'_> {
    fn hold_interrupts(&mut self) {
        self.vcpu.holds = true;
    }

    fn release_interrupts(&mut self) {
        self.vcpu.holds = false;
    }
}

impl GuestDebug for Parts<'_> {
    fn debugs_itself(&self) -> bool {
        self.vcpu.debugs
    }
}

impl GuestVcpu for Parts<'_> {
    fn single_step(&mut self) -> Option<&mut dyn SingleStep> {
        let has = self.capabilities.contains(Capabilities::SINGLE_STEP);
        has.then_some(self as &mut dyn SingleStep)
    }

    fn switch_view(&mut self) -> Option<&mut dyn SwitchView> {
        let has = self.capabilities.contains(Capabilities::SWITCH_VIEW);
        has.then_some(self as &mut dyn SwitchView)
    }

    fn interrupts(&mut self) -> Option<&mut dyn HoldInterrupts> {
        let has = self.capabilities.contains(Capabilities::HOLD_INTERRUPTS);
        has.then_some(self as &mut dyn HoldInterrupts)
    }

    fn guest_debug(&self) -> Option<&dyn GuestDebug> {
        let has = self.capabilities.contains(Capabilities::GUEST_DEBUG);
        has.then_some(self as &dyn GuestDebug)
    }
}
