//! `map`.

mod dump;
mod keyless;
mod records;
mod slots;
mod stacks;
mod subject;

use alloc::{
    format,
    string::{String, ToString},
    vec,
};
use core::fmt::Write;

use axebpf_maps::{Map, MapError, MapKind, UpdateFlags};

use self::subject::Subject;
use super::{
    CommandResult, Session,
    args::Args,
    command::Command,
    complaint::Complaint,
    find::ids,
    table::{Align, Table},
};

pub(crate) const COMMANDS: &[Command] = &[
    Command {
        name: "list",
        usage: "map list",
        summary: "lists the maps, their sizes and what they lost",
        details: "\
USED is the number of entries of the number possible, or the bytes of records
that wait of those that fit. A bloom filter does not know how full it is.",
        run: list,
    },
    Command {
        name: "dump",
        usage: "map dump MAP [--key LAYOUT] [--value LAYOUT] [--hist] [--count N] [--for SECONDS]",
        summary: "shows all entries of a map, or its records",
        details: "\
Of per-CPU maps, the values that are not zero are shown as CPU=VALUE. --hist
draws an array of numbers as a histogram: slot n is for 2^n to 2^(n+1)-1. The
records of a ring buffer or perf event array are taken out; with --count or
--for the command waits for more, until there were N or SECONDS have passed. Of
a queue or stack, what comes out next is first, and all stays. Of a stack trace,
a stack is shown with the innermost frame first.\n
MAP is a number, a name, OBJECT/NAME, or a pin. LAYOUT says how bytes are cut
into numbers: u8 to u64, s8 to s64 (signed), x8 to x64 (hex), bytes, sym (an
address by its name, in keys), text16 (text in 16 bytes), separated by commas:
--key u32,u32,x64.",
        run: dump::run,
    },
    Command {
        name: "lookup",
        usage: "map lookup MAP [KEY] [--key LAYOUT] [--value LAYOUT]",
        summary: "shows the value of one key",
        details: "\
Without KEY, of a queue or stack: shows the next value, which stays. Of a bloom
filter, KEY is a value, and the answer is whether it may be a member.\n
MAP is a number, a name, OBJECT/NAME, or a pin. Keys and values are numbers in
decimal or 0x hex, separated by commas where there are several: 1,0,36; or all
bytes as hex:0100000000000000. --key and --value choose how they are cut:
u8 to u64, s8 to s64 (signed), x8 to x64 (hex), bytes: --key u32,u32,x64.",
        run: lookup,
    },
    Command {
        name: "update",
        usage: "map update MAP [KEY] VALUE [--new|--existing] [--key LAYOUT] [--value LAYOUT]",
        summary: "writes the value of one key",
        details: "\
--new refuses a key that exists, --existing one that does not. Of per-CPU maps,
the values of all CPUs are written. VALUE is a program where the map holds
programs, as tail calls do, and a map where it holds maps. Without KEY, VALUE is
put into a queue, stack (--existing: the oldest makes room) or bloom filter.\n
MAP is a number, a name, OBJECT/NAME, or a pin. Keys and values are numbers in
decimal or 0x hex, separated by commas where there are several: 1,0,36; or all
bytes as hex:0100000000000000. --key and --value choose how they are cut:
u8 to u64, s8 to s64 (signed), x8 to x64 (hex), bytes: --key u32,u32,x64.",
        run: update,
    },
    Command {
        name: "delete",
        usage: "map delete MAP [KEY] [--key LAYOUT] [--value LAYOUT]",
        summary: "deletes one key and its value",
        details: "\
Without KEY, of a queue or stack: takes the next value out, and shows it. Of
what holds programs or maps, the command waits until no hit uses them.\n
MAP is a number, a name, OBJECT/NAME, or a pin. Keys are numbers in decimal or
0x hex, separated by commas where there are several: 1,0,36; or all bytes as
hex:0100000000000000. --key and --value choose how they are cut: u8 to u64,
s8 to s64 (signed), x8 to x64 (hex), bytes: --key u32,u32,x64.",
        run: delete,
    },
    Command {
        name: "unpin",
        usage: "map unpin NAME",
        summary: "forgets a pin, and the map with it if nothing uses it",
        details: "",
        run: unpin,
    },
];

fn list(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    args.end()?;
    let maps = session.shell.registry.maps()?;
    if maps.is_empty() {
        session.io.write("there are no maps; objects bring them\n");
        return Ok(());
    }
    let mut table = Table::new(&[
        ("ID", Align::Right),
        ("MAP", Align::Left),
        ("KIND", Align::Left),
        ("KEY", Align::Right),
        ("VALUE", Align::Right),
        ("USED", Align::Left),
        ("OBJECTS", Align::Left),
    ]);
    for info in maps {
        let spec = info.map.spec();
        let mut users = ids(info.objects.iter());
        if let Some(pin) = &info.pin {
            users.push_str(&format!(
                "{}pinned as {pin}",
                if users.is_empty() { "" } else { ", " }
            ));
        }
        table.row(vec![
            info.id.to_string(),
            spec.name.clone(),
            spec.kind.to_string(),
            size(spec.key_size),
            size(spec.value_size),
            used(&info.map),
            users,
        ]);
    }
    table.write(&mut session.out())?;
    Ok(())
}

