//! `cargo xtask linux`.

mod given;
mod initramfs;
mod module;
mod packages;

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result, bail};

use axebpf_e2e::{Linux, Options, Start};

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
/// afterwards.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Take this kernel, an uncompressed arm64 image, instead of Debian's.
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,
    /// Take this first file system instead of the workload's.
    #[arg(long, value_name = "FILE")]
    initrd: Option<PathBuf>,
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
    let files = files(args)?;
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

/// Returns the files that `args` names, and those that are made for what it does not name.
fn files(args: &Args) -> Result<Files> {
    if let Some(kernel) = &args.kernel {
        given::check_kernel(kernel)?;
    }
    if let Some(initrd) = &args.initrd {
        given::check_initrd(initrd)?;
    }
    if let (Some(kernel), Some(initrd)) = (&args.kernel, &args.initrd) {
        return Ok(Files {
            kernel: kernel.clone(),
            initrd: initrd.clone(),
        });
    }
    let made = prepare()?;
    Ok(Files {
        kernel: args.kernel.clone().unwrap_or(made.kernel),
        initrd: args.initrd.clone().unwrap_or(made.initrd),
    })
}

/// What the guest writes when its shell is there.
pub(crate) const SHELL: &str = "built-in shell (ash)";

/// Returns a machine whose guest boots Debian's kernel up to a shell, as soon as the hypervisor runs.
///
/// # Errors
///
/// As for [`prepare`].
pub(crate) fn at_its_shell() -> Result<Options> {
    let files = prepare()?;
    let linux = Linux {
        kernel: files.kernel,
        initrd: files.initrd,
        vcpus: 2,
        memory: MEMORY,
        arguments: format!("{ARGUMENTS} rounds=0 then=shell"),
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
/// When they cannot be had.
pub(crate) fn fetch() -> Result<packages::Debian> {
    packages::fetch(&folder()).context(
        "without Debian's packages, give `--kernel` an arm64 Image and `--initrd` a file system with an init",
    )
}

/// Fetches the kernel, as far as it is not there, and makes the first file system.
///
/// # Errors
///
/// When the packages cannot be fetched or the workload cannot be compiled.
pub(crate) fn prepare() -> Result<Files> {
    let folder = folder();
    let debian = fetch()?;
    tools::ensure(&[Tool::Clang, Tool::Lld])?;
    let module = module::make(&folder)?;
    let initrd = initramfs::make(&folder, debian.busybox.as_deref(), &module)?;
    Ok(Files {
        kernel: debian.kernel,
        initrd,
    })
}

fn folder() -> PathBuf {
    workspace::target().join("linux")
}
