//! `prog show`.

use alloc::{
    string::{String, ToString},
    vec::Vec,
};
use core::fmt::Write;

use axebpf_vm::ProgramStats;

use crate::{
    ProgramInfo,
    shell::{
        CommandResult, Session,
        args::Args,
        command::Command,
        disasm,
        find::{self, ids},
        io::Out,
    },
};

pub(super) const COMMAND: Command = Command {
    name: "show",
    usage: "prog show PROGRAM [--code]",
    summary: "shows one program: section, maps, links, counters",
    details: "\
PROGRAM is a number, a name, or OBJECT/NAME. --code shows its instructions.",
    run,
};

fn run(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    let code = args.flag("--code");
    let name = args.need("the program")?;
    args.end()?;
    let info = find::program(session.shell.registry, name)?;
    show_facts(session, &info)?;
    if code {
        show_code(session, &info)?;
    }
    Ok(())
}

fn show_facts(session: &mut Session<'_>, info: &ProgramInfo) -> CommandResult {
    let registry = session.shell.registry;
    let object = registry.object(info.object)?;
    let program = &info.program;
    let maps: Vec<_> = program.maps().map(|map| map.name().to_string()).collect();
    let mut out = session.out();
    writeln!(out, "program       {}, {}", info.id, program.name())?;
    writeln!(out, "object        {}, {}", object.id, object.name)?;
    writeln!(out, "license       {}", or_dash(object.license))?;
    writeln!(out, "section       {}", program.section())?;
    writeln!(out, "instructions  {}", program.insn_count())?;
    writeln!(out, "budget        {} instructions a run", program.budget())?;
    writeln!(out, "maps          {}", or_dash(maps.join(", ")))?;
    writeln!(out, "links         {}", or_dash(ids(info.links.iter())))?;
    write_counters(&mut out, &program.stats())?;
    Ok(())
}

fn write_counters(out: &mut Out<'_>, stats: &ProgramStats) -> CommandResult {
    writeln!(
        out,
        "runs          {}, stopped {}",
        stats.runs,
        stats.aborts()
    )?;
    for (count, what) in [
        (stats.budget_aborts, "stopped: the budget was used up"),
        (
            stats.memory_aborts,
            "stopped: memory that is not the program's",
        ),
        (
            stats.helper_aborts,
            "stopped: a helper got what is no map or no record",
        ),
        (stats.other_aborts, "stopped for another reason"),
        (stats.helper_errors, "helper calls returned an error"),
        (
            stats.abandoned_records,
            "ring-buffer records left unsubmitted",
        ),
    ] {
        if count != 0 {
            writeln!(out, "              {count} {what}")?;
        }
    }
    Ok(())
}

fn or_dash(text: String) -> String {
    if text.is_empty() { "-".into() } else { text }
}

fn show_code(session: &mut Session<'_>, info: &ProgramInfo) -> CommandResult {
    let insns = info.program.insns();
    let mut shown = 0;
    session.io.write("\n");
    for (at, insn) in insns.iter().enumerate() {
        if at < shown {
            continue;
        }
        shown = at + if insn.is_wide() { 2 } else { 1 };
        let text = disasm::text(at, *insn, insns.get(at + 1).copied());
        writeln!(session.out(), "{at:>6}: {text}")?;
        if session.io.interrupted() {
            break;
        }
    }
    Ok(())
}
