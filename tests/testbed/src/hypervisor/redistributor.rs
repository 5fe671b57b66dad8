//! The redistributor of a vCPU: its private interrupts (ARM IHI 0069, GICR registers), and all that are pending for it.

use core::{
    ops::Range,
    sync::atomic::{AtomicU32, AtomicU64, Ordering},
};

use super::{
    distributor::{AtReset, PIDR2, PIDR2_AT, Priorities},
    mmio::Access,
};

/// Where the redistributor of vCPU 0 lies in guest-physical memory; the others follow.
const BASE: u64 = 0x080a_0000;
/// Bytes of a redistributor: two frames of 64 KiB.
const SIZE: u64 = 0x2_0000;
/// Returns where the redistributors of so many vCPUs lie.
pub(crate) fn window(vcpus: usize) -> Range<u64> {
    BASE..BASE + SIZE * vcpus as u64
}

/// Returns which vCPU's redistributor lies at `at`, and the offset in there.
pub(crate) fn locate(at: u64) -> (u64, u64) {
    ((at - BASE) / SIZE, (at - BASE) % SIZE)
}

/// The place of a redistributor among the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The vCPU's number, which also is its affinity.
    pub(crate) vcpu: u32,
    /// How many vCPUs there are.
    pub(crate) count: usize,
}

/// The interrupts of a vCPU.
pub(crate) struct Redistributor {
    at_reset: AtReset,
    /// What is pending and not in a list register yet, one bit each, shared interrupts included.
    pending: AtomicU64,
    /// Which private interrupts are enabled.
    enabled: AtomicU32,
    waker: AtomicU32,
    triggers: AtomicU32,
    priorities: Priorities,
}

impl Redistributor {
    /// Makes a redistributor.
    pub(crate) fn new(at_reset: AtReset) -> Self {
        let redistributor = Self {
            at_reset,
            pending: AtomicU64::new(0),
            enabled: AtomicU32::new(0),
            waker: AtomicU32::new(0),
            triggers: AtomicU32::new(0),
            priorities: Priorities::new(),
        };
        redistributor.reset();
        redistributor
    }

    /// Does what the vCPU's first start does to the redistributor.
    pub(crate) fn reset(&self) {
        const ASLEEP: u32 = 2;
        self.pending.store(0, Ordering::Release);
        self.enabled.store(self.at_reset.bits(), Ordering::Relaxed);
        self.waker.store(ASLEEP, Ordering::Relaxed);
    }

    /// Returns which private interrupts are enabled, one bit each.
    pub(crate) fn enabled(&self) -> u32 {
        self.enabled.load(Ordering::Acquire)
    }

    /// Returns what the priority of the private interrupt `number` is.
    pub(crate) fn priority(&self, number: u32) -> u8 {
        self.priorities.get(number as usize)
    }

    /// Returns what is pending, one bit each.
    pub(crate) fn pending(&self) -> u64 {
        self.pending.load(Ordering::Acquire)
    }

    /// Makes the interrupts of `bits` pending.
    pub(crate) fn set_pending(&self, bits: u64) {
        self.pending.fetch_or(bits, Ordering::AcqRel);
    }

    /// Makes the interrupts of `bits` not pending, and returns which of them were.
    pub(crate) fn take_pending(&self, bits: u64) -> u64 {
        self.pending.fetch_and(!bits, Ordering::AcqRel) & bits
    }

    /// Returns what the register at `offset` reads as.
    pub(crate) fn read(&self, offset: u64, access: Access, place: Place) -> u64 {
        const IIDR: u64 = 0x43b;
        // Bit 2 follows bit 1: who is to sleep sleeps, and who is not does not.
        const ASLEEP: u32 = 2;
        match offset {
            0x0004 => IIDR,
            0x0008 => typer(place) & mask(access.size),
            0x000c => typer(place) >> 32,
            0x0014 => {
                let sleep = self.waker.load(Ordering::Relaxed) & ASLEEP;
                u64::from(sleep | sleep << 1)
            }
            PIDR2_AT => PIDR2,
            0x1_0080 => u32::MAX.into(),
            0x1_0100 | 0x1_0180 => self.enabled().into(),
            0x1_0200 | 0x1_0280 => self.pending() & 0xffff_ffff,
            0x1_0400..0x1_0420 => self.priorities.read(offset - 0x1_0400, access.size),
            // Software-generated interrupts are edge-triggered.
            0x1_0c00 => 0xaaaa_aaaa,
            0x1_0c04 => self.triggers.load(Ordering::Relaxed).into(),
            _ => 0,
        }
    }

    /// Writes `value` to the register at `offset`. Tells whether the vCPU has to look for interrupts again.
    pub(crate) fn write(&self, offset: u64, access: Access, value: u64) -> bool {
        let word = value as u32;
        match offset {
            0x0014 => self.waker.store(word, Ordering::Relaxed),
            0x1_0100 => {
                self.enabled.fetch_or(word, Ordering::AcqRel);
                return true;
            }
            0x1_0180 => {
                self.enabled.fetch_and(!word, Ordering::AcqRel);
            }
            0x1_0200 => {
                self.set_pending(word.into());
                return true;
            }
            0x1_0280 => {
                self.take_pending(word.into());
            }
            0x1_0400..0x1_0420 => self.priorities.write(offset - 0x1_0400, access.size, value),
            0x1_0c04 => self.triggers.store(word, Ordering::Relaxed),
            _ => {}
        }
        false
    }
}

fn typer(place: Place) -> u64 {
    const LAST: u64 = 1 << 4;
    let last = if place.vcpu as usize + 1 == place.count {
        LAST
    } else {
        0
    };
    u64::from(place.vcpu) << 32 | u64::from(place.vcpu) << 8 | last
}

fn mask(size: u32) -> u64 {
    if size >= 8 {
        u64::MAX
    } else {
        (1 << (size * 8)) - 1
    }
}
