//! The emulated PL011 of a VM (ARM DDI 0183): its guest's console.
//!
//! What is sent goes out at once, so that the transmitter is always ready.

use alloc::collections::VecDeque;
use core::ops::Range;

use super::distributor::Line;

/// Where the UART lies in guest-physical memory.
pub(crate) const WINDOW: Range<u64> = 0x0900_0000..0x0900_1000;
/// The UART's interrupt.
pub(crate) const INTERRUPT: u32 = 33;

/// How much can wait to be received; what comes then is lost, as on a line without flow control.
const RECEIVE_CAPACITY: usize = 4096;

const DATA: u64 = 0x000;
const FLAGS: u64 = 0x018;
const CONTROL: u64 = 0x030;
const MASK: u64 = 0x038;
const RAW_STATUS: u64 = 0x03c;
const MASKED_STATUS: u64 = 0x040;
const CLEAR: u64 = 0x044;
const IDENTIFICATION: Range<u64> = 0xfe0..0x1000;

const RECEIVED: u32 = 1 << 4;
const SENT: u32 = 1 << 5;
const RECEIVE_TIMEOUT: u32 = 1 << 6;

/// The state of the UART.
#[derive(Debug, Default)]
pub(crate) struct Pl011 {
    received: VecDeque<u8>,
    mask: u32,
    /// Whether something was sent since the guest last cleared that interrupt.
    sent: bool,
    /// Registers without an effect on this side of the line: they read back as written.
    settings: [u32; 6],
    control: u32,
}

/// What a write to the UART asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// Nothing.
    None,
    /// To send a byte.
    Send(u8),
}

impl Pl011 {
    /// Forgets everything.
    pub(crate) fn reset(&mut self) {
        *self = Self::default();
    }

    /// Puts what somebody typed where the guest reads it.
    pub(crate) fn receive(&mut self, bytes: &[u8]) {
        let room = RECEIVE_CAPACITY - self.received.len();
        self.received.extend(bytes.iter().take(room));
    }

    /// Returns what the interrupt line is.
    pub(crate) fn line(&self) -> Line {
        if self.raw_status() & self.mask != 0 {
            Line::Asserted
        } else {
            Line::Released
        }
    }

    fn raw_status(&self) -> u32 {
        let received = if self.received.is_empty() {
            0
        } else {
            RECEIVED | RECEIVE_TIMEOUT
        };
        received | if self.sent { SENT } else { 0 }
    }

    /// Returns what the register at `offset` reads as.
    pub(crate) fn read(&mut self, offset: u64) -> u64 {
        const RECEIVE_EMPTY: u32 = 1 << 4;
        const SEND_EMPTY: u32 = 1 << 7;
        // ARM's part number 0x011, and the PrimeCell's.
        const IDS: [u8; 8] = [0x11, 0x10, 0x14, 0x00, 0x0d, 0xf0, 0x05, 0xb1];
        let word = match offset {
            DATA => self.received.pop_front().unwrap_or(0).into(),
            FLAGS if self.received.is_empty() => SEND_EMPTY | RECEIVE_EMPTY,
            FLAGS => SEND_EMPTY,
            CONTROL => self.control,
            MASK => self.mask,
            RAW_STATUS => self.raw_status(),
            MASKED_STATUS => self.raw_status() & self.mask,
            _ if IDENTIFICATION.contains(&offset) => {
                IDS[((offset - IDENTIFICATION.start) / 4) as usize].into()
            }
            _ => setting(offset).map_or(0, |index| self.settings[index]),
        };
        word.into()
    }

    /// Writes `value` to the register at `offset`.
    pub(crate) fn write(&mut self, offset: u64, value: u64) -> Effect {
        let word = value as u32;
        match offset {
            DATA => {
                self.sent = true;
                return Effect::Send(value as u8);
            }
            CONTROL => self.control = word,
            MASK => self.mask = word,
            CLEAR if word & SENT != 0 => self.sent = false,
            _ => {
                if let Some(index) = setting(offset) {
                    self.settings[index] = word;
                }
            }
        }
        Effect::None
    }
}

/// Returns which of the registers without effect lies at `offset`: the low-power counter, the divisors, the line
/// control, the levels of the FIFOs and the DMA control.
fn setting(offset: u64) -> Option<usize> {
    const SETTINGS: [u64; 6] = [0x020, 0x024, 0x028, 0x02c, 0x034, 0x048];
    SETTINGS.iter().position(|&at| at == offset)
}
