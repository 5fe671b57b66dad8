//! Where things are in the tree.

use std::{
    env,
    path::{Path, PathBuf},
};

/// Returns the root of the workspace.
pub(crate) fn root() -> PathBuf {
    // The manifest's folder, `xtask`, lies in the root.
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map(Path::to_path_buf)
        .unwrap_or_default()
}

/// Returns the folder for what is built.
pub(crate) fn target() -> PathBuf {
    env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from)
}

/// Returns the sources of the shipped programs.
pub(crate) fn programs() -> PathBuf {
    root().join("ebpf-programs")
}

/// Returns where the built programs lie that the library embeds.
pub(crate) fn precompiled() -> PathBuf {
    root().join("crates/axebpf/precompiled")
}

/// Returns where the finished testbed image lies.
pub(crate) fn image() -> PathBuf {
    target().join("image/axebpf-testbed")
}
