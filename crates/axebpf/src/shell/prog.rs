//! `prog`.

mod show;

use alloc::{
    borrow::Cow,
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use core::fmt::Write;

use axebpf_vm::Program;

use super::{
    CommandResult, Session, SourceError,
    args::Args,
    command::Command,
    complaint::{Complaint, counted},
    find::{self, ids},
    table::{Align, Table},
    upload,
};
use crate::{LinkOptions, LoadOptions, MapId, ObjectId, ProgramInfo, Target, Unload};

pub(crate) const COMMANDS: &[Command] = &[
    Command {
        name: "list",
        usage: "prog list [--available]",
        summary: "lists the loaded programs",
        details: "--available lists the objects that can be loaded by name instead.",
        run: list,
    },
    Command {
        name: "load",
        usage: "prog load NAME [--as NAME] [--reuse MAP=ID] [--budget N] [--btf VM] [--attach] [--upload]",
        summary: "loads an object",
        details: "\
NAME is one of `prog list --available`; with --upload the object comes over
the console instead (`cargo xtask push` does this). --as gives it another
name. --reuse lets it use map ID as its map MAP; it can be given several
times. --budget is the number of instructions that a run may execute (65536).
--btf adapts the programs to the types of the kernel of a guest (CO-RE), which
is in its memory; an object all of whose programs are for one guest needs no
--btf. --attach attaches each program to what its section names.",
        run: load,
    },
    Command {
        name: "unload",
        usage: "prog unload OBJECT [--force]",
        summary: "unloads an object",
        details: "\
OBJECT is a name or a number. Its programs must not be attached; --force
detaches them first. Maps go with the last object that uses them, unless they
are pinned.",
        run: unload,
    },
    show::COMMAND,
];

fn list(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    let available = args.flag("--available");
    args.end()?;
    if available {
        return list_available(session);
    }
    let programs = session.shell.registry.programs()?;
    if programs.is_empty() {
        session
            .io
            .write("no programs are loaded; `prog list --available` shows what can be\n");
        return Ok(());
    }
    write_programs(session, &programs)
}

fn list_available(session: &mut Session<'_>) -> CommandResult {
    let entries = session.shell.source.list();
    if entries.is_empty() {
        session
            .io
            .write("this hypervisor offers no objects; `prog load NAME --upload` takes one\n");
        return Ok(());
    }
    let mut table = Table::new(&[("BYTES", Align::Right), ("OBJECT", Align::Left)]);
    for entry in entries {
        table.row(vec![entry.len.to_string(), entry.name]);
    }
    table.write(&mut session.out())?;
    Ok(())
}

fn write_programs(session: &mut Session<'_>, programs: &[ProgramInfo]) -> CommandResult {
    let mut table = Table::new(&[
        ("ID", Align::Right),
        ("OBJECT", Align::Left),
        ("PROGRAM", Align::Left),
        ("INSNS", Align::Right),
        ("LINKS", Align::Left),
        ("TARGET", Align::Left),
    ]);
    for info in programs {
        let object = session.shell.registry.object(info.object)?;
        table.row(vec![
            info.id.to_string(),
            format!("{}:{}", object.id, object.name),
            info.program.name().to_string(),
            info.program.insn_count().to_string(),
            if info.links.is_empty() {
                "-".into()
            } else {
                ids(info.links.iter())
            },
            target(&info.program),
        ]);
    }
    table.write(&mut session.out())?;
    Ok(())
}

/// Where a program says that it attaches, as short as an operator can write it.
fn target(program: &Program) -> String {
    match program.target().map(Target::try_from) {
        Some(Ok(Target::Tracepoint { system, name })) => format!("{system}:{name}"),
        Some(Ok(target)) => target.to_string(),
        _ => program.section().to_string(),
    }
}

fn load(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    let uploaded = args.flag("--upload");
    let attach = args.flag("--attach");
    let mut reuse = Vec::new();
    while let Some(text) = args.option("--reuse")? {
        reuse.push(parse_reuse(session, &args, text)?);
    }
    let budget = args.number("--budget")?;
    let types_of = args.option("--btf")?;
    let shown_name = args.option("--as")?;
    let name = args.need("the name of the object")?;
    args.end()?;
    let object: Cow<'_, [u8]> = if uploaded {
        let platform = session.shell.registry.platform();
        upload::receive(session.io, platform, upload::MAX_OBJECT)?.into()
    } else {
        session
            .shell
            .source
            .read(name)
            .map_err(|error| unreadable(session, error))?
    };
    let mut options = LoadOptions::default().with_reuse(&reuse);
    set_types(&mut options, types_of)?;
    let id = session
        .shell
        .registry
        .load(shown_name.unwrap_or(name), &object, &options)?;
    if let Some(budget) = budget {
        set_budget(session, id, budget)?;
    }
    if attach && let Err(complaint) = attach_all(session, id) {
        // Half of what was asked for would be left behind.
        session.shell.registry.unload(id, Unload::Force)?;
        return Err(complaint);
    }
    report(session, id)
}