/// A size in bytes; a ring buffer has no keys and values.
fn size(bytes: u32) -> String {
    if bytes == 0 {
        "-".into()
    } else {
        bytes.to_string()
    }
}

/// How full a map is, and what it lost.
fn used(map: &Map) -> String {
    let (stats, most) = (map.stats(), map.spec().max_entries);
    let mut text = match (stats.entries, stats.ring) {
        (Some(entries), _) => format!("{entries}/{most}"),
        (None, Some(ring)) => {
            let waiting = ring.positions.producer - ring.positions.consumer;
            format!("{waiting}/{most}")
        }
        (None, None) => records::waiting(map).unwrap_or_else(|| "-".into()),
    };
    if let Some(ring) = stats.ring {
        note(&mut text, ring.dropped, "dropped");
        note(&mut text, ring.abandoned, "abandoned");
    }
    note(&mut text, stats.lost, "dropped");
    note(&mut text, stats.evicted, "evicted");
    note(&mut text, stats.busy, "busy");
    text
}

fn note(text: &mut String, count: u64, what: &str) {
    if count != 0 {
        text.push_str(&format!(" ({count} {what})"));
    }
}

fn lookup(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    let subject = Subject::take(session, &mut args)?;
    if subject.key_size() == 0 {
        return keyless::lookup(session, &subject, args);
    }
    records::refuse(&subject, "`map dump` takes records out")?;
    let text = args.need("the key")?;
    args.end()?;
    let key = subject.read_key(text)?;
    let missing = || no_such_key(&subject, &key);
    if slots::are_in(&subject.map) {
        let held = slots::show(session, &subject.map, &key)?.ok_or_else(missing)?;
        writeln!(session.out(), "{held}")?;
        return Ok(());
    }
    let entry = subject.map.read(&key)?.ok_or_else(missing)?;
    if subject.map.kind() == MapKind::StackTrace {
        return stacks::show(session, &subject, &entry);
    }
    let shown = subject.show_entry(&entry);
    match subject
        .sum(&entry)
        .filter(|_| subject.map.kind().is_per_cpu())
    {
        Some(sum) => writeln!(session.out(), "{sum} in all: {shown}")?,
        None => writeln!(session.out(), "{shown}")?,
    }
    Ok(())
}

fn no_such_key(subject: &Subject, key: &[u8]) -> Complaint {
    Complaint::new(format!(
        "{} has no key {}",
        subject.map.name(),
        subject.key.show(key)
    ))
    .hint(format!("`map dump {}` shows all", subject.map.name()))
}

fn update(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    let flags = match (args.flag("--new"), args.flag("--existing")) {
        (false, false) => UpdateFlags::Any,
        (true, false) => UpdateFlags::NoExist,
        (false, true) => UpdateFlags::Exist,
        (true, true) => {
            return Err(args.misuse("`--new` and `--existing` exclude each other".into()));
        }
    };
    let subject = Subject::take(session, &mut args)?;
    if subject.key_size() == 0 {
        return keyless::update(&subject, args, flags);
    }
    records::refuse(&subject, "only programs write records")?;
    if subject.map.kind() == MapKind::StackTrace {
        let name = subject.map.name();
        return Err(Complaint::new(format!(
            "only programs put stacks into {name}"
        )));
    }
    let key = args.need("the key")?;
    let value = args.need("the value")?;
    args.end()?;
    let key = subject.read_key(key)?;
    if slots::are_in(&subject.map) {
        return slots::update(session, &subject, &key, value, flags);
    }
    let value = subject
        .value
        .read(value, subject.map.spec().value_size as usize)?;
    subject.map.write(&key, &value, flags)?;
    Ok(())
}

fn delete(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    let subject = Subject::take(session, &mut args)?;
    if subject.key_size() == 0 {
        return keyless::delete(session, &subject, args);
    }
    records::refuse(&subject, "`map dump` takes records out")?;
    let text = args.need("the key")?;
    args.end()?;
    let key = subject.read_key(text)?;
    match subject.map.remove(&key) {
        Err(MapError::NotFound) => Err(no_such_key(&subject, &key)),
        removed => Ok(removed?),
    }
}

fn unpin(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    let name = args.need("the pin")?;
    args.end()?;
    session.shell.registry.unpin(name)?;
    Ok(())
}
