//! `cargo xtask build-image`.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    ksyms,
    process::{run as run_command, say},
    toolchain::BARE_METAL,
    tools::{self, Tool},
    workspace,
};

/// Builds the testbed: the guest, the hypervisor around it, and the symbol table inside.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> Result<()> {
    let image = build()?;
    say(format_args!("the image is {}", image.display()));
    Ok(())
}

/// Builds the image, and returns where it is.
pub(crate) fn build() -> Result<PathBuf> {
    tools::ensure(&Tool::IMAGE)?;
    let image = workspace::image();
    let folder = image.parent().context("the image has no folder")?;
    fs::create_dir_all(folder)?;

    say("building the guest");
    let guest = cargo_build("axebpf-guest", None)?;
    let raw = folder.join("axebpf-guest.bin");
    let mut objcopy = Command::new(Tool::Objcopy.path()?);
    run_command(objcopy.args(["-O", "binary"]).arg(&guest).arg(&raw))?;

    say("building the hypervisor with the guest inside");
    let linked = cargo_build("axebpf-testbed", Some(&raw))?;
    // What has its symbol table is a file of its own, so that cargo's stays what cargo believes that it is.
    let unfinished = folder.join("axebpf-testbed.unfinished");
    fs::copy(&linked, &unfinished)
        .with_context(|| format!("cargo did not leave {}", linked.display()))?;
    ksyms::fill(&unfinished)?;
    fs::rename(&unfinished, &image)?;
    Ok(image)
}

/// Builds a package for the bare machine, and returns where its program is.
fn cargo_build(package: &str, guest: Option<&Path>) -> Result<PathBuf> {
    let target = workspace::target().join("bare-metal");
    let mut cargo = tools::toolchain(BARE_METAL)?.cargo("build");
    cargo
        .current_dir(workspace::root())
        .args(["--release", "--locked", "--package", package]);
    cargo.arg("--target-dir").arg(&target);
    cargo.env(
        "CARGO_TARGET_AARCH64_UNKNOWN_NONE_SOFTFLOAT_LINKER",
        Tool::Lld.path()?,
    );
    // Call chains follow the frame records.
    cargo.env(
        "CARGO_TARGET_AARCH64_UNKNOWN_NONE_SOFTFLOAT_RUSTFLAGS",
        "-Cforce-frame-pointers=yes",
    );
    if let Some(guest) = guest {
        cargo.env("AXEBPF_GUEST_IMAGE", guest);
    }
    run_command(&mut cargo)?;
    Ok(target.join(BARE_METAL).join("release").join(package))
}
