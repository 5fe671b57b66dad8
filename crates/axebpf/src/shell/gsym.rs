//! `gsym`.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt::Write;

use axebpf_symbols::{Glob, KernelSymbol, KernelSymbols, nearest};

use super::{
    CommandResult, Session,
    args::Args,
    command::Command,
    complaint::{Complaint, or_list, shortened},
    symbol_row::{self, SymbolRow},
    vm,
};

/// The symbols shown when `--limit` does not say.
const DEFAULT_LIMIT: u64 = 50;

pub(crate) const COMMAND: Command = Command {
    name: "gsym",
    usage: "gsym VM NAME|ADDRESS|GLOB [--limit N]",
    summary: "finds symbols of a guest's kernel",
    details: "\
NAME is whole. ADDRESS is 0x and hex digits; the symbol around it is shown, and
the distance from its start. GLOB has *, ?, [a-z] or [!a-z] and matches the
whole name. --limit is the most symbols to show (50). The symbols are looked
for in the guest's memory unless they are known (`vm syms`).",
    run,
};

fn run(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    let limit = args.number("--limit")?.unwrap_or(DEFAULT_LIMIT);
    let vm = vm::number(args.need("the VM")?)?;
    let query = args.need("what to look for")?;
    args.end()?;
    let symbols = session.shell.registry.guest_symbols(vm)?;
    if let Some(digits) = query.strip_prefix("0x") {
        return address(session, &symbols, query, digits);
    }
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let most = limit.saturating_add(1);
    let found: Vec<KernelSymbol<'_>> = symbols.lookup_names(query).take(most).collect();
    if !found.is_empty() {
        return show(session, &found, limit);
    }
    if !query.contains(['*', '?', '[']) {
        return Err(unknown(&symbols, query));
    }
    let glob = Glob::new(query)
        .map_err(|error| Complaint::new(format!("`{}` is no glob: {error}", shortened(query))))?;
    let found: Vec<KernelSymbol<'_>> = symbols.matching(&glob).take(most).collect();
    if found.is_empty() {
        return Err(
            Complaint::new(format!("no symbol matches `{}`", shortened(query)))
                .hint("a glob matches the whole name: try `*` before and after it"),
        );
    }
    show(session, &found, limit)
}

fn unknown(symbols: &KernelSymbols, query: &str) -> Complaint {
    let names: Vec<String> = symbols.iter().map(|symbol| symbol.name().into()).collect();
    let near = nearest(query, names.iter().map(String::as_str), 3);
    let near: Vec<&str> = near.iter().map(String::as_str).collect();
    let complaint = Complaint::new(format!("the guest has no symbol `{}`", shortened(query)));
    complaint.hint(match near.as_slice() {
        [] => "a glob finds parts of names: gsym 1 '*part*'".to_string(),
        near => format!("did you mean {}?", or_list(near)),
    })
}

fn address(
    session: &mut Session<'_>,
    symbols: &KernelSymbols,
    query: &str,
    digits: &str,
) -> CommandResult {
    let address = symbol_row::parse_address(query, digits)?;
    let Some(location) = symbols.lookup_address(address) else {
        return Err(Complaint::new(format!(
            "no symbol of the guest covers {address:#x}"
        )));
    };
    writeln!(session.out(), "{address:#018x}  {location}")?;
    Ok(())
}

fn show(session: &mut Session<'_>, found: &[KernelSymbol<'_>], limit: usize) -> CommandResult {
    let rows = found.iter().map(|symbol| SymbolRow {
        address: symbol.address(),
        size: symbol.size(),
        kind: symbol.kind(),
        name: symbol.to_string(),
    });
    symbol_row::show(session, rows, limit)
}
