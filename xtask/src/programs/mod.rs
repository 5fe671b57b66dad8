//! The shipped eBPF programs: compiling, reading and comparing them.

mod c;
mod manifest;
mod report;
mod rust;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

pub(crate) use manifest::Manifest;
pub(crate) use report::Report;

use crate::{process::output, tools::Tool};

/// How the files of built objects end.
pub(crate) const SUFFIX: &str = ".bpf.o";

/// Compiles all programs, C and Rust, and leaves their objects in `to`, which must be empty.
///
/// Returns the objects' names in the order of the alphabet.
pub(crate) fn compile(to: &Path) -> Result<Vec<String>> {
    let mut names = c::compile(to)?;
    names.extend(rust::compile(to)?);
    names.sort_unstable();
    let total = names.len();
    names.dedup();
    ensure!(
        names.len() == total,
        "two programs have the same name: {}",
        names.join(", ")
    );
    for name in &names {
        strip(&object(to, name))?;
    }
    Ok(names)
}

/// Returns where the object `name` lies in `folder`.
pub(crate) fn object(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}{SUFFIX}"))
}

/// Returns the names of the objects in `folder`, in the order of the alphabet.
pub(crate) fn objects(folder: &Path) -> Result<Vec<String>> {
    files(folder, SUFFIX)
}

/// Returns the names of the files in `folder` that end in `suffix`, without it, in the order of the alphabet.
fn files(folder: &Path, suffix: &str) -> Result<Vec<String>> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        names.extend(name.strip_suffix(suffix).map(str::to_owned));
    }
    names.sort_unstable();
    Ok(names)
}

/// Drops the debug information; BTF, which the loader reads, stays.
fn strip(object: &Path) -> Result<()> {
    output(
        Command::new(Tool::Objcopy.path()?)
            .arg("--strip-debug")
            .arg(object),
    )?;
    Ok(())
}
