//! `hprobe`.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt::Write;

use axebpf_hprobe::{Displaced, Execution, HprobeError, PointInfo, PointLink, ProbeKind};
use axebpf_platform::HostVirt;
use axebpf_symbols::{Glob, Symbol, SymbolTable};

use super::{
    CommandResult, Session,
    args::Args,
    command::Command,
    complaint::{Complaint, counted, shortened},
    table::{LINE_WIDTH, wrap},
};
use crate::{
    Error, ProbeType, Target,
    hprobe::{Points, Wanted, functions, points},
};

/// How many rows are shown unless `--limit` says otherwise.
const DEFAULT_LIMIT: u64 = 50;

pub(crate) const COMMANDS: &[Command] = &[
    Command {
        name: "list",
        usage: "hprobe list [GLOB]",
        summary: "lists the places of the hypervisor that are probed",
        details: "\
STEP says how the replaced instruction is executed: simulated, or in a slot,
which takes a second trap unless interrupts are masked. LINKS is how many links
share the place. HITS counts when their programs were called, MISSED when they
could not be: in another hit, or with too many calls in flight for a return.
GLOB is over the names of the functions.",
        run: list,
    },
    Command {
        name: "check",
        usage: "hprobe check TARGET [--limit N]",
        summary: "says whether a place can be probed, and if not, why",
        details: "\
TARGET is what `link attach` takes after `hprobe:`: the name of a function,
NAME+OFFSET, an address, or a glob, of which those are listed that cannot be
probed. --limit is the most to list (50).",
        run: check,
    },
    Command {
        name: "blacklist",
        usage: "hprobe blacklist [GLOB] [--limit N]",
        summary: "lists the functions that must not be probed",
        details: "\
A probe on what a hit itself executes would fire in each hit. GLOB is over the
names of the functions, --limit the most to list (50).",
        run: blacklist,
    },
];

fn list(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    let glob = args.maybe()?.map(glob).transpose()?;
    args.end()?;
    let symbols = functions()?.symbols();
    let probed = axebpf_hprobe::list().map_err(Error::from)?;
    let mut shown = 0;
    for point in &probed {
        if glob
            .as_ref()
            .is_some_and(|glob| !names_match(symbols, point.at, glob))
        {
            continue;
        }
        if shown == 0 {
            session.io.write(HEAD);
        }
        shown += 1;
        for kind in [ProbeKind::Entry, ProbeKind::Return] {
            write_point(session, symbols, point, kind)?;
        }
        if session.io.interrupted() {
            return Ok(());
        }
    }
    if shown == 0 {
        session
            .io
            .write("nothing is probed; `link attach PROGRAM hprobe:FUNCTION` probes\n");
    }
    Ok(())
}

/// What is above the places. Their names, which are long, have lines of their own.
const HEAD: &str = "ADDRESS             KIND    STEP       LINKS        HITS      MISSED\n";

fn write_point(
    session: &mut Session<'_>,
    symbols: &SymbolTable<'_>,
    point: &PointInfo,
    kind: ProbeKind,
) -> CommandResult {
    let links = point.links.iter().filter(|link| link.point.kind() == kind);
    let links: Vec<&PointLink> = links.collect();
    if links.is_empty() {
        return Ok(());
    }
    let hits: u64 = links.iter().map(|link| link.hits).sum();
    let missed: u64 = links.iter().map(|link| link.missed).sum();
    let mut out = session.out();
    writeln!(
        out,
        "{:<18}  {:<6}  {:<9}  {:>5}  {hits:>10}  {missed:>10}",
        point.at.to_string(),
        kind_name(kind),
        step_name(&point.execution),
        links.len()
    )?;
    write_indented(&mut out, &place(symbols, point.at))
}

/// Writes text that may be long, in lines of its own.
fn write_indented(out: &mut dyn Write, text: &str) -> CommandResult {
    const INDENT: &str = "    ";
    for line in wrap(text, LINE_WIDTH - INDENT.len()) {
        writeln!(out, "{INDENT}{}", line.trim_end())?;
    }
    Ok(())
}

fn check(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    let limit = args.number("--limit")?.unwrap_or(DEFAULT_LIMIT);
    let text = args.need("what to check")?;
    args.end()?;
    let (symbol, offset, kind) = target(text)?;
    let functions = functions()?;
    let wanted = Wanted {
        symbol: &symbol,
        offset,
        kind,
        limit: usize::MAX,
    };
    let Points { points, left_out } = points(functions, &wanted)?;
    let symbols = functions.symbols();
    if let ([point], []) = (points.as_slice(), left_out.as_slice()) {
        let displaced = functions
            .inspection()?
            .inspect(point)
            .map_err(Error::from)?;
        return can_be(session, symbols, &displaced);
    }
    let found = points.len() + left_out.len();
    writeln!(
        session.out(),
        "{} of {} can be probed",
        points.len(),
        counted(found as u64, "function")
    )?;
    let rows = left_out
        .iter()
        .map(|left_out| (left_out.function, reason(&left_out.why)));
    write_reasons(session, symbols, rows.collect(), limit)
}

