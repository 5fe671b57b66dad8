//! `link`.

#[cfg(feature = "guest-kprobe")]
mod guest;
#[cfg(not(feature = "guest-kprobe"))]
#[path = "link/no_guests.rs"]
mod guest;

use alloc::{
    format,
    string::{String, ToString},
    vec,
    vec::Vec,
};
use core::fmt::Write;

use super::{
    CommandResult, Session,
    args::Args,
    command::Command,
    complaint::{Complaint, counted, write_wrapped},
    find,
    table::{Align, Table},
};
use crate::{LinkId, LinkInfo, LinkOptions, Target};

pub(crate) const COMMANDS: &[Command] = &[
    Command {
        name: "list",
        usage: "link list",
        summary: "lists what is attached where, with counters",
        details: "\
RUNS counts the hits for which the program ran to its end, MISSED those for
which it could not run because the CPU was in a hit already, ERRORS those
during which it was stopped (`prog show` says why). A link to a guest that is
off or starting is waiting, and attached when the kernel is up; a line below it
says what it waits for.",
        run: list,
    },
    Command {
        name: "attach",
        usage: "link attach PROGRAM [TARGET] [--cookie N] [--maxactive N] [--limit N] [--mode MODE] [if FILTER]",
        summary: "attaches a program to a probe point",
        details: "\
PROGRAM is a number, a name, or OBJECT/NAME. TARGET is a probe point; without
it the section of the program says:
    tracepoint:vmm:vm_create, or vmm:vm_create for short
    hprobe:NAME, hprobe:NAME+OFFSET, hprobe:0xADDRESS, hprobe:'GLOB'
    hretprobe:NAME, hretprobe:'GLOB'
The latter two kinds are functions of the hypervisor, mangled or demangled. Of
what a glob means, functions that cannot be probed are left out; --limit is the
most that it may mean (256). FILTER is over the fields of a tracepoint (`trace
format` shows them): reason == 36 && vcpu_id == 1; or over the registers of a
probe: x0 to x30, sp, pc, pstate, arg0 to arg7 at an entry, ret and duration_ns
at a return, vm_id, vcpu_id, cpu. --cookie gives the program a number that it
can ask for; --maxactive is how many calls may wait for their return (256, and
128 at guests).
    kprobe:vm1:NAME, kprobe:vm1:NAME+OFFSET, kprobe:vm1:0xADDRESS
    kretprobe:vm1:NAME, kprobe:vm1:'GLOB'
    kprobe:vm1:MODULE:NAME, where the kernel itself is vmlinux
are functions of a guest's kernel, without `vm1:` those of the only guest; it
need not have been booted. At their return, arg0 to arg7 are the arguments of
the call. --mode says how the guest is made to leave: auto, hidden-brk, brk,
hvc, or stage2. `gsym` shows the names.",
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
    let mut waiting = Vec::new();
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
        if let Some(why) = guest::waits_for(&link) {
            waiting.push(format!("link {} waits: {why}", link.id));
        }
        table.row(vec![
            link.id.to_string(),
            format!("{}:{}", program.id, program.program.name()),
            link.counts.hits.to_string(),
            link.counts.missed.to_string(),
            link.counts.errors.to_string(),
            target(&link),
        ]);
    }
    table.write(&mut session.out())?;
    for line in waiting {
        write_wrapped(&mut session.out(), "", &line)?;
    }
    Ok(())
}

/// Says where a link is, and how.
fn target(link: &LinkInfo) -> String {
    let mut text = link.target.to_string();
    if guest::waits_for(link).is_some() {
        text.push_str(" waiting");
    } else if link.places != 1 || link.left_out != 0 {
        text.push_str(&format!(" ({})", places(link)));
    }
    text.push_str(&guest::state(link));
    if link.cookie != 0 {
        text.push_str(&format!(" cookie {}", link.cookie));
    }
    if let Some(filter) = &link.filter {
        text.push_str(" if ");
        text.push_str(filter);
    }
    text
}

fn attach(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    let cookie = args.number("--cookie")?.unwrap_or(0);
    let maxactive = args.number("--maxactive")?;
    let limit = args.number("--limit")?;
    let mode = args.option("--mode")?;
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
    options.maxactive = maxactive.map(|calls| u32::try_from(calls).unwrap_or(u32::MAX));
    options.max_functions = limit.map(|most| usize::try_from(most).unwrap_or(usize::MAX));
    guest::set_mode(&mut options, mode)?;
    let id = match &target {
        Some(target) => registry.attach_to(info.id, target, &options)?,
        None => registry.attach(info.id, &options)?,
    };
    let link = registry.link(id)?;
    report(session, info.program.name(), &link)
}

/// Says what was attached where, what was left out, and what will not be seen.
fn report(session: &mut Session<'_>, program: &str, link: &LinkInfo) -> CommandResult {
    let mut out = session.out();
    writeln!(out, "link {}: {program} at {}", link.id, link.target)?;
    if let Some(why) = guest::waits_for(link) {
        write_wrapped(&mut out, "waiting: ", &why)?;
    } else if link.places != 1 || link.left_out != 0 {
        write!(out, "{}", places(link))?;
        let is_explained = link.left_out == 0 || is_in_guest(link);
        writeln!(
            out,
            "{}",
            if is_explained {
                ""
            } else {
                "; `hprobe check` says why"
            }
        )?;
    }
    for line in guest::notes(link) {
        write_wrapped(&mut out, "  ", &line)?;
    }
    Ok(())
}

fn is_in_guest(link: &LinkInfo) -> bool {
    matches!(link.target, Target::GuestFunction { .. })
}

/// Says how many places a link has.
fn places(link: &LinkInfo) -> String {
    let places = counted(link.places as u64, "function");
    match link.left_out {
        0 => places,
        left_out => format!("{places}, {left_out} left out"),
    }
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
