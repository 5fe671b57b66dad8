//! `cargo xtask push`.

use std::{
    fs,
    fs::File,
    io::{self, IsTerminal},
    os::unix::net::UnixStream,
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use axebpf_e2e::{Console, PROMPT, upload_by};

use crate::{process::output, programs};

/// Loads an eBPF object into a running hypervisor, over the console of its shell, or gives it the symbols of a guest.
///
/// The shell must be at its prompt, and nobody else may type meanwhile. QEMU offers the console of its machine as a
/// socket with `-serial unix:/tmp/axebpf.sock,server,nowait` and as a terminal with `-serial pty`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The object file, such as one of `cargo xtask build-programs` or what clang makes; or the guest's
    /// /proc/kallsyms, its System.map, or what `cargo xtask guest-symbols` makes of one or of a vmlinux.
    file: PathBuf,
    #[command(flatten)]
    line: Line,
    /// The name that the object gets; that of the file, if it is not given.
    #[arg(long)]
    name: Option<String>,
    /// Attach its programs to what their sections name.
    #[arg(long)]
    attach: bool,
    /// Adapt its programs to the types of the kernel of this guest.
    #[arg(long, value_name = "VM")]
    btf: Option<u32>,
    /// The file has the symbols of the kernel of this guest.
    #[arg(long, value_name = "VM", conflicts_with_all = ["name", "attach", "btf"])]
    symbols_of: Option<u32>,
    /// By how many bytes that kernel runs elsewhere than the file says, such as 0x200000; without it, the shell finds
    /// out.
    #[arg(long, value_name = "BYTES", requires = "symbols_of")]
    slide: Option<String>,
}

/// Where the console is.
#[derive(clap::Args)]
#[group(required = true, multiple = false)]
struct Line {
    /// The console is a Unix socket.
    #[arg(long, value_name = "SOCKET")]
    unix: Option<PathBuf>,
    /// The console is a terminal device, such as /dev/pts/3 or /dev/ttyUSB0.
    #[arg(long, value_name = "DEVICE")]
    tty: Option<PathBuf>,
    /// The console is on standard input and output.
    #[arg(long)]
    stdio: bool,
}

/// How long the shell may take to show its prompt.
const PROMPT_TIMEOUT: Duration = Duration::from_secs(10);

pub(crate) fn run(args: &Args) -> Result<()> {
    let object =
        fs::read(&args.file).with_context(|| format!("cannot read {}", args.file.display()))?;
    let command = command(args)?;
    let mut console = open(&args.line)?;
    eprintln!("==> waiting for the shell's prompt");
    console.send(b"\r")?;
    console
        .expect(PROMPT, PROMPT_TIMEOUT)
        .context("no prompt; is the shell of the hypervisor on that line, and idle?")?;
    eprintln!(
        "==> sending {} ({} bytes) to `{command}`",
        args.file.display(),
        object.len()
    );
    let watched = io::stderr().is_terminal();
    let said = upload_by(&mut console, &command, &object, |bytes| {
        if watched {
            eprint!("\r    {bytes} of {} bytes", object.len());
        }
    })?;
    if watched {
        eprintln!("\r    all {} bytes are there    ", object.len());
    }
    eprintln!("{}", said.trim_end());
    ensure!(!said.contains("error"), "the shell did not take the file");
    Ok(())
}

/// Returns the command of the shell that takes the file.
fn command(args: &Args) -> Result<String> {
    if let Some(vm) = args.symbols_of {
        let slide = args.slide.as_ref();
        let slide = slide.map_or(String::new(), |slide| format!(" --slide {slide}"));
        return Ok(format!("vm syms {vm} --upload{slide}"));
    }
    let name = match &args.name {
        Some(name) => name.clone(),
        None => name_of(&args.file)?,
    };
    let mut command = format!("prog load --upload {name}");
    if let Some(vm) = args.btf {
        command.push_str(&format!(" --btf {vm}"));
    }
    if args.attach {
        command.push_str(" --attach");
    }
    Ok(command)
}

/// Returns the file's name without what objects end in.
fn name_of(file: &Path) -> Result<String> {
    let name = file
        .file_name()
        .context("the file has no name")?
        .to_string_lossy();
    let ends = [programs::SUFFIX, ".o"];
    let bare = ends.into_iter().find_map(|end| name.strip_suffix(end));
    Ok(bare.unwrap_or(&name).to_owned())
}

fn open(line: &Line) -> Result<Console> {
    if let Some(path) = &line.unix {
        let stream = UnixStream::connect(path)
            .with_context(|| format!("cannot connect to {}", path.display()))?;
        return Ok(Console::new(stream.try_clone()?, stream));
    }
    if let Some(path) = &line.tty {
        // As it comes, without echo and translation.
        output(
            Command::new("stty")
                .arg("-F")
                .arg(path)
                .args(["raw", "-echo"]),
        )?;
        let device = File::options()
            .read(true)
            .write(true)
            .open(path)
            .with_context(|| format!("cannot open {}", path.display()))?;
        return Ok(Console::new(device.try_clone()?, device));
    }
    Ok(Console::new(io::stdout(), io::stdin()))
}
