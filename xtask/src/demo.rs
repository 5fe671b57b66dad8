//! `cargo xtask demo`.

mod hprobe;
mod linux;
mod tracepoints;

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Result, bail};
use axebpf_e2e::{Machine, Options, Pattern};

use crate::{
    build_image, build_programs, linux as debian,
    process::say,
    tools::{self, Tool},
};

/// Traces a hypervisor that runs a guest: builds everything, boots it under QEMU, and types at its shell.
///
/// Takes less than a minute once everything is built. Fails when something that it waits for does not appear.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to show.
    #[arg(value_enum, default_value_t = Topic::Tracepoints)]
    topic: Topic,
    /// Leave the shell to you instead.
    #[arg(long)]
    interactive: bool,
}

/// What there is to show.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Topic {
    /// Programs at the static points of the hypervisor.
    Tracepoints,
    /// Programs at its functions.
    Hprobe,
    /// Programs at the functions of Debian's kernel, which runs as its guest.
    Linux,
}

impl Topic {
    fn demo(self) -> Demo {
        match self {
            Self::Tracepoints => tracepoints::DEMO,
            Self::Hprobe => hprobe::DEMO,
            Self::Linux => linux::DEMO,
        }
    }

    /// Returns the machine on which it is shown.
    fn machine(self) -> Result<Options> {
        match self {
            Self::Tracepoints | Self::Hprobe => Ok(Options::default()),
            Self::Linux => debian::at_its_shell(),
        }
    }
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
    /// What must be among the lines of the answer; nothing if there need be none.
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

/// A demonstration.
struct Demo {
    title: &'static str,
    /// What is shown, in order.
    scenes: &'static [Scene],
}

pub(crate) fn run(args: &Args) -> Result<()> {
    tools::ensure(&Tool::RUN)?;
    let demo = args.topic.demo();
    say(demo.title);
    tools::ensure(&Tool::PROGRAMS)?;
    build_programs::build_for_use()?;
    let options = args.topic.machine()?;
    let image = build_image::build()?;
    if args.interactive {
        interactive(&image, &options)
    } else {
        automatic(&image, &demo, &options)
    }
}

fn interactive(image: &Path, options: &Options) -> Result<()> {
    say("booting; `help` lists the commands, `exit` ends the machine, Ctrl-A X kills it");
    let status = options.qemu(image).status()?;
    if !status.success() {
        bail!("QEMU ended with {status}");
    }
    Ok(())
}

fn automatic(image: &Path, demo: &Demo, options: &Options) -> Result<()> {
    say("booting the hypervisor on QEMU: two CPUs at EL2, one VM with two vCPUs at EL1");
    let started = Instant::now();
    let mut machine = Machine::start(image, options)?;
    machine.show_live();
    machine.expect_boot()?;
    if options.payload.is_some() {
        machine.expect(debian::SHELL, options.timeout)?;
    }
    let mut missing = Vec::new();
    for scene in demo.scenes {
        if !play(scene, &mut machine)? {
            missing.push(scene);
        }
    }
    println!();
    machine.shut_down()?;
    println!();
    summarise(demo, &missing, started)
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
    // What a guest is made to do shows later.
    let is_unseen = scene.expected.is_empty();
    Ok(is_unseen || output.lines().any(|line| pattern.matches(line)))
}

fn summarise(demo: &Demo, missing: &[&Scene], started: Instant) -> Result<()> {
    say(format_args!(
        "what you saw, in {} seconds:",
        started.elapsed().as_secs()
    ));
    for scene in demo.scenes {
        let seen = !missing.iter().any(|lacking| std::ptr::eq(*lacking, scene));
        if let Some(what) = scene.proves {
            println!("    [{}] {what}", if seen { "ok" } else { "MISSING" });
        }
    }
    if missing.is_empty() {
        say("go on with `--interactive`, where the shell is yours");
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
