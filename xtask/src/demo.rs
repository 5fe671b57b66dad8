//! `cargo xtask demo`.

mod hprobe;
mod linux;
mod tracepoints;

use std::{
    path::Path,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use axebpf_e2e::{Machine, Options, Pattern};

use crate::{
    build_image, build_programs,
    linux::{self as debian, Given},
    process::say,
    tools::{self, Tool},
};

/// Traces a hypervisor that runs a guest: builds everything, boots it under QEMU, and types at its shell.
///
/// Takes about a minute once everything is built. Fails when something that it waits for does not appear.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to show.
    #[arg(value_enum, default_value_t = Topic::Tracepoints)]
    topic: Topic,
    /// Leave the shell to you instead.
    #[arg(long)]
    interactive: bool,
    #[command(flatten)]
    given: Given,
}

/// What there is to show.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Topic {
    /// Programs at the static points of the hypervisor.
    Tracepoints,
    /// Programs at its functions.
    Hprobe,
    /// Programs at the functions of Debian's kernel, or of the one that `--kernel` gives, which runs as its guest.
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
    fn machine(self, given: &Given) -> Result<Options> {
        match self {
            Self::Linux => debian::at_its_shell(given),
            Self::Tracepoints | Self::Hprobe => {
                ensure!(
                    given.is_empty(),
                    "`--kernel` and `--initrd` are for `cargo xtask demo linux`: the guest of the others is built in"
                );
                Ok(Options::default())
            }
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
    // What is wrong with a file is told before anything is built.
    let options = args.topic.machine(&args.given)?;
    tools::ensure(&Tool::PROGRAMS)?;
    build_programs::build_for_use()?;
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
        await_shell(&mut machine, options)?;
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

/// Waits until the guest's shell is there.
fn await_shell(machine: &mut Machine, options: &Options) -> Result<()> {
    let said = machine
        .expect_any(&[debian::SHELL, debian::PANIC], options.timeout)
        .context("the guest did not come to the shell that is typed at, a busybox's")?;
    ensure!(
        !said.contains(debian::PANIC),
        "the guest's kernel gave up before there was a shell; what it says of that is above"
    );
    Ok(())
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::{Args, Topic};

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(words: &[&str]) -> Result<Args, clap::Error> {
        Line::try_parse_from([&["demo"], words].concat()).map(|line| line.args)
    }

    #[test]
    fn the_guests_files_can_be_given() -> anyhow::Result<()> {
        let args = parse(&["linux", "--kernel", "Image", "--initrd", "a.cpio"])?;
        assert!(matches!(args.topic, Topic::Linux));
        assert_eq!(
            format!("{:?}", args.given),
            r#"Given { kernel: Some("Image"), initrd: Some("a.cpio") }"#
        );
        assert!(parse(&["linux"])?.given.is_empty());
        assert!(!parse(&["linux", "--kernel=Image"])?.given.is_empty());
        assert!(parse(&["linux", "--kernel"]).is_err());
        Ok(())
    }

    #[test]
    fn files_are_for_the_guest_that_starts_from_them() -> anyhow::Result<()> {
        for topic in ["tracepoints", "hprobe"] {
            let args = parse(&[topic, "--initrd", "a.cpio"])?;
            let refused = args.topic.machine(&args.given).map(drop);
            let said = refused.expect_err("refused").to_string();
            assert!(said.contains("demo linux"), "{said}");
            let args = parse(&[topic])?;
            args.topic.machine(&args.given)?;
        }
        let args = parse(&["linux", "--kernel", "/no/such/Image"])?;
        let refused = args.topic.machine(&args.given).map(drop);
        let said = refused.expect_err("refused").to_string();
        assert!(said.contains("cannot read /no/such/Image"), "{said}");
        Ok(())
    }
}
