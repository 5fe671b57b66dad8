//! Which Rust compiler builds for a target without an operating system.
//!
//! Two kinds of compiler serve: one that has the target's library built, as rustup's has after `rustup target add`, and
//! one that has the library's sources beside it, as Debian's has, from which cargo then builds it.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::process::output;

/// The target of the hypervisor and its guest.
pub(crate) const BARE_METAL: &str = "aarch64-unknown-none-softfloat";

/// The other targets that probes are built for.
pub(crate) const FOREIGN: [&str; 2] = [
    "riscv64gc-unknown-none-elf",
    "loongarch64-unknown-none-softfloat",
];

/// The target of eBPF programs.
pub(crate) const EBPF: &str = "bpfel-unknown-none";

/// A cargo with its compiler.
#[derive(Clone, Debug)]
struct Compiler {
    rustc: PathBuf,
    cargo: PathBuf,
}

/// Where the target's library comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Library {
    Prebuilt,
    Sources,
}

/// A compiler that builds for one target.
#[derive(Clone, Debug)]
pub(crate) struct Toolchain {
    compiler: Compiler,
    library: Library,
    target: &'static str,
}

impl Toolchain {
    /// Finds a compiler for `target`: the one in use if it has the library, then Debian's, then any with the sources.
    pub(crate) fn find(target: &'static str) -> Option<Self> {
        let compilers = compilers();
        [Library::Prebuilt, Library::Sources]
            .into_iter()
            .find_map(|library| {
                let has = |compiler: &&Compiler| compiler.has(library, target);
                let compiler = compilers.iter().find(has)?.clone();
                Some(Self {
                    compiler,
                    library,
                    target,
                })
            })
    }

    /// Returns cargo, for `subcommand`, with the options and variables that make it build for the target.
    pub(crate) fn cargo(&self, subcommand: &str) -> Command {
        let mut cargo = match subcommand {
            // PATH may lead to the clippy of another compiler.
            "clippy" => Command::new(self.clippy()),
            _ => Command::new(&self.compiler.cargo),
        };
        // What the cargo that runs this program set would select its own toolchain again.
        cargo.env_remove("RUSTUP_TOOLCHAIN");
        cargo
            .env("CARGO", &self.compiler.cargo)
            .env("RUSTC", &self.compiler.rustc);
        cargo.arg(subcommand).args(["--target", self.target]);
        if self.library == Library::Sources {
            cargo.env("RUSTC_BOOTSTRAP", "1");
            // The library's own code is not ours to mend.
            cargo.env("CARGO_FUTURE_INCOMPAT_REPORT_FREQUENCY", "never");
            cargo.arg("-Zbuild-std=core,alloc,compiler_builtins");
            cargo.arg("-Zbuild-std-features=compiler-builtins-mem");
        }
        cargo
    }

    /// Returns where the compiler's own clippy is, or would be.
    pub(crate) fn clippy(&self) -> PathBuf {
        self.compiler.cargo.with_file_name("cargo-clippy")
    }

    /// Returns the compiler's version, such as `1.96.0`.
    pub(crate) fn version(&self) -> Result<String> {
        let text = output(Command::new(&self.compiler.rustc).arg("--version"))?;
        Ok(text
            .split_whitespace()
            .nth(1)
            .unwrap_or_default()
            .to_owned())
    }

    /// Says which compiler it is and where the library comes from.
    pub(crate) fn describe(&self) -> String {
        let library = match self.library {
            Library::Prebuilt => "with the target's library",
            Library::Sources => "builds the target's library from source",
        };
        format!("{} ({library})", self.compiler.rustc.display())
    }
}

impl Compiler {
    fn has(&self, library: Library, target: &str) -> bool {
        match library {
            Library::Prebuilt => self
                .print("target-libdir", target)
                .is_some_and(|dir| has_core(&dir)),
            Library::Sources => self.print("sysroot", target).is_some_and(|root| {
                root.join("lib/rustlib/src/rust/library/core/Cargo.toml")
                    .is_file()
            }),
        }
    }

    fn print(&self, what: &str, target: &str) -> Option<PathBuf> {
        let mut rustc = Command::new(&self.rustc);
        let text = output(rustc.args(["--print", what, "--target", target])).ok()?;
        Some(PathBuf::from(text.trim_end()))
    }
}

fn has_core(libdir: &Path) -> bool {
    let Ok(entries) = libdir.read_dir() else {
        return false;
    };
    entries
        .flatten()
        .any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
}

/// Returns the compilers to ask, in the order of preference.
fn compilers() -> Vec<Compiler> {
    // The compiler in use, as rustup's proxy or PATH resolves it, by its real place.
    let in_use = output(Command::new("rustc").args(["--print", "sysroot"]))
        .ok()
        .map(|root| {
            let bin = PathBuf::from(root.trim_end()).join("bin");
            Compiler {
                rustc: bin.join("rustc"),
                cargo: bin.join("cargo"),
            }
        });
    // Debian's packages rustc-web and cargo-web; rustup's compiler usually hides them from PATH.
    let debian = Compiler {
        rustc: "/usr/bin/rustc".into(),
        cargo: "/usr/bin/cargo".into(),
    };
    let exists = |compiler: &Compiler| compiler.rustc.is_file() && compiler.cargo.is_file();
    in_use.into_iter().chain([debian]).filter(exists).collect()
}
