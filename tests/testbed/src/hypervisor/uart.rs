//! The console's PL011: output by polling, input by its interrupt.

use core::ptr::NonNull;

use arm_gic::IntId;
use arm_pl011_uart::{Interrupts, PL011Registers, Uart, UniqueMmioPointer};

use super::lock::Lock;

/// The UART's interrupt on QEMU virt.
pub(crate) const INTERRUPT: IntId = IntId::spi(1);

/// The interrupts of the receiver: enough has come, or something and then nothing for a while.
const RECEIVED: Interrupts = Interrupts::RXI.union(Interrupts::RTI);

const BASE: *mut PL011Registers = 0x0900_0000 as *mut PL011Registers;

static UART: Lock<Option<Uart<'static>>> = Lock::new(None);
static INPUT: Lock<Input> = Lock::new(Input {
    bytes: [0; 1024],
    head: 0,
    len: 0,
});

/// What was typed and not read yet.
struct Input {
    bytes: [u8; 1024],
    head: usize,
    len: usize,
}

impl Input {
    fn is_full(&self) -> bool {
        self.len == self.bytes.len()
    }

    fn push(&mut self, byte: u8) {
        if !self.is_full() {
            let at = (self.head + self.len) % self.bytes.len();
            self.bytes[at] = byte;
            self.len += 1;
        }
    }

    fn pop(&mut self) -> Option<u8> {
        if self.len == 0 {
            return None;
        }
        let byte = self.bytes[self.head];
        self.head = (self.head + 1) % self.bytes.len();
        self.len -= 1;
        Some(byte)
    }
}

/// Takes the UART, which QEMU has already enabled.
pub(crate) fn init() {
    let base = NonNull::new(BASE).expect("the UART does not lie at address 0");
    // SAFETY: the registers are mapped as Device memory, and only this module uses them.
    let registers = unsafe { UniqueMmioPointer::new(base) };
    *UART.lock() = Some(Uart::new(registers));
}

/// Lets the UART interrupt when it has received something.
pub(crate) fn enable_input() {
    if let Some(uart) = UART.lock().as_mut() {
        uart.set_interrupt_masks(RECEIVED);
    }
}

/// Writes `bytes` as they are.
pub(crate) fn write(bytes: &[u8]) {
    if let Some(uart) = UART.lock().as_mut() {
        write_to(uart, bytes);
    }
}

/// Writes `bytes` even if another CPU was stopped in the middle of a write.
pub(crate) fn write_last_words(bytes: &[u8]) {
    if let Some(mut uart) = UART.try_lock() {
        if let Some(uart) = uart.as_mut() {
            write_to(uart, bytes);
        }
        return;
    }
    let base = NonNull::new(BASE).expect("the UART does not lie at address 0");
    // SAFETY: as in `init`; the owner of the lock does not run any more, or the machine is about to be powered off.
    let registers = unsafe { UniqueMmioPointer::new(base) };
    write_to(&mut Uart::new(registers), bytes);
}

fn write_to(uart: &mut Uart<'_>, bytes: &[u8]) {
    for &byte in bytes {
        while uart.is_tx_fifo_full() {
            core::hint::spin_loop();
        }
        uart.write_word(byte);
    }
}

/// Handles the UART's interrupt: takes what was received.
pub(crate) fn handle_interrupt() {
    let mut input = INPUT.lock();
    if let Some(uart) = UART.lock().as_mut() {
        // First, because what comes after the last look below has to interrupt again.
        uart.clear_interrupts(RECEIVED);
        // A byte with a framing error is dropped like one that never came.
        while !input.is_full() && !uart.is_rx_fifo_empty() {
            if let Ok(Some(byte)) = uart.read_word() {
                input.push(byte);
            }
        }
        // What does not fit waits in the UART, and the sender for the UART, until `read` takes it.
        let masks = if input.is_full() {
            Interrupts::empty()
        } else {
            RECEIVED
        };
        uart.set_interrupt_masks(masks);
    }
}

/// Returns the next byte that was typed.
pub(crate) fn read() -> Option<u8> {
    let mut input = INPUT.lock();
    let was_full = input.is_full();
    let byte = input.pop();
    drop(input);
    if was_full {
        handle_interrupt();
    }
    byte
}

/// Tells whether something was typed that nobody has read.
pub(crate) fn has_input() -> bool {
    INPUT.lock().len > 0
}