/// Takes the guest whose types are meant.
#[cfg(feature = "guest-kprobe")]
fn set_types(options: &mut LoadOptions<'_>, vm: Option<&str>) -> CommandResult {
    options.types_of = vm.map(super::vm::number).transpose()?;
    Ok(())
}

#[cfg(not(feature = "guest-kprobe"))]
fn set_types(_: &mut LoadOptions<'_>, vm: Option<&str>) -> CommandResult {
    match vm {
        None => Ok(()),
        Some(_) => Err(Complaint::new("this build probes no guests")),
    }
}

fn parse_reuse<'a>(
    session: &Session<'_>,
    args: &Args<'_>,
    text: &'a str,
) -> Result<(&'a str, MapId), Complaint> {
    let (name, map) = text
        .split_once('=')
        .ok_or_else(|| args.misuse(format!("`--reuse {text}` is not MAP=ID")))?;
    Ok((name, find::map(session.shell.registry, map)?.id))
}

fn unreadable(session: &Session<'_>, error: SourceError) -> Complaint {
    match &error {
        SourceError::NotFound { name } => {
            let entries = session.shell.source.list();
            let known = entries.iter().map(|entry| entry.name.as_str());
            Complaint::unknown("object", name, known, "prog list --available")
        }
        _ => Complaint::new(error.to_string()),
    }
}

/// Sets the budget of all programs of an object; more than can be counted is as much as can be
/// counted.
fn set_budget(session: &Session<'_>, id: ObjectId, budget: u64) -> CommandResult {
    for program in session.shell.registry.object(id)?.programs {
        let budget = u32::try_from(budget).unwrap_or(u32::MAX);
        session
            .shell
            .registry
            .program(program)?
            .program
            .set_budget(budget);
    }
    Ok(())
}

fn attach_all(session: &Session<'_>, id: ObjectId) -> CommandResult {
    for program in session.shell.registry.object(id)?.programs {
        session
            .shell
            .registry
            .attach(program, &LinkOptions::default())?;
    }
    Ok(())
}

fn report(session: &mut Session<'_>, id: ObjectId) -> CommandResult {
    let registry = session.shell.registry;
    let object = registry.object(id)?;
    writeln!(
        session.out(),
        "object {id}, {}: {}, {}",
        object.name,
        counted(object.programs.len() as u64, "program"),
        counted(object.maps.len() as u64, "map")
    )?;
    let programs: Result<Vec<_>, _> = object
        .programs
        .iter()
        .map(|id| registry.program(*id))
        .collect();
    write_programs(session, &programs?)
}

fn unload(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    let unload = if args.flag("--force") {
        Unload::Force
    } else {
        Unload::IfUnused
    };
    let name = args.need("the object")?;
    args.end()?;
    let object = find::object(session.shell.registry, name)?;
    session.shell.registry.unload(object.id, unload)?;
    writeln!(
        session.out(),
        "unloaded object {}, {}",
        object.id,
        object.name
    )?;
    Ok(())
}
