//! The end of the hypervisor: last words, then power off.

use core::{
    fmt::{self, Write},
    panic::PanicInfo,
    sync::atomic::{AtomicBool, Ordering},
};

use axebpf::tracepoint::RECORDER;

use super::{percpu, power, sysreg, uart};

static DYING: AtomicBool = AtomicBool::new(false);

/// Writes to the console without waiting for anyone.
pub(crate) struct LastWords;

impl Write for LastWords {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (number, line) in text.split('\n').enumerate() {
            if number > 0 {
                uart::write_last_words(b"\r\n");
            }
            uart::write_last_words(line.as_bytes());
        }
        Ok(())
    }
}

/// Lets one CPU speak, and stops any other that comes here, so that the last words are readable.
pub(crate) fn begin() {
    sysreg::mask_interrupts();
    if DYING.swap(true, Ordering::AcqRel) {
        loop {
            sysreg::wait_for_interrupt();
        }
    }
}

/// Writes what the event buffer holds: what happened last.
pub(crate) fn dump_events() {
    let _ = RECORDER.dump(&mut LastWords);
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    begin();
    let _ = writeln!(
        LastWords,
        "\nhypervisor panic on cpu {}: {info}",
        percpu::id()
    );
    dump_events();
    power::off()
}
