//! One QEMU with the testbed's image in it.

use std::{
    env,
    ops::{Deref, DerefMut},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};

use crate::{
    Console, PROMPT, Payload,
    console::{self, shortened},
};

/// What the hypervisor says when the guest has found everything as it should be.
const GUEST_READY: &str = "self-check passed on 2 vcpus\n";

/// How a machine counts its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Timing {
    /// As fast as the host goes.
    Host,
    /// One instruction a nanosecond on a single CPU, the same in each run: for counting instructions.
    Counted,
}

/// How a machine is built.
#[derive(Clone, Debug)]
pub struct Options {
    /// QEMU's name of the CPU.
    pub cpu: String,
    /// The number of CPUs.
    pub cpus: u32,
    /// How it counts its time.
    pub timing: Timing,
    /// What is loaded beside the image, which then is the guest.
    pub payload: Option<Payload>,
    /// How long booting, or one command, may take.
    pub timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            cpu: "cortex-a72".into(),
            cpus: 2,
            timing: Timing::Host,
            payload: None,
            timeout: Duration::from_secs(60),
        }
    }
}

impl Options {
    /// The machine on which executed instructions are counted.
    #[must_use]
    pub fn counted() -> Self {
        Self {
            cpus: 1,
            timing: Timing::Counted,
            ..Self::default()
        }
    }

    /// Returns the command that runs QEMU with `image` and its serial line on standard input and output.
    #[must_use]
    pub fn qemu(&self, image: &Path) -> Command {
        let mut qemu = Command::new("qemu-system-aarch64");
        qemu.args([
            "-M",
            "virt,virtualization=on,gic-version=3",
            "-cpu",
            &self.cpu,
        ]);
        let memory = if self.payload.is_some() { "1G" } else { "512M" };
        qemu.args(["-smp", &self.cpus.to_string(), "-m", memory]);
        qemu.args(["-nographic", "-nic", "none"]);
        if self.timing == Timing::Counted {
            qemu.args(["-icount", "shift=0"]);
        }
        if let Some(payload) = &self.payload {
            payload.load_by(&mut qemu);
        }
        qemu.arg("-kernel").arg(image);
        qemu
    }
}

/// A running machine with its console. Ends when dropped.
pub struct Machine {
    child: Child,
    console: Console,
    timeout: Duration,
    guest: Guest,
}

/// Which guest the machine boots.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Guest {
    BuiltIn,
    Loaded,
}

impl Machine {
    /// Boots `image` up to the shell's first prompt.
    ///
    /// # Errors
    ///
    /// When QEMU is missing, or the prompt does not come in time.
    pub fn boot(image: &Path, options: &Options) -> Result<Self> {
        let mut machine = Self::start(image, options)?;
        machine.expect_boot()?;
        Ok(machine)
    }

    /// Waits until the shell shows its first prompt and the built-in guest has reported, in whichever order.
    ///
    /// With a guest that was loaded beside the image, only for the prompt. Otherwise, after that, nothing but the
    /// answers to commands appears on the console.
    ///
    /// # Errors
    ///
    /// When one of them does not come in time.
    pub fn expect_boot(&mut self) -> Result<()> {
        let timeout = self.timeout;
        let mut missing = vec![PROMPT];
        if self.guest == Guest::BuiltIn {
            missing.push(GUEST_READY);
        }
        while !missing.is_empty() {
            let said = self
                .expect_any(&missing, timeout)
                .context("the image did not boot")?;
            missing.retain(|text| !said.contains(text));
        }
        Ok(())
    }

    /// Starts `image` without waiting for anything.
    ///
    /// # Errors
    ///
    /// When there is no image, or no QEMU.
    pub fn start(image: &Path, options: &Options) -> Result<Self> {
        ensure!(image.is_file(), "no image at {}", image.display());
        let mut child = options
            .qemu(image)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot run qemu-system-aarch64; `cargo xtask setup` installs it")?;
        let (Some(input), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("QEMU has no console");
        };
        Ok(Self {
            child,
            console: Console::new(input, output),
            timeout: options.timeout,
            guest: match options.payload {
                Some(_) => Guest::Loaded,
                None => Guest::BuiltIn,
            },
        })
    }

    /// Types one command and returns what it wrote: without the command itself, the next prompt, and the lines of
    /// guests that came in between.
    ///
    /// # Errors
    ///
    /// When the prompt does not come back in time.
    pub fn command(&mut self, line: &str) -> Result<String> {
        self.command_for(line, self.timeout)
    }

    /// Like [`command`](Self::command) with a time-out of its own.
    ///
    /// # Errors
    ///
    /// When the prompt does not come back in time.
    pub fn command_for(&mut self, line: &str, timeout: Duration) -> Result<String> {
        self.console.take();
        self.send_line(line)?;
        self.answer(line, timeout)
    }

    /// Like [`command`](Self::command), with a pause after each character.
    ///
    /// # Errors
    ///
    /// When the prompt does not come back in time.
    pub fn typed_command(&mut self, line: &str, pause: Duration) -> Result<String> {
        self.console.take();
        self.type_line(line, pause)?;
        self.answer(line, self.timeout)
    }

    /// Takes what the command `line` wrote, up to the next prompt.
    fn answer(&mut self, line: &str, timeout: Duration) -> Result<String> {
        let prompt = format!("\n{PROMPT}");
        let output = self
            .expect(&prompt, timeout)
            .with_context(|| format!("command `{}`", shortened(line)))?;
        Ok(console::answer(
            &output[..output.len() - PROMPT.len()],
            line,
        ))
    }

    /// Turns the machine off with the shell's `exit`, and waits until it is off.
    ///
    /// # Errors
    ///
    /// When it does not go off in time.
    pub fn shut_down(mut self) -> Result<()> {
        self.send_line("exit")?;
        self.wait_off()
    }

    /// Waits until the machine has turned itself off.
    ///
    /// # Errors
    ///
    /// When it does not go off in time, or QEMU says that it failed.
    pub fn wait_off(&mut self) -> Result<()> {
        let deadline = Instant::now() + self.timeout;
        while Instant::now() < deadline {
            if let Some(status) = self.child.try_wait()? {
                ensure!(
                    status.success(),
                    "QEMU ended with {status}\n{}",
                    self.tail()
                );
                return Ok(());
            }
            thread::sleep(Duration::from_millis(20));
        }
        bail!("the machine is still on\n{}", self.tail())
    }
}

impl Deref for Machine {
    type Target = Console;

    fn deref(&self) -> &Console {
        &self.console
    }
}

impl DerefMut for Machine {
    fn deref_mut(&mut self) -> &mut Console {
        &mut self.console
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // A machine that is off already cannot be killed, which is as good.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Finds the image: where `AXEBPF_IMAGE` says, or where `cargo xtask` leaves it.
///
/// # Errors
///
/// When there is no image there; the error says how to build it.
pub fn image_path() -> Result<PathBuf> {
    let path = match env::var_os("AXEBPF_IMAGE") {
        Some(path) => PathBuf::from(path),
        None => default_image(),
    };
    ensure!(
        path.is_file(),
        "no testbed image at {}\n  `cargo xtask test` builds it and runs these tests; `cargo xtask build-image` only builds it",
        path.display()
    );
    Ok(path)
}

/// Where `cargo xtask build-image` leaves the image.
fn default_image() -> PathBuf {
    let target = env::var_os("CARGO_TARGET_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target"),
        PathBuf::from,
    );
    target.join("image/axebpf-testbed")
}
