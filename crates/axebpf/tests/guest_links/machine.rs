//! A VM with one vCPU and a kernel of a few functions in the upper half, at a place that each boot chooses.

use std::collections::HashMap;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axebpf::platform::{GuestPhys, Vcpu, VcpuId, VmId, mock::set_mock_cpu_id};
use axebpf::probe::kprobe::{
    Backing, Capabilities, GuestMachine, GuestMemory, GuestMemoryFault, GuestText, GuestVcpu,
    KickVcpus, Outcome, PageAccess, ProbedGuest, PtRegs, Stage2, Stage2Error, Syndrome,
    SystemRegister, VcpuRegisters, View,
};

pub(crate) const VM: VmId = VmId::new(1);
/// Where the guest's memory starts.
pub(crate) const RAM: u64 = 0x4000_0000;
const SIZE: usize = 2 << 20;
/// Where its kernel's text is in memory.
pub(crate) const TEXT: u64 = RAM + 0x1_0000;
/// Where its tables are, each of a page.
const TABLES: u64 = RAM + 0x10_0000;
/// Where the kernel was linked.
pub(crate) const LINKED: u64 = 0xffff_8000_0800_0000;
/// Bytes of a function.
pub(crate) const FUNCTION: u64 = 0x40;
/// Where functions are called from.
pub(crate) const CALLER: u64 = 0xf000;
/// It can be displaced.
const NOP: u32 = 0xd503_201f;
const RET: u32 = 0xd65f_03c0;
/// `ldxr x0, [x1]`: it cannot.
const EXCLUSIVE: u32 = 0xc85f_7c20;
/// `PSTATE` of a kernel, and of a program.
const EL1H: u64 = 5;
const EL0: u64 = 0;
/// `SCTLR_EL1`: translation is enabled, and the kernel is big-endian.
const SCTLR_M: u64 = 1;
const SCTLR_EE: u64 = 1 << 25;

pub(crate) struct Machine {
    vm: VmId,
    memory: Mutex<Vec<u8>>,
    /// What the hypervisor offers.
    offers: Capabilities,
    /// Stops the next one that reads.
    stop: Mutex<Option<Stop>>,
}

/// Where a reader says that it is there, and where it is told to go on.
pub(crate) struct Stop {
    pub(crate) reached: Sender<()>,
    pub(crate) go_on: Receiver<()>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Machine {
    pub(crate) fn stop_reader(&self, stop: Stop) {
        *locked(&self.stop) = Some(stop);
    }

    pub(crate) fn write(&self, at: u64, bytes: &[u8]) {
        let start = (at - RAM) as usize;
        locked(&self.memory)[start..start + bytes.len()].copy_from_slice(bytes);
    }

    /// Writes the tables as a big-endian kernel does.
    fn turn_tables(&self) {
        let start = (TABLES - RAM) as usize;
        let mut memory = locked(&self.memory);
        let (entries, _) = memory[start..start + 4 * 4096].as_chunks_mut::<8>();
        entries.iter_mut().for_each(|entry| entry.reverse());
    }

    fn word(&self, at: u64) -> u32 {
        let mut bytes = [0; 4];
        self.read_guest(GuestPhys::new(at), &mut bytes).unwrap();
        u32::from_le_bytes(bytes)
    }

    /// Maps the 64 KiB of text at `virt`: three tables above one of pages.
    fn map_text(&self, virt: u64) {
        for level in 0..4 {
            let table = TABLES + 0x1000 * level;
            self.write(table, &[0; 4096]);
            let index = virt >> (39 - 9 * level) & 0x1ff;
            if level < 3 {
                let next = (table + 0x1000) | 3;
                self.write(table + 8 * index, &next.to_le_bytes());
                continue;
            }
            for page in 0..16 {
                // A page that the kernel may execute and programs may not, accessed and shared.
                let page_at = (TEXT + 0x1000 * page) | (1 << 54) | 0x783;
                self.write(table + 8 * (index + page), &page_at.to_le_bytes());
            }
        }
    }
}

impl GuestMemory for Machine {
    fn read_guest(&self, at: GuestPhys, bytes: &mut [u8]) -> Result<(), GuestMemoryFault> {
        let stop = locked(&self.stop).take();
        if let Some(stop) = stop {
            stop.reached.send(()).unwrap();
            stop.go_on.recv().unwrap();
        }
        let fault = GuestMemoryFault { at };
        let start = at.get().checked_sub(RAM).ok_or(fault)? as usize;
        let memory = locked(&self.memory);
        bytes.copy_from_slice(memory.get(start..start + bytes.len()).ok_or(fault)?);
        Ok(())
    }
}

impl GuestText for Machine {
    fn write_text(&self, at: GuestPhys, word: u32) -> Result<(), GuestMemoryFault> {
        self.write(at.get(), &word.to_le_bytes());
        Ok(())
    }
}

impl Stage2 for Machine {
    fn map_page(
        &self,
        _: View,
        _: GuestPhys,
        _: Backing,
        _: PageAccess,
    ) -> Result<(), Stage2Error> {
        Ok(())
    }
}

impl KickVcpus for Machine {
    fn kick_out(&self) {}
}

impl GuestMachine for Machine {
    fn vm(&self) -> VmId {
        self.vm
    }

    fn vcpu_limit(&self) -> u32 {
        1
    }

    fn vcpu_capabilities(&self) -> Capabilities {
        self.offers
    }

    fn guest_text(&self) -> Option<&dyn GuestText> {
        Some(self)
    }

    fn stage2(&self) -> Option<&dyn Stage2> {
        Some(self)
    }

