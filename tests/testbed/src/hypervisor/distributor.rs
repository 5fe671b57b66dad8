//! The distributor of a VM's interrupt controller: its shared peripheral interrupts (ARM IHI 0069, GICD registers).
//!
//! There are as many as one register of 32 bits describes, numbers 32 to 63, all of group 1.

use core::{
    ops::Range,
    sync::atomic::{AtomicU8, AtomicU32, Ordering},
};

use super::mmio::Access;

/// Where the distributor lies in guest-physical memory.
pub(crate) const WINDOW: Range<u64> = 0x0800_0000..0x0801_0000;
/// The first shared peripheral interrupt.
pub(crate) const FIRST_SHARED: u32 = 32;
/// The architecture revision that `PIDR2` of each part names: GICv3.
pub(crate) const PIDR2: u64 = 0x3b;
/// Where `PIDR2` lies in the first frame of each part.
pub(crate) const PIDR2_AT: u64 = 0xffe8;

/// What becomes of the interrupts of a VM before its guest says anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AtReset {
    /// All are enabled, for guests that know of no distributor.
    Enabled,
    /// All are disabled, as the architecture has it.
    Disabled,
}

impl AtReset {
    /// Returns the enable bits of 32 interrupts.
    pub(crate) fn bits(self) -> u32 {
        match self {
            Self::Enabled => u32::MAX,
            Self::Disabled => 0,
        }
    }
}

/// The state of the shared peripheral interrupts.
pub(crate) struct Distributor {
    at_reset: AtReset,
    control: AtomicU32,
    enabled: AtomicU32,
    /// The lines that devices hold, one bit each.
    asserted: AtomicU32,
    priorities: Priorities,
    /// The vCPU that each is for.
    routes: [AtomicU8; 32],
    triggers: [AtomicU32; 2],
}

/// The priorities of 32 interrupts, a byte each.
pub(crate) struct Priorities([AtomicU8; 32]);

impl Priorities {
    /// Makes them all the middle one.
    pub(crate) fn new() -> Self {
        Self([const { AtomicU8::new(0x80) }; 32])
    }

    /// Returns the priority of interrupt `index`.
    pub(crate) fn get(&self, index: usize) -> u8 {
        self.0[index % 32].load(Ordering::Relaxed)
    }

    /// Reads `size` bytes from `offset`.
    pub(crate) fn read(&self, offset: u64, size: u32) -> u64 {
        let bytes = (0..u64::from(size)).map(|byte| u64::from(self.get((offset + byte) as usize)));
        bytes.rev().fold(0, |value, byte| value << 8 | byte)
    }

    /// Writes `size` bytes of `value` to `offset`.
    pub(crate) fn write(&self, offset: u64, size: u32, value: u64) {
        for byte in 0..u64::from(size) {
            let priority = &self.0[(offset + byte) as usize % 32];
            priority.store((value >> (8 * byte)) as u8, Ordering::Relaxed);
        }
    }
}

/// What a write to the distributor asks for beside the change of its registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    None,
    /// What is enabled, or for whom, has changed: vCPUs have to look again.
    Changed,
    /// These interrupts become pending, bit 0 being the first shared one.
    Pending(u32),
    /// These interrupts are pending no more.
    NotPending(u32),
}

impl Distributor {
    /// Makes a distributor.
    pub(crate) fn new(at_reset: AtReset) -> Self {
        let distributor = Self {
            at_reset,
            control: AtomicU32::new(0),
            enabled: AtomicU32::new(0),
            asserted: AtomicU32::new(0),
            priorities: Priorities::new(),
            routes: [const { AtomicU8::new(0) }; 32],
            triggers: [const { AtomicU32::new(0) }; 2],
        };
        distributor.reset();
        distributor
    }

    /// Returns what becomes of interrupts before the guest says anything.
    pub(crate) fn at_reset(&self) -> AtReset {
        self.at_reset
    }

    /// Does what the VM's reset does to the distributor.
    pub(crate) fn reset(&self) {
        self.control.store(0, Ordering::Relaxed);
        self.enabled.store(self.at_reset.bits(), Ordering::Relaxed);
        self.asserted.store(0, Ordering::Relaxed);
        for route in &self.routes {
            route.store(0, Ordering::Relaxed);
        }
    }

