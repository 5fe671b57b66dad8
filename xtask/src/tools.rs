//! The tools that the commands need, how to find and how to install them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail};

use crate::{
    process::{find_program, output, run, say},
    toolchain::{BARE_METAL, EBPF, Toolchain},
};

/// A tool, or a set of files, that a command needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    /// Compiles C for eBPF.
    Clang,
    /// Strips objects and makes raw images.
    Objcopy,
    /// Links images.
    Lld,
    /// The headers `bpf_helpers.h` and `bpf_tracing.h`.
    LibbpfHeaders,
    /// Compiles Rust for eBPF.
    EbpfRust,
    /// Links Rust for eBPF.
    BpfLinker,
    /// Compiles Rust for the hypervisor.
    BareMetalRust,
    /// Lints Rust for the hypervisor.
    BareMetalClippy,
    /// Runs the images.
    Qemu,
    /// Runs single instructions.
    QemuUser,
    /// Disassembles instructions.
    Disassembler,
    /// Runs tests.
    Nextest,
    /// Builds and runs fuzz targets, with a nightly compiler.
    Fuzz,
}

/// How a tool gets onto the machine.
enum Install {
    /// From these packages of Debian.
    Apt(&'static [&'static str]),
    /// By cargo, with what [`Tool::BpfLinker`] needs to build.
    BpfLinker,
    /// By `cargo install --locked`.
    Cargo(&'static str),
}

impl Tool {
    /// What building the shipped programs needs.
    pub(crate) const PROGRAMS: [Self; 5] = [
        Self::Clang,
        Self::Objcopy,
        Self::LibbpfHeaders,
        Self::EbpfRust,
        Self::BpfLinker,
    ];
    /// What building the testbed's image needs.
    pub(crate) const IMAGE: [Self; 3] = [Self::BareMetalRust, Self::Lld, Self::Objcopy];
    /// What running the image needs.
    pub(crate) const RUN: [Self; 1] = [Self::Qemu];
    /// What comparing the simulator of instructions with a processor needs.
    pub(crate) const INSTRUCTIONS: [Self; 4] =
        [Self::Clang, Self::Lld, Self::QemuUser, Self::Disassembler];
    /// What testing needs beside these.
    pub(crate) const TEST: [Self; 1] = [Self::Nextest];

    /// What fuzzing needs beside these, where there is a nightly compiler.
    pub(crate) const FUZZ: [Self; 1] = [Self::Fuzz];

    /// What linting needs beside these.
    pub(crate) const LINT: [Self; 1] = [Self::BareMetalClippy];

