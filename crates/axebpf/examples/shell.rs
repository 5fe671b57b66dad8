//! The shell of axebpf on the terminal, with the mock platform below and nothing that fires but
//! `fire`.
//!
//! `cargo run -p axebpf --example shell --features precompiled-ebpf`, then `help`; `fire N` passes
//! N tracepoints.

use std::io::{BufRead, Write};

use axebpf::platform::mock::{MOCK, advance_mock_time};
use axebpf::programs::EmbeddedObjects;
use axebpf::shell::{Io, Outcome, Shell};
use axebpf::tracepoint::{trace, vmm};
use axebpf::{Axebpf, Error};

/// The terminal. What is typed is read line by line, so nothing can interrupt: streams end with
/// `--for` or `--count`.
struct Terminal;

impl Io for Terminal {
    fn write(&mut self, text: &str) {
        print!("{text}");
    }

    fn interrupted(&mut self) -> bool {
        false
    }

    fn idle(&mut self) {
        advance_mock_time(1_000_000);
    }
}

/// Lets a virtual CPU leave and enter its guest `count` times.
fn fire(count: u64) {
    for round in 0..count {
        let (vm_id, vcpu_id) = (1, (round % 2) as u32);
        let reason = if round % 3 == 0 { 36 } else { 22 };
        advance_mock_time(50_000);
        let (esr, far, gpa) = (u64::from(reason) << 26, 0, 0);
        trace!(vmm::vcpu_run_exit {
            vm_id,
            vcpu_id,
            reason,
            pc: 0x4008_0000,
            esr,
            far,
            gpa
        });
        advance_mock_time(700 * (round % 17));
        trace!(vmm::vcpu_run_enter {
            vm_id,
            vcpu_id,
            pc: 0x4008_0000
        });
    }
}

fn main() -> Result<(), Error> {
    let root = Axebpf::new(&MOCK)?;
    let shell = Shell::new(&root, &EmbeddedObjects);
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        match line.strip_prefix("fire ").map(str::parse) {
            Some(Ok(count)) => fire(count),
            Some(Err(error)) => println!("error: {error}"),
            None => {
                if shell.run_line(&mut Terminal, &line) == Outcome::Failed {
                    println!("(failed)");
                }
            }
        }
        let _ = std::io::stdout().flush();
    }
    Ok(())
}
