//! Virtual interrupts: the GICv3's list registers.

use aarch64_cpu::registers::{
    ICH_AP1R0_EL2, ICH_HCR_EL2, ICH_LR0_EL2, ICH_LR1_EL2, ICH_LR2_EL2, ICH_LR3_EL2, ICH_VMCR_EL2,
    Readable, Writeable,
};
use arm_gic::IntId;

/// How many list registers are used. Every GICv3 that QEMU models, and most that are built, have these four.
const LIST_REGISTERS: usize = 4;

// Fields of a list register (ARM IHI 0069, ICH_LR<n>_EL2).
const STATE: u64 = 3 << 62;
const PENDING: u64 = 1 << 62;
const GROUP_1: u64 = 1 << 60;
/// Tell EL2 when the guest has ended the interrupt.
const TELL_END: u64 = 1 << 41;
const INTERRUPT: u64 = 0xffff_ffff;

/// The interrupt by which the virtual interface asks for attention.
pub(crate) const MAINTENANCE: IntId = IntId::ppi(9);

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

/// Whether there was a list register for an interrupt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Room {
    /// There was one.
    Left,
    /// All are taken.
    None,
}

impl Room {
    /// Returns whether there was one for both.
    pub(crate) fn and(self, other: Self) -> Self {
        if self == Self::Left { other } else { self }
    }
}

/// Makes `interrupt` pending for the loaded vCPU.
pub(crate) fn queue(interrupt: u32, priority: u8) -> Room {
    if let Some(index) = find(interrupt) {
        write_list(index, read_list(index) | PENDING);
        return Room::Left;
    }
    insert(PENDING | entry(interrupt, priority))
}

/// Makes `interrupt`, whose line a device holds, pending for the loaded vCPU unless that is handling it.
///
/// When the guest has ended it, EL2 is told, and looks at the line again.
pub(crate) fn hold(interrupt: u32, priority: u8) -> Room {
    match find(interrupt) {
        Some(_) => Room::Left,
        None => insert(PENDING | TELL_END | entry(interrupt, priority)),
    }
}

/// Takes back the interrupts of lines that are not in `held`, one bit each, if the loaded vCPU has not noticed them
/// yet.
pub(crate) fn withdraw(held: u64) {
    for index in 0..LIST_REGISTERS {
        let value = read_list(index);
        let unnoticed = value & TELL_END != 0 && value & STATE == PENDING;
        if unnoticed && held >> (value & 0x3f) & 1 == 0 {
            write_list(index, 0);
        }
    }
}

/// Whether the guest takes virtual interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Delivery {
    /// It does.
    On,
    /// They stay in the list registers.
    Held,
}

/// Switches delivery to the loaded vCPU, and sees to it that the guest is left when list registers become free, if
/// there was no room for all interrupts.
pub(crate) fn set_control(room: Room, delivery: Delivery) {
    let enable = match delivery {
        Delivery::On => ICH_HCR_EL2::En::SET,
        Delivery::Held => ICH_HCR_EL2::En::CLEAR,
    };
    let tell = match room {
        Room::Left => ICH_HCR_EL2::UIE::CLEAR,
        Room::None => ICH_HCR_EL2::UIE::SET,
    };
    ICH_HCR_EL2.write(enable + tell);
}

/// Handles the maintenance interrupt: frees what the guest has ended, which takes the interrupt back.
pub(crate) fn handle_maintenance() {
    for index in 0..LIST_REGISTERS {
        let value = read_list(index);
        if value & STATE == 0 && value & TELL_END != 0 {
            write_list(index, 0);
        }
    }
    ICH_HCR_EL2.write(ICH_HCR_EL2::En::SET);
}

/// Returns the list register of `interrupt`, if it has one.
fn find(interrupt: u32) -> Option<usize> {
    (0..LIST_REGISTERS).find(|&index| {
        let value = read_list(index);
        value & STATE != 0 && value & INTERRUPT == u64::from(interrupt)
    })
}

fn insert(value: u64) -> Room {
    let free = (0..LIST_REGISTERS).find(|&index| read_list(index) & STATE == 0);
    match free {
        Some(index) => {
            write_list(index, value);
            Room::Left
        }
        None => Room::None,
    }
}

fn entry(interrupt: u32, priority: u8) -> u64 {
    GROUP_1 | u64::from(priority) << 48 | u64::from(interrupt)
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
