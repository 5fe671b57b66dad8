//! `link`.

use alloc::{format, string::ToString, vec, vec::Vec};
use core::fmt::Write;

use super::{
    CommandResult, Session,
    args::Args,
    command::Command,
    complaint::Complaint,
    find,
    table::{Align, Table},
};
use crate::{LinkId, LinkOptions, Target};

pub(crate) const COMMANDS: &[Command] = &[
    Command {
        name: "list",
        usage: "link list",
        summary: "lists what is attached where, with counters",
        details: "\
RUNS counts the hits for which the program ran to its end, MISSED those for
which it could not run because the CPU was in a hit already, ERRORS those
during which it was stopped (`prog show` says why).",
        run: list,
    },
    Command {
        name: "attach",
        usage: "link attach PROGRAM [TARGET] [--cookie N] [if FILTER]",
        summary: "attaches a program to a probe point",
        details: "\
PROGRAM is a number, a name, or OBJECT/NAME. TARGET is a probe point, such as
tracepoint:vmm:vm_create, or vmm:vm_create for short; without it the section
of the program says. FILTER is over the fields of a tracepoint (`trace format`
shows them): reason == 36 && vcpu_id == 1. --cookie gives the program a number
that it can ask for.",
        run: attach,
    },
    Command {
        name: "detach",
        usage: "link detach LINK|PROGRAM|all",
        summary: "detaches one link, all of a program, or all",
        details: "When it says so, no CPU runs the program for the link any more.",
        run: detach,
    },
];

fn list(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    args.end()?;
    let registry = session.shell.registry;
    let links = registry.links()?;
    if links.is_empty() {
        session
            .io
            .write("nothing is attached; `link attach PROGRAM` attaches\n");
        return Ok(());
    }
    let mut table = Table::new(&[
        ("ID", Align::Right),
        ("PROGRAM", Align::Left),
        ("RUNS", Align::Right),
        ("MISSED", Align::Right),
        ("ERRORS", Align::Right),
        ("TARGET", Align::Left),
    ]);
    for link in links {
        let program = registry.program(link.program)?;
        let mut target = link.target.to_string();
        if link.cookie != 0 {
            target.push_str(&format!(" cookie {}", link.cookie));
        }
        if let Some(filter) = &link.filter {
            target.push_str(" if ");
            target.push_str(filter);
        }
        table.row(vec![
            link.id.to_string(),
            format!("{}:{}", program.id, program.program.name()),
            link.counts.hits.to_string(),
            link.counts.missed.to_string(),
            link.counts.errors.to_string(),
            target,
        ]);
    }
    table.write(&mut session.out())?;
    Ok(())
}

fn attach(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    let cookie = args.number("--cookie")?.unwrap_or(0);
    let filter = args.filter()?;
    let name = args.need("the program")?;
    let target = args
        .maybe()?
        .map(str::parse::<Target>)
        .transpose()
        .map_err(|error| {
            Complaint::new(error.to_string())
                .hint("name it as in tracepoint:vmm:vm_create, or vmm:vm_create for short")
        })?;
    args.end()?;
    let registry = session.shell.registry;
    let info = find::program(registry, name)?;
    let mut options = LinkOptions::default().with_cookie(cookie);
    options.filter = filter;
    let id = match &target {
        Some(target) => registry.attach_to(info.id, target, &options)?,
        None => registry.attach(info.id, &options)?,
    };
    let link = registry.link(id)?;
    writeln!(
        session.out(),
        "link {id}: {} at {}",
        info.program.name(),
        link.target
    )?;
    Ok(())
}

fn detach(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    let which = args.need("the link")?;
    args.end()?;
    let links = chosen(session, which)?;
    for id in links {
        let link = session.shell.registry.link(id)?;
        let counts = session.shell.registry.detach(id)?;
        writeln!(
            session.out(),
            "detached link {id} from {}: {} runs, {} missed, {} errors",
            link.target,
            counts.hits,
            counts.missed,
            counts.errors
        )?;
    }
    Ok(())
}

/// Returns the links that `which` means: at least one.
fn chosen(session: &Session<'_>, which: &str) -> Result<Vec<LinkId>, Complaint> {
    let registry = session.shell.registry;
    if let Ok(id) = which.parse() {
        return Ok([registry.link(LinkId::new(id))?.id].into());
    }
    let links: Vec<LinkId> = match which {
        "all" => registry.links()?.iter().map(|link| link.id).collect(),
        name => find::program(registry, name)?.links,
    };
    if links.is_empty() {
        return Err(Complaint::new(format!("nothing of `{which}` is attached"))
            .hint("`link list` shows what is"));
    }
    Ok(links)
}
