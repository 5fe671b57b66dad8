//! `cargo xtask linux`.

mod given;
mod initramfs;
mod module;
mod packages;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail, ensure};

use axebpf_e2e::{Linux, Options, Start};

pub(crate) use self::{given::Given, packages::Unavailable};
use crate::{
    build_image,
    process::say,
    tools::{self, Tool},
    workspace,
};

/// Boots an unmodified Debian kernel as a guest of the hypervisor, and leaves the shell to you.
///
/// Fetches Debian's packages for arm64 through apt into `target/linux`, which changes nothing on this machine, and
/// makes a first file system whose init runs a workload. `vm console 1` at the shell leads to the guest's own shell
/// afterwards. With `--kernel`, nothing is fetched.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    given: Given,
    /// How many vCPUs the guest has.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=8))]
    vcpus: u32,
    /// How many CPUs the machine has.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=8))]
    cpus: u32,
    /// QEMU's name of the CPU.
    #[arg(long, value_name = "CPU", default_value = "cortex-a72")]
    cpu: String,
    /// The guest's memory, in MiB.
    #[arg(long, value_name = "MIB", default_value_t = MEMORY)]
    memory: u64,
    /// Words for the end of the kernel's command line: `rounds=N`, `then=off`, `then=shell` and `then=repeat` are for
    /// the workload.
    #[arg(long, value_name = "WORDS", default_value = "then=shell")]
    append: String,
    /// From what the kernel takes where it runs, so that it runs there each time. Without it the kernel runs elsewhere
    /// each time it starts, unless `nokaslr` is on its command line.
    #[arg(long, value_name = "N")]
    kaslr_seed: Option<u64>,
    /// Let `vm boot 1` start the guest.
    #[arg(long)]
    stopped: bool,
    /// Only fetch and make the files, and say where they are.
    #[arg(long)]
    prepare: bool,
}

/// The guest's memory, in MiB, unless somebody says otherwise.
const MEMORY: u64 = 256;

/// How long the guest may take to boot, or a command.
const PATIENCE: Duration = Duration::from_secs(300);

/// The kernel's command line before what is for the workload.
///
/// The early console shows what happens before there is a driver for the serial line. A kernel that panics stops at
/// once.
const ARGUMENTS: &str = "console=ttyAMA0 earlycon=pl011,0x9000000 panic=-1";

/// The files that a guest starts from.
pub(crate) struct Files {
    pub(crate) kernel: PathBuf,
    pub(crate) initrd: PathBuf,
}

impl Files {
    /// Returns the folder in which both of them lie.
    pub(crate) fn folder(&self) -> &Path {
        self.initrd.parent().unwrap_or(Path::new("."))
    }
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let files = files(&args.given)?;
    if args.prepare {
        println!(
            "    {}\n    {}",
            files.kernel.display(),
            files.initrd.display()
        );
        return Ok(());
    }
    tools::ensure(&Tool::RUN)?;
    let image = build_image::build()?;
    let linux = Linux {
        kernel: files.kernel,
        initrd: files.initrd,
        vcpus: args.vcpus,
        memory: args.memory,
        arguments: format!("{ARGUMENTS} {}", args.append),
        seed: args.kaslr_seed,
        start: if args.stopped {
            Start::ByCommand
        } else {
            Start::AtBoot
        },
    };
    let options = Options {
        cpu: args.cpu.clone(),
        cpus: args.cpus,
        payload: Some(linux.payload(&folder())?),
        ..Options::default()
    };
    boot(&image, &options)
}

/// Returns the files that `given` names, and those that are made for what it does not name.
fn files(given: &Given) -> Result<Files> {
    given.check()?;
    let (kernel, initrd) = (given.kernel.clone(), given.initrd.clone());
    match (kernel, initrd) {
        (Some(kernel), Some(initrd)) => Ok(Files { kernel, initrd }),
        (Some(kernel), None) => Ok(Files {
            kernel,
            initrd: initrd_for_any(&folder())?,
        }),
        (None, Some(initrd)) => Ok(Files {
            kernel: fetch().context(INSTEAD)?.kernel,
            initrd,
        }),
        (None, None) => {
            fetch().context(INSTEAD)?;
            prepare()
        }
    }
}

/// What to do where Debian's packages cannot be had.
const INSTEAD: &str = "without Debian's packages, give `--kernel` an arm64 Image and `--initrd` a file system with a shell";

/// Makes a first file system for a kernel that somebody gave: what is bound to Debian's is not in it. Fetches nothing.
fn initrd_for_any(folder: &Path) -> Result<PathBuf> {
    let busybox = folder.join("busybox");
    ensure!(
        busybox.is_file(),
        "a first file system for this kernel needs a shell, and there is none at {}\n  \
         give `--initrd` one that leads to a shell, or put a static busybox for arm64 there",
        busybox.display()
    );
    tools::ensure(&[Tool::Clang, Tool::Lld])?;
    initramfs::make(&folder.join("initramfs-given.cpio"), Some(&busybox), None)
}

/// What the guest writes when its shell is there.
pub(crate) const SHELL: &str = "built-in shell (ash)";

/// What a kernel writes when it gives up.
pub(crate) const PANIC: &str = "Kernel panic";

/// Returns a machine whose guest boots Debian's kernel, or the `given` one, up to a shell as soon as the hypervisor
/// runs.
///
/// # Errors
///
/// When a file that is given cannot be started from, and where one is not given, as for [`fetch`] and [`prepare`].
pub(crate) fn at_its_shell(given: &Given) -> Result<Options> {
    let files = files(given)?;
    let linux = Linux {
        kernel: files.kernel,
        initrd: files.initrd,
        vcpus: 2,
        memory: MEMORY,
        arguments: format!("{ARGUMENTS} rounds=0 then=shell"),
        seed: None,
        start: Start::AtBoot,
    };
    Ok(Options {
        payload: Some(linux.payload(&folder())?),
        timeout: PATIENCE,
        ..Options::default()
    })
}

fn boot(image: &Path, options: &Options) -> Result<()> {
    say(
        "booting; `vm list` and `vm console 1` at the shell, `exit` ends the machine, Ctrl-A X kills it",
    );
    let status = options.qemu(image).status()?;
    if !status.success() {
        bail!("QEMU ended with {status}");
    }
    Ok(())
}

/// Fetches Debian's packages, as far as they are not there.
///
/// # Errors
///
/// When they cannot be had, with [`Unavailable`] where that is because of this machine.
fn fetch() -> Result<packages::Debian> {
    packages::fetch(&folder())
}

/// Fetches the kernel, as far as it is not there, and makes the first file system.
///
/// # Errors
///
/// When the packages cannot be fetched, as [`fetch`] says, or the workload cannot be compiled.
pub(crate) fn prepare() -> Result<Files> {
    let folder = folder();
    let debian = fetch()?;
    tools::ensure(&[Tool::Clang, Tool::Lld])?;
    let module = module::make(&folder)?;
    let path = folder.join("initramfs.cpio");
    let initrd = initramfs::make(&path, debian.busybox.as_deref(), Some(&module))?;
    Ok(Files {
        kernel: debian.kernel,
        initrd,
    })
}

fn folder() -> PathBuf {
    workspace::target().join("linux")
}