    /// Returns the tool's name and what it is for.
    pub(crate) fn description(self) -> &'static str {
        match self {
            Self::Clang => "clang 22, compiles eBPF programs in C",
            Self::Objcopy => "llvm-objcopy, strips objects and makes raw images",
            Self::Lld => "ld.lld, links images",
            Self::LibbpfHeaders => "libbpf's headers for eBPF programs in C",
            Self::EbpfRust => "a Rust compiler for bpfel-unknown-none",
            Self::BpfLinker => "bpf-linker, links eBPF programs in Rust",
            Self::BareMetalRust => "a Rust compiler for aarch64-unknown-none-softfloat",
            Self::BareMetalClippy => "clippy of that compiler",
            Self::Qemu => "qemu-system-aarch64, runs the images",
            Self::QemuUser => "qemu-aarch64, runs single instructions",
            Self::Disassembler => "llvm-mc, disassembles instructions",
            Self::Nextest => "cargo-nextest, runs the tests",
            Self::Fuzz => "cargo-fuzz, runs the fuzz targets",
        }
    }

    /// The names under which the tool may be found in `PATH`, the best first.
    fn programs(self) -> &'static [&'static str] {
        match self {
            Self::Clang => &["clang-22", "clang-21", "clang-20", "clang"],
            Self::Objcopy => &["llvm-objcopy-22", "llvm-objcopy", "llvm-objcopy-19"],
            Self::Lld => &["ld.lld-22", "ld.lld", "ld.lld-19"],
            Self::BpfLinker => &["bpf-linker"],
            Self::Qemu => &["qemu-system-aarch64"],
            Self::QemuUser => &["qemu-aarch64"],
            Self::Disassembler => &["llvm-mc-22"],
            Self::Nextest => &["cargo-nextest"],
            Self::Fuzz => &["cargo-fuzz"],
            Self::LibbpfHeaders | Self::EbpfRust | Self::BareMetalRust | Self::BareMetalClippy => {
                &[]
            }
        }
    }

    /// Finds where the tool is.
    pub(crate) fn find(self) -> Option<PathBuf> {
        match self {
            Self::LibbpfHeaders => ["/usr/include", "/usr/local/include"]
                .into_iter()
                .map(PathBuf::from)
                .find(|dir| dir.join("bpf/bpf_helpers.h").is_file()),
            Self::EbpfRust => Toolchain::find(EBPF).map(|toolchain| toolchain.describe().into()),
            Self::BareMetalRust => {
                Toolchain::find(BARE_METAL).map(|toolchain| toolchain.describe().into())
            }
            Self::BareMetalClippy => Toolchain::find(BARE_METAL)
                .map(|toolchain| toolchain.clippy())
                .filter(|clippy| clippy.is_file()),
            _ => self
                .programs()
                .iter()
                .find_map(|program| find_program(program).or_else(|| in_cargo_bin(program))),
        }
    }

    /// Returns where the tool is.
    ///
    /// # Errors
    ///
    /// When it is missing; the error says how to get it.
    pub(crate) fn path(self) -> Result<PathBuf> {
        self.find().with_context(|| {
            format!(
                "missing: {}\n  `cargo xtask setup` installs it",
                self.description()
            )
        })
    }

    /// Returns the first version number that the tool's `--version` tells, such as `22.1.8`.
    pub(crate) fn version(self) -> Result<String> {
        let text = match self {
            Self::EbpfRust => return toolchain(EBPF)?.version(),
            Self::BareMetalClippy => {
                output(Command::new(self.path()?).args(["clippy", "--version"]))?
            }
            Self::BareMetalRust => return toolchain(BARE_METAL)?.version(),
            Self::LibbpfHeaders => return libbpf_version(&self.path()?),
            _ => output(Command::new(self.path()?).arg("--version"))?,
        };
        let is_version = |word: &&str| word.starts_with(|c: char| c.is_ascii_digit());
        Ok(text
            .split_whitespace()
            .find(is_version)
            .unwrap_or("unknown")
            .to_owned())
    }

    fn install(self) -> Install {
        match self {
            Self::Clang => Install::Apt(&["clang-22"]),
            Self::Objcopy | Self::Disassembler => Install::Apt(&["llvm-22"]),
            Self::Lld => Install::Apt(&["lld-22"]),
            Self::LibbpfHeaders => Install::Apt(&["libbpf-dev"]),
            Self::EbpfRust => Install::Apt(&["rustc-web", "cargo-web", "libstd-rust-web-dev-bpf"]),
            Self::BareMetalRust => Install::Apt(&["rustc-web", "cargo-web", "rust-web-src"]),
            Self::BareMetalClippy => Install::Apt(&["rust-web-clippy"]),
            Self::Qemu => Install::Apt(&["qemu-system-arm"]),
            Self::QemuUser => Install::Apt(&["qemu-user"]),
            Self::BpfLinker => Install::BpfLinker,
            Self::Nextest => Install::Cargo("cargo-nextest"),
            Self::Fuzz => Install::Cargo("cargo-fuzz"),
        }
    }
}

/// The packages that building bpf-linker needs.
const BPF_LINKER_PACKAGES: [&str; 6] = [
    "llvm-22-dev",
    "libpolly-22-dev",
    "zlib1g-dev",
    "libzstd-dev",
    "libxml2-dev",
    "g++",
];

