//! `cargo xtask build-programs`.

use std::{fs, path::Path};

use anyhow::{Context, Result, ensure};

use crate::{
    events,
    process::say,
    programs::{self, Manifest, Report},
    tools::{self, Tool},
    workspace,
};

/// Compiles the shipped eBPF programs, in C and in Rust, and reports what is in them.
///
/// First it writes ebpf-programs/include/axebpf_events.h and its Rust sibling, the contexts of the events, from the
/// catalogue in axebpf-tp. The objects go to crates/axebpf/precompiled, where the library takes them from. They are
/// committed, so that users without clang have them too: commit them with the sources that they are built from.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Change nothing, and fail when the objects in the tree are not what the sources give.
    #[arg(long)]
    check: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    tools::ensure(&Tool::PROGRAMS)?;
    if args.check { check() } else { build() }
}

/// Builds the programs into the tree, and prints what they are.
fn build() -> Result<()> {
    events::write()?;
    let built = tempfile::tempdir()?;
    let names = compile(built.path())?;
    install(built.path(), &names)
}

/// Builds the programs and prints what they are. They go into the tree only where that changes nothing but for the
/// sources: objects that other versions of the tools have built stay as they are.
pub(crate) fn build_for_use() -> Result<()> {
    let built = tempfile::tempdir()?;
    let names = compile(built.path())?;
    let (there, here) = (
        Manifest::read(&workspace::precompiled()),
        Manifest::of_this_machine()?,
    );
    if there.is_ok_and(|there| there != here) {
        say("other versions of the tools built the objects in the tree, which are used");
        return Ok(());
    }
    install(built.path(), &names)
}

/// Compiles the programs into `to`, prints what they are, and returns their names.
fn compile(to: &Path) -> Result<Vec<String>> {
    say("compiling the eBPF programs");
    let names = programs::compile(to)?;
    Report::print_head();
    for name in &names {
        Report::read(&programs::object(to, name))?.print();
    }
    Ok(names)
}

/// Copies the objects `names` from `built` into the tree.
fn install(built: &Path, names: &[String]) -> Result<()> {
    let to = workspace::precompiled();
    fs::create_dir_all(&to)?;
    for stale in programs::objects(&to)? {
        if !names.contains(&stale) {
            fs::remove_file(programs::object(&to, &stale))?;
        }
    }
    for name in names {
        copy_changed(&programs::object(built, name), &programs::object(&to, name))?;
    }
    Manifest::of_this_machine()?.write(&to)?;
    say(format_args!(
        "{} objects are in {}",
        names.len(),
        to.display()
    ));
    Ok(())
}

/// Copies a file unless there is one with the same bytes: what depends on it is then not built again.
fn copy_changed(from: &Path, to: &Path) -> Result<()> {
    let new = fs::read(from)?;
    if fs::read(to).is_ok_and(|old| old == new) {
        return Ok(());
    }
    fs::write(to, new).with_context(|| format!("cannot write {}", to.display()))
}

/// Builds the programs elsewhere and compares them with those in the tree.
pub(crate) fn check() -> Result<()> {
    events::check()?;
    let built = tempfile::tempdir()?;
    let committed = workspace::precompiled();
    say("compiling the eBPF programs to compare them with those in the tree");
    let names = programs::compile(built.path())?;
    let there = programs::objects(&committed)?;
    ensure!(
        names == there,
        "the tree has the objects {}, the sources give {}\n  \
         run `cargo xtask build-programs` and commit what it changes",
        there.join(", "),
        names.join(", ")
    );
    let differences = Manifest::read(&committed)?.differences(&Manifest::of_this_machine()?);
    tell_tools(&differences);
    for name in &names {
        let here = programs::object(built.path(), name);
        let there = programs::object(&committed, name);
        let is_same = if differences.is_empty() {
            fs::read(&here)? == fs::read(&there)?
        } else {
            Report::read(&here)?.is_like(&Report::read(&there)?)
        };
        ensure!(
            is_same,
            "{} is not what the sources give\n  \
             run `cargo xtask build-programs` and commit what it changes",
            there.display()
        );
        println!("    {name}: as in the tree");
    }
    Ok(())
}

/// Says whether the tools are those that built the objects in the tree, and so how closely these are compared.
fn tell_tools(differences: &[String]) {
    if differences.is_empty() {
        say("the tools are those that built the objects in the tree: comparing byte by byte");
        return;
    }
    say(
        "WARNING: other tools built the objects in the tree; comparing programs, sections, maps and BTF only",
    );
    for difference in differences {
        println!("    {difference}");
    }
}
