//! `cargo xtask demo`.

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use axebpf_e2e::{Machine, Options, Pattern};

use crate::{
    build_image, build_programs,
    process::say,
    tools::{self, Tool},
};

/// Traces a hypervisor that runs a guest: builds everything, boots it under QEMU, and types at its shell.
///
/// Takes less than a minute once everything is built. Fails when something that it waits for does not appear.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Leave the shell to you instead.
    #[arg(long)]
    interactive: bool,
}

/// The pause between two characters that are typed.
const KEY: Duration = Duration::from_millis(25);

/// How long a reader looks at an answer.
const LOOK: Duration = Duration::from_millis(1200);

/// One command of the demonstration.
struct Scene {
    /// What it shows, told before.
    title: &'static str,
    /// How long to let the guest run before the command.
    wait: Duration,
    command: &'static str,
    /// What must be among the lines of the answer.
    expected: &'static str,
    /// What it shows, in the summary.
    proves: Option<&'static str>,
}

const fn scene(title: &'static str, command: &'static str, expected: &'static str) -> Scene {
    Scene {
        title,
        wait: Duration::ZERO,
        command,
        expected,
        proves: None,
    }
}

impl Scene {
    const fn after(self, seconds: u64) -> Self {
        Self {
            wait: Duration::from_secs(seconds),
            ..self
        }
    }

    const fn proves(self, what: &'static str) -> Self {
        Self {
            proves: Some(what),
            ..self
        }
    }
}

/// The demonstration, in order.
const SCENES: [Scene; 17] = [
    scene(
        "The hypervisor runs a VM with two vCPUs.",
        "vm list",
        "<n> * running 2 *",
    ),
    scene(
        "These tracepoints are about its vCPUs. Each costs one NOP while nobody listens.",
        "trace list vmm:vcpu_*",
        "vmm:vcpu_run_exit *",
    ),
    scene(
        "Built-in statistics need no program.",
        "trace enable vmm:vcpu_run_*",
        "enabled 2 *",
    ),
    scene(
        "How often they fired, and how long the guest ran before each exit:",
        "trace stat vmm:vcpu_run_exit --hist",
        "vmm:vcpu_run_exit <n+> *",
    )
    .after(2)
    .proves("built-in statistics of the exits of a running guest"),
    scene(
        "The latest events, as they come:",
        "trace stream --count 6",
        "*vmm:vcpu_run_e*pc=*",
    )
    .proves("events streamed to the console"),
    scene(
        "Back to a NOP each.",
        "trace disable vmm:*",
        "disabled <n+> *",
    ),
    scene(
        "An eBPF program in C counts the exits by VM, vCPU and reason.",
        "prog load exit_count --attach",
        "object <n>, exit_count: *",
    ),
    scene(
        "Its hash map, live. Reason 22 is a hypercall, 36 a data abort, 64 an interrupt.",
        "map dump exits --key u32,u32,u32",
        "<n>,<n>,<n> <n+>",
    )
    .after(2)
    .proves("exit_count (C): exits by VM, vCPU and reason in a hash map"),
    scene(
        "Two programs in Rust measure the time from each exit to the next entry.",
        "prog load exit_latency --attach",
        "object <n>, exit_latency: *",
    ),
    scene(
        "The histogram, in nanoseconds:",
        "map dump LATENCY --hist",
        "* <n+> |*#*|",
    )
    .after(2)
    .proves("exit_latency (Rust): a histogram of exit latencies"),
    scene(
        "One in Rust sends a record for each exit through a ring buffer.",
        "prog load events --attach",
        "object <n>, events: *",
    ),
    scene(
        "The time, PC, CPU, VM, vCPU and reason of each:",
        "map dump EVENTS --count 6 --value u64,x64,u32,u32,u32,u32",
        "<n+>,<x>,<n>,<n>,<n>,<n>",
    )
    .proves("events (Rust): records through a ring buffer"),
    scene(
        "What was recorded above is not wanted any more.",
        "trace buffer --clear",
        "*",
    ),
    scene(
        "And one in C prints.",
        "prog load printk --attach",
        "object <n>, printk: *",
    ),
    scene("What it prints:", "trace stream --count 6", "*hypercall *")
        .proves("printk (C): text that a program prints"),
    scene(
        "Link by link: how often each ran, missed a hit, or was stopped for an error.",
        "link list",
        "<n> *exit_count <n+> <n> 0 *vmm:vcpu_run_exit",
    ),
    scene(
        "All of it goes away again, while the guest runs on.",
        "link detach all",
        "detached link * 0 errors",
    )
    .proves("programs detached from a running hypervisor"),
];

pub(crate) fn run(args: &Args) -> Result<()> {
    tools::ensure(&Tool::RUN)?;
    say("axebpf: eBPF programs trace a hypervisor at EL2 while it runs a guest");
    tools::ensure(&Tool::PROGRAMS)?;
    build_programs::build_for_use()?;
    let image = build_image::build()?;
    if args.interactive {
        interactive(&image)
    } else {
        automatic(&image)
    }
}

fn interactive(image: &Path) -> Result<()> {
    say("booting; `help` lists the commands, `exit` ends the machine, Ctrl-A X kills it");
    let status = Options::default().qemu(image).status()?;
    if !status.success() {
        bail!("QEMU ended with {status}");
    }
    Ok(())
}

fn automatic(image: &Path) -> Result<()> {
    say("booting the hypervisor on QEMU: two CPUs at EL2, one VM with two vCPUs at EL1");
    let started = Instant::now();
    let mut machine = Machine::start(image, &Options::default())?;
    machine.show_live();
    machine.expect_boot()?;
    let mut missing = Vec::new();
    for scene in &SCENES {
        if !play(scene, &mut machine)? {
            missing.push(scene);
        }
    }
    println!();
    machine.shut_down()?;
    println!();
    summarise(&missing, started)
}

/// Types the scene's command, and tells whether what it should show appeared.
fn play(scene: &Scene, machine: &mut Machine) -> Result<bool> {
    println!("\n\n--- {}", scene.title);
    thread::sleep(scene.wait);
    machine.send(b"\r")?;
    machine.expect(axebpf_e2e::PROMPT, Duration::from_secs(10))?;
    let output = machine.typed_command(scene.command, KEY)?;
    thread::sleep(LOOK);
    let pattern = Pattern::new(scene.expected);
    Ok(output.lines().any(|line| pattern.matches(line)))
}

fn summarise(missing: &[&Scene], started: Instant) -> Result<()> {
    say(format_args!(
        "what you saw, in {} seconds:",
        started.elapsed().as_secs()
    ));
    for scene in &SCENES {
        let seen = !missing.iter().any(|lacking| std::ptr::eq(*lacking, scene));
        if let Some(what) = scene.proves {
            println!("    [{}] {what}", if seen { "ok" } else { "MISSING" });
        }
    }
    if missing.is_empty() {
        say("go on with `cargo xtask demo --interactive`, where the shell is yours");
        return Ok(());
    }
    let list: Vec<String> = missing
        .iter()
        .map(|scene| {
            format!(
                "`{}` showed no line like `{}`",
                scene.command, scene.expected
            )
        })
        .collect();
    bail!("not everything appeared:\n  {}", list.join("\n  "))
}
