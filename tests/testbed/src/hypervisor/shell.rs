//! The shell on the console: axebpf's commands, and a few of the testbed's own.

use alloc::{boxed::Box, sync::Arc};
use core::fmt::Write;

use axebpf::{
    platform::{CpuId, HostVirt, ReadMemory},
    programs::EmbeddedObjects,
    shell::{Io, Outcome, Shell},
    tracepoint::{shell, trace},
};

use super::{
    bench,
    console::{Console, println},
    hprobe_commands, hprobe_sweep, image, line,
    platform::PLATFORM,
    power, sched, stress, stress_hprobe,
    task::Task,
    timer, tracing, uart, vm_commands,
};

/// The testbed's own commands, with what they do.
const OWN: [(&str, &str); 9] = [
    ("vm", vm_commands::USAGE),
    ("sched", "lists the tasks of each CPU"),
    (
        "bench",
        "counts the instructions that a tracepoint costs (QEMU: -icount shift=0)",
    ),
    (
        "stress",
        "[hprobe] SECONDS: attaches, detaches and fires on two CPUs at once",
    ),
    (
        "hprobe-try",
        "GLOB: counts the hits of probes on functions for a moment",
    ),
    (
        "hprobe-sweep",
        "[instructions|returns]: probes all functions, one after the other and then all at once",
    ),
    (
        "peek",
        "ADDRESS: reads 8 bytes of the hypervisor, as programs do",
    ),
    (
        "panic",
        "[fault]: panics, or writes to text, to show what a crash leaves",
    ),
    ("exit", "switches the machine off"),
];

/// Starts the shell as a task of the first CPU.
pub(crate) fn start() {
    let task = Task::new("shell".into(), CpuId::new(0), None, Box::new(run));
    match task {
        Some(task) => sched::spawn_console(Arc::new(task)),
        None => println!("no memory left for the shell"),
    }
}

fn run() {
    let Some(axebpf) = tracing::axebpf() else {
        return;
    };
    let mut shell = Shell::new(axebpf, &EmbeddedObjects);
    if let Some(symbols) = tracing::symbols() {
        shell = shell.with_symbols(symbols);
    }
    let commands = Shell::commands().count() + OWN.len();
    trace!(shell::shell_init {
        commands: commands as u32
    });
    loop {
        // The console cannot fail.
        let _ = write!(Console::new(), "axebpf> ");
        let line = line::read();
        if !line.trim().is_empty() {
            execute(&shell, line.trim());
        }
    }
}

fn execute(shell: &Shell<'_>, line: &str) {
    /// What a failed command returns: Linux's EINVAL.
    const FAILED: i32 = -22;
    let start = timer::now_ns();
    let succeeded = dispatch(shell, line);
    trace!(shell::shell_command {
        result: if succeeded { 0 } else { FAILED },
        line,
        duration_ns: timer::now_ns().saturating_sub(start),
    });
}

/// Runs one line and tells whether it succeeded.
fn dispatch(shell: &Shell<'_>, line: &str) -> bool {
    let mut words = line.split_whitespace();
    match words.next() {
        Some("vm") if words.clone().next() != Some("syms") => vm_commands::run(words),
        Some("sched") => {
            sched::print();
            true
        }
        Some("bench") => bench::run()
            .map_err(|error| println!("error: {error}"))
            .is_ok(),
        Some("stress") => stress(words),
        Some("hprobe-try") => {
            // Names have spaces in them.
            hprobe_commands::try_glob(line.trim_start_matches("hprobe-try").trim())
        }
        Some("hprobe-sweep") => sweep(words.next()),
        Some("peek") => peek(words.next()),
        Some("panic") => crash(words.next()),
        Some("exit") => power::off(),
        first => {
            let done = shell.run_line(&mut ConsoleIo(Console::new()), line) == Outcome::Done;
            if first == Some("help") && words.next().is_none() {
                help();
            }
            done
        }
    }
}

/// Probes all functions, or what `what` says of them.
fn sweep(what: Option<&str>) -> bool {
    match what {
        Some("instructions") => hprobe_sweep::instructions(),
        Some("returns") => hprobe_sweep::returns(),
        _ => hprobe_commands::sweep(),
    }
}

/// Runs the stress that the words name, for as long as they say.
fn stress<'w>(words: impl Iterator<Item = &'w str>) -> bool {
    let mut words = words.peekable();
    let run = match words.next_if_eq(&"hprobe") {
        Some(_) => stress_hprobe::run,
        None => stress::run,
    };
    run(words.next().and_then(|word| word.parse().ok()).unwrap_or(5))
}

/// Ends the hypervisor as a bug would.
fn crash(how: Option<&str>) -> ! {
    if how == Some("fault") {
        let text = image::text().start as *mut u32;
        // SAFETY: the text is mapped, aligned and read-only, so the store faults and changes nothing.
        unsafe { text.write_volatile(0) };
    }
    panic!("the operator asked for it")
}

/// Reads memory that may not be there, and tells whether it was.
fn peek(address: Option<&str>) -> bool {
    let address = address.map(|text| text.trim_start_matches("0x"));
    let Some(address) = address.and_then(|text| u64::from_str_radix(text, 16).ok()) else {
        println!("usage: peek ADDRESS (hexadecimal)");
        return false;
    };
    let mut bytes = [0; 8];
    let read = PLATFORM.read_memory(HostVirt::new(address), &mut bytes);
    match read {
        Ok(()) => println!("{address:#x}: {:#018x}", u64::from_le_bytes(bytes)),
        Err(fault) => println!("error: {fault}"),
    }
    read.is_ok()
}

fn help() {
    println!();
    for (name, what) in OWN {
        println!("{name:<16}{what}");
    }
}

/// The console, as axebpf's shell sees it.
struct ConsoleIo(Console);

impl Io for ConsoleIo {
    fn write(&mut self, text: &str) {
        self.0.write(text.as_bytes());
    }

    fn interrupted(&mut self) -> bool {
        const CONTROL_C: u8 = 3;
        core::iter::from_fn(uart::read).any(|byte| byte == CONTROL_C)
    }

    fn read(&mut self) -> Option<u8> {
        // Who is about to answer a question has to see it.
        self.0.flush();
        uart::read()
    }

    fn idle(&mut self) {
        self.0.flush();
        sched::sleep(1_000_000);
    }
}
