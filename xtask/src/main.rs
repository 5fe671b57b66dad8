//! Builds, embeds, runs and tests axebpf.
#![forbid(unsafe_code)]

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};

mod a64;
mod bench;
mod build_image;
mod build_programs;
mod check_bare_metal;
mod demo;
mod events;
mod features;
mod fuzz;
mod guest_symbols;
mod ksyms;
mod lint;
mod linux;
mod process;
mod programs;
mod push;
mod setup;
mod soak;
mod test;
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
    GuestSymbols(guest_symbols::Args),
    Push(push::Args),
    Demo(demo::Args),
    Linux(linux::Args),
    Test(test::Args),
    Soak(soak::Args),
    Bench(bench::Args),
    Lint(lint::Args),
    CheckBareMetal(check_bare_metal::Args),
}

fn main() -> ExitCode {
    match run(&Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let causes: Vec<String> = error.chain().map(ToString::to_string).collect();
            eprintln!("error: {}", causes.join("\n  because: "));
            ExitCode::FAILURE
        }
    }
}

fn run(command: &Command) -> Result<()> {
    match command {
        Command::Setup(args) => setup::run(args),
        Command::BuildPrograms(args) => build_programs::run(args),
        Command::BuildImage(args) => build_image::run(args),
        Command::Ksyms(args) => ksyms::run(args),
        Command::GuestSymbols(args) => guest_symbols::run(args),
        Command::Push(args) => push::run(args),
        Command::Demo(args) => demo::run(args),
        Command::Linux(args) => linux::run(args),
        Command::Test(args) => test::run(args),
        Command::Soak(args) => soak::run(args),
        Command::Bench(args) => bench::run(args),
        Command::Lint(args) => lint::run(args),
        Command::CheckBareMetal(args) => check_bare_metal::run(args),
    }
}
