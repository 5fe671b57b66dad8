//! `sym`.

use alloc::{format, string::ToString, vec::Vec};
use core::fmt::Write;

use axebpf_symbols::{Glob, Symbol, SymbolTable};

use super::{
    CommandResult, Session,
    args::Args,
    command::Command,
    complaint::{Complaint, shortened},
    symbol_row::{self, SymbolRow},
};

/// The symbols shown when `--limit` does not say.
const DEFAULT_LIMIT: u64 = 50;

pub(crate) const COMMAND: Command = Command {
    name: "sym",
    usage: "sym NAME|ADDRESS|GLOB [--limit N]",
    summary: "finds symbols of the hypervisor by name, address or glob",
    details: "\
NAME is whole, mangled or demangled. ADDRESS is 0x and hex digits; the symbol
around it is shown, and the distance from its start. GLOB has *, ?, [a-z] or
[!a-z] and matches the whole name; quote it when it has blanks. --limit is the
most symbols to show (50).",
    run,
};

fn run(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    let limit = args.number("--limit")?.unwrap_or(DEFAULT_LIMIT);
    let query = args.need("what to look for")?;
    args.end()?;
    let symbols = session.shell.symbols.ok_or_else(|| {
        Complaint::new("this hypervisor has no symbols")
            .hint("`cargo xtask ksyms IMAGE` puts them into its image")
    })?;
    if let Some(digits) = query.strip_prefix("0x") {
        return address(session, symbols, query, digits);
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let exact: Vec<Symbol<'_>> = symbols
        .lookup_names(query)
        .take(limit.saturating_add(1))
        .collect();
    if !exact.is_empty() {
        return show(session, &exact, limit);
    }
    let is_glob = query.contains(['*', '?', '[']);
    let pattern = if is_glob {
        query.to_string()
    } else {
        format!("*{query}*")
    };
    let glob = Glob::new(&pattern)
        .map_err(|error| Complaint::new(format!("`{}` is no glob: {error}", shortened(query))))?;
    let most = if is_glob { limit.saturating_add(1) } else { 3 };
    let found: Vec<Symbol<'_>> = symbols.matching(&glob).take(most).collect();
    match (is_glob, found.is_empty()) {
        (true, false) => show(session, &found, limit),
        (true, true) => Err(
            Complaint::new(format!("no symbol matches `{}`", shortened(query)))
                .hint("a glob matches the whole name: try `*` before and after it"),
        ),
        (false, _) => Err(unknown(query, &found)),
    }
}

fn unknown(query: &str, near: &[Symbol<'_>]) -> Complaint {
    let complaint = Complaint::new(format!("there is no symbol `{}`", shortened(query)));
    if near.is_empty() {
        return complaint.hint("a glob finds parts of names: sym '*part*'");
    }
    let names: Vec<_> = near.iter().map(|symbol| format!("`{symbol}`")).collect();
    complaint.hint(format!(
        "these have it in their names: {}",
        names.join(", ")
    ))
}

fn address(
    session: &mut Session<'_>,
    symbols: &SymbolTable<'_>,
    query: &str,
    digits: &str,
) -> CommandResult {
    let address = symbol_row::parse_address(query, digits)?;
    let Some(location) = symbols.lookup_address(address) else {
        return Err(Complaint::new(format!(
            "no symbol of the hypervisor covers {address:#x}"
        )));
    };
    writeln!(session.out(), "{address:#018x}  {location}")?;
    Ok(())
}

fn show(session: &mut Session<'_>, found: &[Symbol<'_>], limit: usize) -> CommandResult {
    let rows = found.iter().map(|symbol| SymbolRow {
        address: symbol.address(),
        size: symbol.size(),
        kind: symbol.kind(),
        name: symbol.to_string(),
    });
    symbol_row::show(session, rows, limit)
}