    /// Returns which shared interrupts are enabled, one bit each.
    pub(crate) fn enabled(&self) -> u32 {
        self.enabled.load(Ordering::Acquire)
    }

    /// Returns what the priority of interrupt `number` is.
    pub(crate) fn priority(&self, number: u32) -> u8 {
        self.priorities.get((number % FIRST_SHARED) as usize)
    }

    /// Returns which vCPU interrupt `number` is for.
    pub(crate) fn route(&self, number: u32) -> u32 {
        self.routes[(number % FIRST_SHARED) as usize]
            .load(Ordering::Relaxed)
            .into()
    }

    /// Says whether a device holds the line of interrupt `number`. Tells whether this is news.
    pub(crate) fn set_line(&self, number: u32, line: Line) -> bool {
        let bit = 1 << (number % FIRST_SHARED);
        let before = match line {
            Line::Asserted => self.asserted.fetch_or(bit, Ordering::AcqRel),
            Line::Released => self.asserted.fetch_and(!bit, Ordering::AcqRel),
        };
        (before & bit != 0) != (line == Line::Asserted)
    }

    /// Returns the asserted and enabled lines that are for `vcpu`, one bit each.
    pub(crate) fn asserted_for(&self, vcpu: u32) -> u32 {
        let asserted = self.asserted.load(Ordering::Acquire) & self.enabled();
        let mut mine = 0;
        let mut left = asserted;
        while left != 0 {
            let number = left.trailing_zeros();
            if self.route(FIRST_SHARED + number) == vcpu {
                mine |= 1 << number;
            }
            left &= left - 1;
        }
        mine
    }

    /// Returns what the register at `offset` reads as.
    pub(crate) fn read(&self, offset: u64, access: Access) -> u64 {
        // Two interrupts' worth of lines, ten bits of interrupt number, affinity of one level.
        const TYPER: u64 = 9 << 19 | 1;
        const IIDR: u64 = 0x43b;
        const CONTROL_FIXED: u32 = 1 << 6 | 1 << 4;
        let word: u32 = match offset {
            0x0000 => self.control.load(Ordering::Relaxed) | CONTROL_FIXED,
            0x0004 => return TYPER,
            0x0008 => return IIDR,
            0x0084 => u32::MAX,
            0x0104 | 0x0184 => self.enabled(),
            0x0204 | 0x0284 => self.asserted.load(Ordering::Relaxed),
            0x0420..0x0440 => return self.priorities.read(offset - 0x420, access.size),
            0x0c08 | 0x0c0c => self.triggers[(offset as usize - 0xc08) / 4].load(Ordering::Relaxed),
            0x6100..0x6200 if offset.is_multiple_of(8) => {
                self.route(FIRST_SHARED + (offset - 0x6100) as u32 / 8)
            }
            PIDR2_AT => return PIDR2,
            _ => 0,
        };
        word.into()
    }

    /// Writes `value` to the register at `offset`.
    pub(crate) fn write(&self, offset: u64, access: Access, value: u64) -> Effect {
        const GROUPS: u32 = 3;
        let word = value as u32;
        match offset {
            0x0000 => self.control.store(word & GROUPS, Ordering::Relaxed),
            0x0104 => {
                self.enabled.fetch_or(word, Ordering::AcqRel);
                return Effect::Changed;
            }
            0x0184 => {
                self.enabled.fetch_and(!word, Ordering::AcqRel);
                return Effect::Changed;
            }
            0x0204 => return Effect::Pending(word),
            0x0284 => return Effect::NotPending(word),
            0x0420..0x0440 => self.priorities.write(offset - 0x420, access.size, value),
            0x0c08 | 0x0c0c => {
                self.triggers[(offset as usize - 0xc08) / 4].store(word, Ordering::Relaxed);
            }
            0x6100..0x6200 if offset.is_multiple_of(8) => {
                let index = (offset - 0x6100) as usize / 8;
                self.routes[index].store(word as u8, Ordering::Relaxed);
                return Effect::Changed;
            }
            _ => {}
        }
        Effect::None
    }
}

/// Whether a device holds its interrupt line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Line {
    /// It wants attention.
    Asserted,
    /// It does not.
    Released,
}
