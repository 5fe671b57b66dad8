//! `cargo xtask build-image`.

use anyhow::Result;

/// Builds the testbed: the guest, the hypervisor around it, and the symbol table inside.
#[derive(clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(_args: &Args) -> Result<()> {
    Ok(())
}