fn can_be(
    session: &mut Session<'_>,
    symbols: &SymbolTable<'_>,
    displaced: &Displaced,
) -> CommandResult {
    let at = displaced.point.at();
    let mut out = session.out();
    writeln!(
        out,
        "{at} can be probed: {:#010x} is {}",
        displaced.word,
        match displaced.execution {
            Execution::Simulate(_) => "simulated",
            _ => "executed in a slot",
        }
    )?;
    write_indented(&mut out, &place(symbols, at))
}

fn blacklist(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    let limit = args.number("--limit")?.unwrap_or(DEFAULT_LIMIT);
    let glob = args.maybe()?.map(glob).transpose()?;
    args.end()?;
    let functions = functions()?;
    let symbols = functions.symbols();
    let all: Vec<Symbol<'_>> = match &glob {
        Some(glob) => symbols.matching(glob).collect(),
        None => symbols.iter().collect(),
    };
    let mut closed: Vec<(HostVirt, String)> = Vec::new();
    for symbol in all.iter().filter(|symbol| symbol.is_code()) {
        let at = HostVirt::new(symbol.address());
        if let Err(HprobeError::Protected { why, .. }) = functions.blacklist().check(at)
            && closed.last().is_none_or(|(last, _)| *last != at)
        {
            closed.push((at, why.to_string()));
        }
    }
    writeln!(
        session.out(),
        "{} must not be probed",
        counted(closed.len() as u64, "function")
    )?;
    write_reasons(session, symbols, closed, limit)
}

/// Shows places, why they cannot be probed, and how many are not shown.
fn write_reasons(
    session: &mut Session<'_>,
    symbols: &SymbolTable<'_>,
    rows: Vec<(HostVirt, String)>,
    limit: u64,
) -> CommandResult {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let mut out = session.out();
    for (at, why) in rows.iter().take(limit) {
        let reason = format!("{at}: {why}");
        let mut lines = wrap(&reason, LINE_WIDTH).into_iter();
        if let Some(first) = lines.next() {
            writeln!(out, "{}", first.trim_end())?;
        }
        for line in lines {
            write_indented(&mut out, line)?;
        }
        write_indented(&mut out, &place(symbols, *at))?;
    }
    if rows.len() > limit {
        writeln!(out, "({} more: --limit N shows others)", rows.len() - limit)?;
    }
    Ok(())
}

/// Returns why a place cannot be probed, without saying again where it is.
fn reason(why: &HprobeError) -> String {
    match why {
        HprobeError::Protected { why, .. } => why.to_string(),
        HprobeError::Refused { word, why, .. } => format!("{word:#010x}: {why}"),
        HprobeError::InExclusiveSequence { .. } => "in an exclusive sequence".into(),
        other => other.to_string(),
    }
}

/// Reads what is to be checked; a target without a kind is an entry.
fn target(text: &str) -> Result<(String, u64, ProbeKind), Complaint> {
    let has_kind = ["hprobe:", "hprobe/", "hretprobe:", "hretprobe/"]
        .iter()
        .any(|kind| text.starts_with(kind));
    let parsed = if has_kind {
        text.parse()
    } else {
        format!("hprobe:{text}").parse()
    };
    let parsed: Target = parsed.map_err(|error: crate::TargetError| {
        Complaint::new(error.to_string()).hint("name it as in NAME, NAME+0x10, 0x40201000 or 'NA*'")
    })?;
    match parsed {
        Target::Function {
            kind: ProbeType::Hprobe,
            symbol,
            offset,
        } => Ok((symbol, offset, ProbeKind::Entry)),
        Target::Function { symbol, offset, .. } => Ok((symbol, offset, ProbeKind::Return)),
        _ => Err(Complaint::new("that is no function of the hypervisor")),
    }
}

fn glob(text: &str) -> Result<Glob, Complaint> {
    Glob::new(text)
        .map_err(|error| Complaint::new(format!("`{}` is no glob: {error}", shortened(text))))
}

/// Tells whether a name of the function at `at` matches.
fn names_match(symbols: &SymbolTable<'_>, at: HostVirt, glob: &Glob) -> bool {
    symbols.lookup_address(at.get()).is_some_and(|location| {
        let mut buf = axebpf_symbols::NameBuf::new();
        glob.matches(&location.symbol.demangled())
            || glob.matches(location.symbol.name().join(&mut buf))
    })
}

/// Returns what an operator calls a place: the function, and the distance from its start unless that is 0.
fn place(symbols: &SymbolTable<'_>, at: HostVirt) -> String {
    match symbols.lookup_address(at.get()) {
        Some(location) if location.offset == 0 => location.symbol.to_string(),
        Some(location) => format!("{}+{:#x}", location.symbol, location.offset),
        None => "-".into(),
    }
}

fn kind_name(kind: ProbeKind) -> &'static str {
    match kind {
        ProbeKind::Entry => "entry",
        ProbeKind::Return => "return",
    }
}

fn step_name(execution: &Execution) -> &'static str {
    match execution {
        Execution::Simulate(_) => "simulated",
        _ => "slot",
    }
}
