//! Programs in Rust.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};

use super::{files, object};
use crate::{
    process::output,
    toolchain::EBPF,
    tools::{self, Tool},
    workspace,
};

/// Compiles each `rust/programs/src/bin/<name>.rs` to `<name>.bpf.o` in `to`, and returns the names.
pub(super) fn compile(to: &Path) -> Result<Vec<String>> {
    let workspace = workspace::programs().join("rust");
    let target = workspace::target().join("ebpf");
    let names = files(&workspace.join("programs/src/bin"), ".rs")?;
    println!("    {}: cargo", names.join(", "));
    let toolchain = tools::toolchain(EBPF)?;
    // Unpacks the packages, whose folders the flags name.
    output(
        toolchain
            .cargo("fetch")
            .current_dir(&workspace)
            .arg("--locked"),
    )?;
    let mut cargo = toolchain.cargo("build");
    cargo
        .current_dir(&workspace)
        .args(["--release", "--locked", "--package", "axebpf-programs"]);
    cargo.arg("--target-dir").arg(&target);
    // aya takes its register layout from this, and silently x86-64's where it is missing.
    cargo.env("AYA_BPF_TARGET_ARCH", "aarch64");
    // Inline assembly for eBPF, which aya uses, is unstable.
    cargo.env("RUSTC_BOOTSTRAP", "1");
    cargo
        .env_remove("RUSTFLAGS")
        .env("CARGO_ENCODED_RUSTFLAGS", flags(&workspace)?);
    output(&mut cargo)?;
    for name in &names {
        let built = target.join(EBPF).join("release").join(name);
        fs::copy(&built, object(to, name))
            .with_context(|| format!("cargo did not leave {}", built.display()))?;
    }
    Ok(names)
}

/// Returns the compiler's flags, as cargo takes them from its environment.
fn flags(workspace: &Path) -> Result<String> {
    let linker = format!("-Clinker={}", Tool::BpfLinker.path()?.display());
    let mut flags = vec![linker];
    flags.extend(["-Clink-arg=--btf", "-Cdebuginfo=2", "-Ctarget-cpu=v3"].map(str::to_owned));
    // What is built does not depend on where the tree and cargo's registry lie.
    flags.push(format!("--remap-path-prefix={}=.", workspace.display()));
    for registry in registries()? {
        flags.push(format!(
            "--remap-path-prefix={}=registry",
            registry.display()
        ));
    }
    Ok(flags.join("\u{1f}"))
}

/// Returns the folders in which cargo keeps the sources of packages, one for each registry.
fn registries() -> Result<Vec<PathBuf>> {
    let default = || Some(PathBuf::from(env::var_os("HOME")?).join(".cargo"));
    let home = env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(default);
    let Some(sources) = home
        .map(|home| home.join("registry/src"))
        .filter(|dir| dir.is_dir())
    else {
        return Ok(Vec::new());
    };
    sources.read_dir()?.map(|entry| Ok(entry?.path())).collect()
}
