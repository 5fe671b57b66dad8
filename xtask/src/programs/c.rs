//! Programs in C.

use std::{path::Path, process::Command};

use anyhow::Result;

use super::{files, object};
use crate::{process::output, tools::Tool, workspace};

/// How the sources end.
const SUFFIX: &str = ".bpf.c";

/// Compiles each `c/<name>.bpf.c` to `<name>.bpf.o` in `to`, and returns the names.
pub(super) fn compile(to: &Path) -> Result<Vec<String>> {
    let programs = workspace::programs();
    let clang = Tool::Clang.path()?;
    let headers = Tool::LibbpfHeaders.path()?;
    let names = files(&programs.join("c"), SUFFIX)?;
    for name in &names {
        println!("    {name}: clang");
        let mut command = Command::new(&clang);
        // Relative paths, from the folder of the sources: what is built does not depend on where the tree lies.
        command.current_dir(&programs);
        command.args([
            "-target",
            "bpf",
            "-mcpu=v3",
            "-O2",
            "-g",
            "-D__TARGET_ARCH_arm64",
        ]);
        command.args([
            "-std=gnu17",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-Iinclude",
            "-isystem",
        ]);
        command.arg(&headers);
        command.arg(format!("-ffile-prefix-map={}=.", programs.display()));
        command
            .arg("-c")
            .arg(format!("c/{name}{SUFFIX}"))
            .arg("-o")
            .arg(object(to, name));
        output(&mut command)?;
    }
    Ok(names)
}
