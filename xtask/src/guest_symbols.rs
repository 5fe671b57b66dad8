//! `cargo xtask guest-symbols`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use axebpf_symbols::{Encoder, KernelSymbol, KernelSymbols};

use crate::{ksyms, process::say};

/// Makes a blob of the symbols of a guest's kernel, for `vm syms VM FILE` at the shell and for `push --symbols-of`.
///
/// Takes a vmlinux (an ELF file with a symbol table), a System.map, or what root reads in /proc/kallsyms. All of a blob
/// is under a checksum, so that one that was damaged on its way is noticed. Where the kernel runs does not matter: the
/// shell finds out by how far it runs from where it was linked, or is told with `--slide`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The vmlinux, System.map or /proc/kallsyms.
    file: PathBuf,
    /// Where the blob goes; unless it is given, beside the file, with `.ksyms` behind its name.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Take functions alone, which is all that can be probed, and about half of a vmlinux.
    #[arg(long)]
    functions: bool,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    let output = args.output.clone().unwrap_or_else(|| {
        let mut name = args.file.clone().into_os_string();
        name.push(".ksyms");
        name.into()
    });
    say(format_args!(
        "writing the symbols in {} to {}",
        args.file.display(),
        output.display()
    ));
    let blob = blob(&args.file, &wanted(args))
        .with_context(|| format!("no symbols of a kernel in {}", args.file.display()))?;
    fs::write(&output, &blob).with_context(|| format!("cannot write {}", output.display()))?;
    println!("    {} bytes", blob.len());
    Ok(())
}

/// Returns whether a symbol of a type goes into the blob.
fn wanted(args: &Args) -> impl Fn(char) -> bool {
    let functions = args.functions;
    move |kind| !functions || matches!(kind, 'T' | 't' | 'W' | 'w')
}

fn blob(path: &Path, wanted: &impl Fn(char) -> bool) -> Result<Vec<u8>> {
    let file = fs::read(path).context("cannot read it")?;
    let mut encoder = Encoder::new();
    let refused = if file.starts_with(b"\x7fELF") {
        ksyms::push_all(&mut encoder, &file, wanted)?
    } else {
        push_text(&mut encoder, &file, wanted)?
    };
    println!("    {} symbols, {refused} left out", encoder.len());
    if encoder.is_empty() {
        bail!("it has none; a vmlinux must not be stripped");
    }
    let blob = encoder.finish_file()?;
    // What cannot be read again is not handed out.
    KernelSymbols::from_file(&blob)?;
    Ok(blob)
}

/// Adds the symbols in a text, and returns how many were left out because a blob cannot have them.
fn push_text(encoder: &mut Encoder, text: &[u8], wanted: &impl Fn(char) -> bool) -> Result<usize> {
    let symbols = KernelSymbols::from_file(text)?;
    let is_wanted = |symbol: &KernelSymbol<'_>| wanted(symbol.kind());
    let refused = symbols.iter().filter(is_wanted).filter_map(|symbol| {
        let error = encoder.push_kernel(&symbol).err()?;
        println!("    left out: {error}");
        Some(error)
    });
    Ok(refused.count())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAP: &str = "\
ffff800008000000 T _text
ffff800008010000 T vfs_read
ffff800008010100 d counter
ffff800001000000 t ext4_init\t[ext4]
";

    fn made(content: &[u8], functions: bool) -> Result<Vec<String>> {
        let folder = tempfile::tempdir()?;
        let file = folder.path().join("System.map");
        fs::write(&file, content)?;
        run(&Args {
            file: file.clone(),
            output: None,
            functions,
        })?;
        let blob = fs::read(folder.path().join("System.map.ksyms"))?;
        let symbols = KernelSymbols::from_file(&blob)?;
        Ok(symbols
            .iter()
            .map(|symbol| format!("{:x} {symbol}", symbol.address()))
            .collect())
    }

    #[test]
    fn a_text_becomes_a_blob() {
        let all = made(MAP.as_bytes(), false).unwrap();
        assert_eq!(
            all,
            [
                "ffff800001000000 ext4_init [ext4]",
                "ffff800008000000 _text",
                "ffff800008010000 vfs_read",
                "ffff800008010100 counter"
            ]
        );
        assert_eq!(made(MAP.as_bytes(), true).unwrap().len(), 3);
    }

    #[test]
    fn what_has_no_symbols_is_refused() {
        for content in [&b"\x7fELF"[..], b"", b"0000 T _text\n", b"what is this"] {
            assert!(made(content, false).is_err(), "{content:?}");
        }
    }
}
