//! Virtual CPUs: what one is, and putting it on its CPU. `run` enters its guest, `interrupts` are what it waits for.

mod interrupts;
mod run;

use alloc::sync::{Arc, Weak};
use core::{
    cell::UnsafeCell,
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
};

use aarch64_cpu::registers::{CNTVOFF_EL2, VMPIDR_EL2, Writeable};
use axebpf::platform::{CpuId, Vcpu as VcpuName, VcpuId, VmId};
use axebpf::tracepoint::{trace, vmm};

pub(crate) use interrupts::{TIMER_INTERRUPT, inject_timer};

use super::{
    context::Banked,
    debug_registers::DebugRegisters,
    distributor::Distributor,
    lock::Lock,
    percpu,
    redistributor::Redistributor,
    stage2::{self, Stage2, View},
    task::Task,
    vcpu_state::VcpuState,
    world::Registers,
};

/// One virtual CPU.
pub(crate) struct Vcpu {
    name: VcpuName,
    cpu: CpuId,
    /// Kept here too, because the CPU has it loaded for as long as the vCPU's task exists.
    stage2: Arc<Stage2>,
    /// What the guest's counter is behind the machine's.
    counter_offset: u64,
    state: AtomicU32,
    interrupts: Redistributor,
    distributor: Arc<Distributor>,
    /// Whether the task is to end, because the guest switched the vCPU off.
    ending: AtomicBool,
    task: Lock<Weak<Task>>,
    registers: UnsafeCell<Registers>,
    banked: UnsafeCell<Banked>,
    debug: UnsafeCell<DebugRegisters>,
    /// The view of the memory in which the vCPU runs, by its number.
    view: AtomicU32,
    /// Whether virtual interrupts are kept from the guest.
    holding: AtomicBool,
    /// Whether the CPU may be in the guest, or has begun to decide how to enter it.
    in_guest: AtomicBool,
    /// How often the guest was left.
    exits: AtomicU64,
}

// SAFETY: everything but the two cells synchronises itself. `registers` is accessed by the vCPU's own task alone, and
// `banked` by the scheduler of the one CPU that executes this task, with interrupts masked. `reset` accesses both,
// while there is no task.
unsafe impl Sync for Vcpu {}

impl Vcpu {
    /// Makes vCPU `name`, switched off, to be run by `cpu` on the memory of `stage2`.
    pub(crate) fn new(
        name: VcpuName,
        cpu: CpuId,
        stage2: Arc<Stage2>,
        distributor: Arc<Distributor>,
        counter_offset: u64,
    ) -> Self {
        Self {
            name,
            cpu,
            stage2,
            counter_offset,
            state: AtomicU32::new(VcpuState::Created as u32),
            interrupts: Redistributor::new(distributor.at_reset()),
            distributor,
            ending: AtomicBool::new(false),
            task: Lock::new(Weak::new()),
            registers: UnsafeCell::new(Registers::default()),
            banked: UnsafeCell::new(Banked::default()),
            debug: UnsafeCell::new(DebugRegisters::default()),
            view: AtomicU32::new(View::Main as u32),
            holding: AtomicBool::new(false),
            in_guest: AtomicBool::new(false),
            exits: AtomicU64::new(0),
        }
    }

    /// Returns the VM.
    pub(crate) fn vm_id(&self) -> VmId {
        self.name.vm
    }

    /// Returns the vCPU's number.
    pub(crate) fn id(&self) -> VcpuId {
        self.name.vcpu
    }

    /// Returns the CPU that runs it.
    pub(crate) fn cpu(&self) -> CpuId {
        self.cpu
    }

    /// Returns what the vCPU is doing.
    pub(crate) fn state(&self) -> VcpuState {
        VcpuState::from_number(self.state.load(Ordering::Acquire))
    }

    /// Makes the vCPU's task end, after which the vCPU is off.
    pub(crate) fn end(&self) {
        self.ending.store(true, Ordering::Release);
    }

    /// Tells whether the task is to end.
    pub(crate) fn is_ending(&self) -> bool {
        self.ending.load(Ordering::Acquire)
    }

    /// Puts the vCPU into `state`.
    pub(crate) fn set_state(&self, state: VcpuState) {
        let from = self.state.swap(state as u32, Ordering::AcqRel);
        self.trace_state(from, state as u32);
    }

    /// Takes the vCPU from state `from` to state `to`, and tells whether it was in `from`.
    pub(crate) fn change_state(&self, from: VcpuState, to: VcpuState) -> bool {
        let (from, to) = (from as u32, to as u32);
        let changed = self
            .state
            .compare_exchange(from, to, Ordering::AcqRel, Ordering::Relaxed)
            .is_ok();
        if changed {
            self.trace_state(from, to);
        }
        changed
    }

    fn trace_state(&self, from: u32, to: u32) {
        if from != to {
            let (vm_id, vcpu_id) = (self.name.vm.get(), self.name.vcpu.get());
            trace!(vmm::vcpu_state_change {
                vm_id,
                vcpu_id,
                from,
                to
            });
        }
    }

    /// Sets all registers to what they are at reset, with `pc` and `x0`.
    ///
    /// # Safety
    ///
    /// The vCPU was claimed and has no task yet, or its task has [left](super::sched::leave_vcpu) it and calls this.
    pub(crate) unsafe fn reset(&self, pc: u64, x0: u64) {
        // EL1 with its own stack pointer, everything masked.
        const PSTATE: u64 = 0x3c5;
        let mut registers = Registers {
            pc,
            pstate: PSTATE,
            ..Registers::default()
        };
        registers.x[0] = x0;
        *self.registers() = registers;
        *self.banked() = Banked::at_reset();
        *self.debug() = DebugRegisters::at_reset();
        self.interrupts.take_pending(u64::MAX);
        self.view.store(View::Main as u32, Ordering::Relaxed);
        self.stage2.forget_run(self.cpu.index());
        self.holding.store(false, Ordering::Relaxed);
        self.ending.store(false, Ordering::Release);
    }