    fn has_view(&self, view: View) -> bool {
        matches!(view, View::Main | View::Window)
    }

    fn kick_vcpus(&self) -> Option<&dyn KickVcpus> {
        Some(self)
    }
}

/// The vCPU, which has left the guest.
struct Loaded {
    vm: VmId,
    regs: PtRegs,
    system: HashMap<SystemRegister, u64>,
}

impl VcpuRegisters for Loaded {
    fn name(&self) -> Vcpu {
        let vcpu = VcpuId::new(0);
        Vcpu { vm: self.vm, vcpu }
    }

    fn regs(&self) -> PtRegs {
        self.regs
    }

    fn set_regs(&mut self, regs: &PtRegs) {
        self.regs = *regs;
    }

    fn system_register(&self, register: SystemRegister) -> u64 {
        self.system.get(&register).copied().unwrap_or(0)
    }

    fn set_system_register(&mut self, register: SystemRegister, value: u64) {
        self.system.insert(register, value);
    }
}

impl GuestVcpu for Loaded {}

/// The VM and its probes.
pub(crate) struct Guest {
    pub(crate) machine: Arc<Machine>,
    pub(crate) probes: Arc<ProbedGuest>,
    vcpu: Loaded,
    /// What the kernel writes to `SCTLR_EL1`.
    sctlr: u64,
    /// Where the kernel runs.
    pub(crate) base: u64,
}

impl Guest {
    pub(crate) fn new(vm: VmId) -> Self {
        let machine = Arc::new(Machine {
            vm,
            memory: Mutex::new(vec![0; SIZE]),
            stop: Mutex::default(),
            offers: Capabilities::TRAP_BRK | Capabilities::SWITCH_VIEW,
        });
        let probes = Arc::new(ProbedGuest::new(machine.clone()));
        let regs = PtRegs::default();
        let system = HashMap::new();
        Self {
            machine,
            probes,
            vcpu: Loaded { vm, regs, system },
            sctlr: SCTLR_M,
            base: 0,
        }
    }

    /// Fills the memory as a boot loader does. Functions 1 to 7 can be probed, function 0 cannot.
    pub(crate) fn load(&mut self, slide: u64) {
        self.base = LINKED + slide;
        for function in 0..8 {
            let at = TEXT + FUNCTION * function;
            let first = if function == 0 { EXCLUSIVE } else { NOP };
            self.machine.write(at, &first.to_le_bytes());
            self.machine.write(at + 4, &RET.to_le_bytes());
        }
        self.machine.write(TEXT + CALLER, &NOP.to_le_bytes());
        self.machine.map_text(self.base);
        self.vcpu.system.clear();
        self.sctlr = SCTLR_M;
    }

    /// Makes what was loaded a kernel that is big-endian. Instructions are little-endian all the same.
    pub(crate) fn turn_big_endian(&mut self) {
        self.machine.turn_tables();
        self.sctlr |= SCTLR_EE;
    }

    /// The kernel enables its translation, and runs.
    pub(crate) fn start_kernel(&mut self) {
        let system = [
            (SystemRegister::Ttbr1El1, TABLES),
            // 48 bits of virtual addresses with pages of 4 KiB, and 40 bits of physical ones.
            (SystemRegister::TcrEl1, 2 << 32 | 2 << 30 | 16 << 16 | 16),
            (SystemRegister::SctlrEl1, self.sctlr),
            (SystemRegister::VbarEl1, self.base),
        ];
        self.vcpu.system.extend(system);
        self.enter(EL1H);
    }

    /// The kernel is entered with this in `SP_EL0`, and with the same tables for the lower half as for the upper one.
    pub(crate) fn set_task(&mut self, sp_el0: u64) {
        let system = [
            (SystemRegister::SpEl0, sp_el0),
            (SystemRegister::Ttbr0El1, TABLES),
        ];
        self.vcpu.system.extend(system);
    }

    /// The kernel has a program.
    pub(crate) fn start_programs(&mut self) {
        self.enter(EL0);
    }

    fn enter(&mut self, pstate: u64) {
        set_mock_cpu_id(1);
        self.vcpu.regs.pstate = pstate;
        self.probes.prepare_entry(&mut self.vcpu);
    }

    /// The kernel has its newest frame record at `frame`.
    pub(crate) fn set_frame(&mut self, frame: u64) {
        self.vcpu.regs.regs[29] = frame;
    }

    /// Executes function `number` with `x0`, to its return.
    pub(crate) fn call(&mut self, number: u64, x0: u64) {
        let regs = &mut self.vcpu.regs;
        regs.regs[0] = x0;
        regs.regs[30] = self.base + CALLER;
        regs.sp = self.base + 0x8000;
        regs.pc = self.base + FUNCTION * number;
        while self.vcpu.regs.pc != self.base + CALLER + 4 {
            self.enter(EL1H);
            self.step();
        }
    }

    /// Executes one instruction.
    fn step(&mut self) {
        let regs = &mut self.vcpu.regs;
        let word = self.machine.word(regs.pc - self.base + TEXT);
        match word {
            RET => regs.pc = regs.regs[30],
            NOP => regs.pc += 4,
            brk if brk >> 21 == 0x6a1 => {
                let esr = 0x3c << 26 | 1 << 25 | u64::from(brk >> 5 & 0xffff);
                let syndrome = Syndrome {
                    esr,
                    ..Syndrome::default()
                };
                let outcome = self.probes.handle_exit(&mut self.vcpu, &syndrome);
                assert_eq!(outcome, Outcome::Handled);
            }
            other => panic!("the guest executes {other:#010x}"),
        }
    }
}
