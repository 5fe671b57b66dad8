//! The emulated device of a VM: registers that read back inverted, and a doorbell that raises an interrupt.

use core::ops::Range;

/// Where the device lies in guest-physical memory.
pub(crate) const WINDOW: Range<u64> = 0x0a00_0000..0x0a00_1000;
/// The interrupt that the doorbell raises.
pub(crate) const INTERRUPT: u32 = 42;

const ID: u64 = 0x00;
const DOORBELL: u64 = 0x10;
const ACKNOWLEDGE: u64 = 0x18;
/// The first data register: there is one for each vCPU.
const DATA: u64 = 0x100;
const DATA_REGISTERS: usize = 8;

/// What `ID` reads as: "AXDV".
const MAGIC: u64 = 0x5644_5841;

/// What a write to the device asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    None,
    /// An interrupt to the vCPU that wrote.
    Interrupt,
}

/// The state of the device.
#[derive(Debug, Default)]
pub(crate) struct Device {
    data: [u64; DATA_REGISTERS],
    rung: u64,
    acknowledged: u64,
}

impl Device {
    /// Returns what the register at `offset` reads as. Unknown registers read as zero.
    pub(crate) fn read(&self, offset: u64) -> u64 {
        match offset {
            ID => MAGIC,
            DOORBELL => self.rung,
            ACKNOWLEDGE => self.acknowledged,
            _ => data_register(offset).map_or(0, |index| !self.data[index]),
        }
    }

    /// Writes `value` to the register at `offset`. Unknown registers ignore it.
    pub(crate) fn write(&mut self, offset: u64, value: u64) -> Effect {
        match offset {
            DOORBELL => {
                self.rung += 1;
                return Effect::Interrupt;
            }
            ACKNOWLEDGE => self.acknowledged += 1,
            _ => {
                if let Some(index) = data_register(offset) {
                    self.data[index] = value;
                }
            }
        }
        Effect::None
    }
}

/// Returns which data register lies at `offset`.
fn data_register(offset: u64) -> Option<usize> {
    let index = (offset.checked_sub(DATA)? / 8) as usize;
    (index < DATA_REGISTERS).then_some(index)
}