    /// Says which task runs the vCPU.
    pub(crate) fn set_task(&self, task: &Arc<Task>) {
        *self.task.lock() = Arc::downgrade(task);
    }

    /// Returns the registers of the vCPU. Only its own task may call this.
    #[allow(
        clippy::mut_from_ref,
        reason = "the registers belong to the one task that runs the vCPU"
    )]
    pub(crate) fn registers(&self) -> &mut Registers {
        // SAFETY: the vCPU's own task calls this, or nobody else while it has none, from functions that do not keep
        // the reference across a call of another one of them.
        unsafe { &mut *self.registers.get() }
    }

    /// Returns what the CPU holds of the vCPU while it is loaded. Only `load`, `unload` and `reset` may call this.
    #[allow(
        clippy::mut_from_ref,
        reason = "only the scheduler of one CPU calls this"
    )]
    fn banked(&self) -> &mut Banked {
        // SAFETY: `load` and `unload` run on the CPU of the vCPU's task, with interrupts masked; `reset` while there
        // is no task.
        unsafe { &mut *self.banked.get() }
    }

    /// Returns the debug registers. Only the vCPU's own task, and the scheduler for it, may call this.
    #[allow(
        clippy::mut_from_ref,
        reason = "the registers belong to the one task that runs the vCPU"
    )]
    pub(crate) fn debug(&self) -> &mut DebugRegisters {
        // SAFETY: the vCPU's own task calls this, or the scheduler that switches to it, on the one CPU of that task;
        // neither keeps the reference across a call of this function or of `load`.
        unsafe { &mut *self.debug.get() }
    }

    /// Returns general register `number`, where 31 is the zero register.
    pub(crate) fn register(&self, number: usize) -> u64 {
        self.registers().x.get(number).copied().unwrap_or(0)
    }

    /// Sets general register `number`, where 31 is the zero register.
    pub(crate) fn set_register(&self, number: usize, value: u64) {
        if let Some(register) = self.registers().x.get_mut(number) {
            *register = value;
        }
    }

    /// Returns where the guest continues.
    pub(crate) fn pc(&self) -> u64 {
        self.registers().pc
    }

    /// Returns the guest's processor state, as in `SPSR_EL2`.
    pub(crate) fn pstate(&self) -> u64 {
        self.registers().pstate
    }

    /// Makes the guest continue at `pc` in `pstate`.
    pub(crate) fn go_on_at(&self, pc: u64, pstate: u64) {
        let registers = self.registers();
        registers.pc = pc;
        registers.pstate = pstate;
    }

    /// Moves the guest past the instruction that it left at, which has been executed in its place.
    ///
    /// As if the processor had executed it, what comes next is no branch target of its, and if the guest steps itself,
    /// its step ends here.
    pub(crate) fn skip_instruction(&self) {
        const STEP: u64 = 1 << 21;
        const BRANCH_TYPE: u64 = 3 << 10;
        let registers = self.registers();
        registers.pc = registers.pc.wrapping_add(4);
        registers.pstate &= !(STEP | BRANCH_TYPE);
    }

    /// Returns the guest-physical address that the last exit, an abort, is about, if the processor tells it: it does
    /// not for an access that lacks the right, and for external aborts (ARM ARM, `HPFAR_EL2`).
    pub(crate) fn fault_address(&self) -> Option<u64> {
        const ON_WALK: u64 = 1 << 7;
        let registers = self.registers();
        let is_told = match registers.esr & 0x3f {
            // Address size, translation, access flag.
            0x00..=0x0b => true,
            // Permission.
            0x0c..=0x0f => registers.esr & ON_WALK != 0,
            _ => false,
        };
        is_told.then_some((registers.hpfar >> 4 & 0xff_ffff_ffff) << 12 | registers.far & 0xfff)
    }

    /// Returns the guest-virtual address that the last exit is about.
    pub(crate) fn fault_virtual_address(&self) -> u64 {
        self.registers().far
    }

    /// Puts the vCPU on the executing CPU. The scheduler calls this with interrupts masked.
    pub(crate) fn load(&self) {
        VMPIDR_EL2.set(1 << 31 | u64::from(self.name.vcpu.get()));
        CNTVOFF_EL2.set(self.counter_offset);
        let banked = self.banked();
        banked.load();
        self.debug().load();
        percpu::this().set_vcpu(Some(self.name), banked.exit_reason);
        self.stage2.load(self.name.vcpu, self.view());
        self.change_state(VcpuState::Ready, VcpuState::Running);
    }

    /// Takes the vCPU off the executing CPU. The scheduler calls this with interrupts masked.
    pub(crate) fn unload(&self) {
        let banked = self.banked();
        banked.unload();
        banked.exit_reason = percpu::this().exit_reason();
        percpu::this().set_vcpu(None, None);
        // No walk may start from the tables of a VM that is gone, or find them with the registers of another vCPU.
        stage2::unload();
        self.change_state(VcpuState::Running, VcpuState::Ready);
    }

    /// Returns the view of the memory in which the vCPU runs.
    fn view(&self) -> View {
        View::from_number(self.view.load(Ordering::Relaxed))
    }

    /// Makes the loaded vCPU run in `view`. Only its own task may call this, with interrupts masked.
    pub(crate) fn set_view(&self, view: View) {
        self.view.store(view as u32, Ordering::Relaxed);
        self.stage2.switch(self.name.vcpu, view);
    }

    /// Returns the vCPU's name.
    pub(crate) fn name(&self) -> VcpuName {
        self.name
    }
}
