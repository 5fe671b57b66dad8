//! Builds, embeds, runs and tests axebpf.
#![forbid(unsafe_code)]

use anyhow::Result;
use clap::{Parser, Subcommand};

mod build_image;
mod build_programs;
mod events;
mod ksyms;
mod process;
mod programs;
mod setup;
mod toolchain;
mod tools;
mod workspace;

/// Builds, embeds, runs and tests axebpf.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask", max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Setup(setup::Args),
    BuildPrograms(build_programs::Args),
    BuildImage(build_image::Args),
    Ksyms(ksyms::Args),
}

fn main() -> Result<()> {
    match Cli::parse().command {
        Command::Setup(args) => setup::run(&args),
        Command::BuildPrograms(args) => build_programs::run(&args),
        Command::BuildImage(args) => build_image::run(&args),
        Command::Ksyms(args) => ksyms::run(&args),
    }
}
