//! Virtual interrupts: the GICv3's list registers.

use aarch64_cpu::registers::{
    ICH_AP1R0_EL2, ICH_HCR_EL2, ICH_LR0_EL2, ICH_LR1_EL2, ICH_LR2_EL2, ICH_LR3_EL2, ICH_VMCR_EL2,
    Readable, Writeable,
};

/// How many list registers are used. Every GICv3 that QEMU models, and most that are built, have these four.
const LIST_REGISTERS: usize = 4;

// Fields of a list register (ARM IHI 0069, ICH_LR<n>_EL2).
const STATE: u64 = 3 << 62;
const PENDING: u64 = 1 << 62;
const GROUP_1: u64 = 1 << 60;
const PRIORITY: u64 = 0x80 << 48;
const INTERRUPT: u64 = 0xffff_ffff;

/// The virtual CPU interface of a vCPU while it is not loaded.
#[derive(Default)]
pub(crate) struct Vgic {
    control: u64,
    active: u64,
    list: [u64; LIST_REGISTERS],
}

impl Vgic {
    /// Puts the state into this CPU's hardware.
    pub(crate) fn load(&self) {
        ICH_VMCR_EL2.set(self.control);
        ICH_AP1R0_EL2.set(self.active);
        for (index, &value) in self.list.iter().enumerate() {
            write_list(index, value);
        }
        ICH_HCR_EL2.write(ICH_HCR_EL2::En::SET);
    }

    /// Takes the state out of this CPU's hardware.
    pub(crate) fn unload(&mut self) {
        ICH_HCR_EL2.write(ICH_HCR_EL2::En::CLEAR);
        self.control = ICH_VMCR_EL2.get();
        self.active = ICH_AP1R0_EL2.get();
        for (index, value) in self.list.iter_mut().enumerate() {
            *value = read_list(index);
            write_list(index, 0);
        }
    }
}

/// Makes `interrupt` pending for the loaded vCPU. Fails when all list registers are taken.
pub(crate) fn queue(interrupt: u32) -> Result<(), u32> {
    let lists = 0..LIST_REGISTERS;
    let same = |&index: &usize| {
        let value = read_list(index);
        value & STATE != 0 && value & INTERRUPT == u64::from(interrupt)
    };
    if let Some(index) = lists.clone().find(same) {
        write_list(index, read_list(index) | PENDING);
        return Ok(());
    }
    let free = lists
        .clone()
        .find(|&index| read_list(index) & STATE == 0)
        .ok_or(interrupt)?;
    write_list(free, PENDING | GROUP_1 | PRIORITY | u64::from(interrupt));
    Ok(())
}

/// Tells whether an interrupt waits in the loaded vCPU's list registers.
pub(crate) fn has_pending() -> bool {
    (0..LIST_REGISTERS).any(|index| read_list(index) & PENDING != 0)
}

fn read_list(index: usize) -> u64 {
    match index {
        0 => ICH_LR0_EL2.get(),
        1 => ICH_LR1_EL2.get(),
        2 => ICH_LR2_EL2.get(),
        _ => ICH_LR3_EL2.get(),
    }
}

fn write_list(index: usize, value: u64) {
    match index {
        0 => ICH_LR0_EL2.set(value),
        1 => ICH_LR1_EL2.set(value),
        2 => ICH_LR2_EL2.set(value),
        _ => ICH_LR3_EL2.set(value),
    }
}