/// Makes sure that the tools are there, and installs what is missing.
///
/// Asks no package manager when nothing is missing.
///
/// # Errors
///
/// When something is missing and cannot be installed; the error has the commands that would.
pub(crate) fn ensure(tools: &[Tool]) -> Result<()> {
    let missing: Vec<Tool> = tools
        .iter()
        .copied()
        .filter(|tool| tool.find().is_none())
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    for tool in &missing {
        say(format_args!("missing: {}", tool.description()));
    }
    install_packages(&packages_of(&missing))?;
    for tool in &missing {
        match tool.install() {
            Install::Apt(_) => {}
            Install::BpfLinker => install_bpf_linker()?,
            Install::Cargo(name) => {
                run(Command::new("cargo").args(["install", name, "--locked"]))?;
            }
        }
        tool.path()
            .context("still missing after the installation")?;
    }
    Ok(())
}

fn packages_of(tools: &[Tool]) -> Vec<&'static str> {
    let mut packages = Vec::new();
    for tool in tools {
        let needed: &[&str] = match tool.install() {
            Install::Apt(packages) => packages,
            Install::BpfLinker => &BPF_LINKER_PACKAGES,
            Install::Cargo(_) => &[],
        };
        packages.extend(
            needed
                .iter()
                .copied()
                .filter(|&package| !is_installed(package)),
        );
    }
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// Tells whether Debian's package manager has installed `package`.
fn is_installed(package: &str) -> bool {
    output(Command::new("dpkg-query").args(["-W", "-f", "${db:Status-Status}", package]))
        .is_ok_and(|status| status == "installed")
}

fn install_packages(packages: &[&str]) -> Result<()> {
    if packages.is_empty() {
        return Ok(());
    }
    let list = packages.join(" ");
    if find_program("apt-get").is_none() {
        bail!("this machine has no apt-get; install what Debian calls\n  {list}\nand try again");
    }
    if !is_root()? {
        bail!(
            "not root, so install the packages with\n  \
             sudo apt-get update && sudo apt-get install -y --no-install-recommends {list}\n\
             and try again"
        );
    }
    say(format_args!("installing {list}"));
    let apt = || {
        let mut apt = Command::new("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive");
        apt
    };
    run(apt().args(["update", "-qq"]))?;
    run(apt()
        .args(["install", "-y", "-qq", "--no-install-recommends"])
        .args(packages))
}

fn is_root() -> Result<bool> {
    Ok(output(Command::new("id").arg("-u"))?.trim_end() == "0")
}

fn install_bpf_linker() -> Result<()> {
    say("building bpf-linker against LLVM 22, which takes a minute or two");
    let config = find_program("llvm-config-22").context("llvm-22-dev has no llvm-config-22")?;
    let prefix = output(Command::new(config).arg("--prefix"))?;
    let mut cargo = Command::new("cargo");
    cargo.env("LLVM_PREFIX", prefix.trim_end());
    cargo.args(["install", "bpf-linker", "--version", "0.13.0", "--locked"]);
    cargo.args([
        "--no-default-features",
        "--features",
        "llvm-22,llvm-link-static",
    ]);
    run(&mut cargo)
}

/// Returns the compiler for `target`.
///
/// # Errors
///
/// When there is none; the error says how to get one.
pub(crate) fn toolchain(target: &'static str) -> Result<Toolchain> {
    Toolchain::find(target).with_context(|| {
        format!(
            "no Rust compiler for {target}\n  `cargo xtask setup` installs Debian's; \
             with rustup, `rustup target add {target}` or `rustup component add rust-src` serve as well"
        )
    })
}

/// Finds what `cargo install` put where `PATH` does not look.
fn in_cargo_bin(program: &str) -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(Path::new(&std::env::var_os("HOME")?).join(".cargo")))?;
    Some(home.join("bin").join(program)).filter(|file| file.is_file())
}

fn libbpf_version(include: &Path) -> Result<String> {
    let text = std::fs::read_to_string(include.join("bpf/libbpf_version.h"))?;
    let number = |name: &str| {
        let rest = text.split_once(name)?.1;
        rest.split_whitespace().next()
    };
    let major = number("LIBBPF_MAJOR_VERSION").unwrap_or("?");
    let minor = number("LIBBPF_MINOR_VERSION").unwrap_or("?");
    Ok(format!("{major}.{minor}"))
}
