//! `vm`: the guests that are open to probes.

use alloc::{
    string::{String, ToString},
    sync::Arc,
    vec,
};
use core::fmt::Write;

use axebpf_guestprobe::GuestStage;
use axebpf_platform::VmId;
use axebpf_symbols::{KernelSymbols, Slide};

use super::{
    CommandResult, Session,
    args::Args,
    command::Command,
    complaint::{Complaint, counted, shortened},
    table::{Align, Table},
    upload,
};
use crate::{GuestError, GuestInfo, SymbolOrigin};

pub(crate) const COMMANDS: &[Command] = &[
    Command {
        name: "list",
        usage: "vm list",
        summary: "lists the guests whose kernels can be probed",
        details: "\
KERNEL says whether the guest's kernel is starting or runs programs. TASKS says
whether it is known how it keeps its tasks, so that programs see their numbers
and names. SYMBOLS is how many are known.",
        run: list,
    },
    Command {
        name: "syms",
        usage: "vm syms VM [auto|FILE|--upload] [--slide BYTES]",
        summary: "finds or takes the symbols of a guest's kernel",
        details: "\
auto looks for them in the guest's memory, whatever is known; without it they
are looked for unless they are known. FILE, or with --upload what comes over
the console, is the text of /proc/kallsyms or of a System.map, or a blob that
`cargo xtask guest-symbols` makes. How far the kernel runs from where it was
linked is found out, or is BYTES. Attaching by name and `gsym` look for symbols
by themselves.",
        run: syms,
    },
];

fn list(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    args.end()?;
    let guests = session.shell.registry.guests()?;
    if guests.is_empty() {
        session.io.write("no VM is open to probes\n");
        return Ok(());
    }
    let mut table = Table::new(&[
        ("VM", Align::Right),
        ("KERNEL", Align::Left),
        ("TASKS", Align::Left),
        ("SYMBOLS", Align::Right),
    ]);
    for guest in guests {
        table.row(vec![
            guest.vm.to_string(),
            stage(guest.stage).into(),
            if guest.knows_tasks { "known" } else { "-" }.into(),
            guest
                .symbols
                .map_or_else(|| "-".into(), |count| count.to_string()),
        ]);
    }
    table.write(&mut session.out())?;
    Ok(())
}

/// Says how far a guest has come.
fn stage(stage: GuestStage) -> &'static str {
    match stage {
        GuestStage::Off => "-",
        GuestStage::Kernel => "starts",
        _ => "runs",
    }
}

fn syms(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    let uploaded = args.flag("--upload");
    let slide = args.option("--slide")?.map(slide).transpose()?;
    let vm = number(args.need("the VM")?)?;
    let from = match (uploaded, args.maybe()?) {
        (true, _) => Source::Upload(slide),
        (false, Some("auto")) => Source::Memory,
        (false, Some(name)) => Source::File(name, slide),
        (false, None) => Source::Anywhere,
    };
    args.end()?;
    let platform = session.shell.registry.platform();
    let start = platform.now_ns();
    let symbols = take(session, vm, &from)?;
    let took = platform.now_ns().saturating_sub(start) / 1_000_000;
    report(session, vm, &symbols, took)
}

/// Where symbols are taken from; from a file, with how far they are moved if somebody says it.
enum Source<'a> {
    /// What is known, or else the guest's memory.
    Anywhere,
    Memory,
    File(&'a str, Option<Slide>),
    Upload(Option<Slide>),
}

/// Takes the symbols of a guest.
fn take(
    session: &mut Session<'_>,
    vm: VmId,
    from: &Source<'_>,
) -> Result<Arc<KernelSymbols>, Complaint> {
    let registry = session.shell.registry;
    // A VM that is not there is complained of before anything is taken.
    info(session, vm)?;
    Ok(match from {
        Source::Anywhere => registry.guest_symbols(vm)?,
        Source::Memory => registry.find_guest_symbols(vm)?,
        Source::File(name, slide) => {
            let file = session.shell.source.read(name);
            let file = file.map_err(|error| Complaint::new(error.to_string()))?;
            registry.set_guest_symbols(vm, &file, *slide)?
        }
        Source::Upload(slide) => {
            let file = upload::receive(session.io, registry.platform(), upload::MAX_SYMBOLS)?;
            registry.set_guest_symbols(vm, &file, *slide)?
        }
    })
}

/// Returns what there is to know of a guest.
fn info(session: &Session<'_>, vm: VmId) -> Result<GuestInfo, Complaint> {
    let guests = session.shell.registry.guests()?;
    let guest = guests.into_iter().find(|guest| guest.vm == vm);
    let guest = guest.ok_or(GuestError::NoGuest { vm });
    Ok(guest.map_err(crate::Error::from)?)
}

/// Says what symbols were taken, in how many milliseconds.
fn report(
    session: &mut Session<'_>,
    vm: VmId,
    symbols: &KernelSymbols,
    took: u64,
) -> CommandResult {
    let guest = info(session, vm)?;
    let tasks = if guest.knows_tasks {
        "its tasks are known"
    } else {
        "programs see no tasks"
    };
    let symbols = counted(symbols.len() as u64, "symbol");
    let mut out = session.out();
    writeln!(out, "vm {vm}: {symbols}, found in {took} ms; {tasks}")?;
    if let Some(SymbolOrigin::File { slide }) = guest.origin {
        writeln!(out, "  {}", place(slide))?;
    }
    Ok(())
}

/// Says where symbols from a file are.
fn place(slide: Option<Slide>) -> String {
    match slide {
        None => "moved to where the kernel runs as soon as it does".into(),
        Some(Slide::ZERO) => "where the file says".into(),
        Some(slide) => alloc::format!("moved by {slide} from where the file says"),
    }
}

/// Reads a distance: hexadecimal with `0x`, or decimal, with a sign if it is negative.
fn slide(text: &str) -> Result<Slide, Complaint> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let bytes = match digits.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => digits.parse(),
    };
    let is_negative = digits.len() != text.len();
    match bytes {
        Ok(bytes) if is_negative => Ok(Slide::between(bytes, 0)),
        Ok(bytes) => Ok(Slide::between(0, bytes)),
        Err(_) => Err(
            Complaint::new(alloc::format!("`{}` is no distance", shortened(text)))
                .hint("write it as in --slide 0x200000"),
        ),
    }
}

/// Reads the number of a VM: `1` or `vm1`.
pub(crate) fn number(text: &str) -> Result<VmId, Complaint> {
    let digits = text.strip_prefix("vm").unwrap_or(text);
    digits.parse().map(VmId::new).map_err(|_| {
        Complaint::new(alloc::format!("`{}` is no VM", shortened(text)))
            .hint("a VM is its number, as in 1 or vm1; `vm list` shows what there is")
    })
}
