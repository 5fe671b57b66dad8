//! `map`.

mod dump;

use alloc::{
    format,
    string::{String, ToString},
    sync::Arc,
    vec,
    vec::Vec,
};
use core::fmt::Write;

use axebpf_maps::{Map, MapError, UpdateFlags};

use super::{
    CommandResult, Session,
    args::Args,
    command::Command,
    complaint::Complaint,
    find::{self, ids},
    layout::Layout,
    table::{Align, Table},
};

const LAYOUTS: &str = "\
MAP is a number, a name, OBJECT/NAME, or a pin. Keys and values are numbers in
decimal or 0x hex, separated by commas where there are several: 1,0,36; or all
bytes as hex:0100000000000000. --key and --value choose how they are cut:
u8 to u64, s8 to s64 (signed), x8 to x64 (hex), bytes: --key u32,u32,x64.";

pub(crate) const COMMANDS: &[Command] = &[
    Command {
        name: "list",
        usage: "map list",
        summary: "lists the maps, their sizes and what they lost",
        details: "\
USED is the number of entries of the number possible, or the bytes of a ring
buffer that wait of those that fit.",
        run: list,
    },
    Command {
        name: "dump",
        usage: "map dump MAP [--key LAYOUT] [--value LAYOUT] [--hist] [--count N] [--for SECONDS]",
        summary: "shows all entries of a map, or the records of a ring buffer",
        details: "\
Of per-CPU maps, the values that are not zero are shown as CPU=VALUE. --hist
draws an array of numbers as a histogram: slot n is for 2^n to 2^(n+1)-1. The
records of a ring buffer are taken out; with --count or --for the command waits
for more, until there were N or SECONDS have passed.\n
MAP is a number, a name, OBJECT/NAME, or a pin. LAYOUT says how bytes are cut
into numbers: u8 to u64, s8 to s64 (signed), x8 to x64 (hex), bytes, separated
by commas: --key u32,u32,x64.",
        run: dump::run,
    },
    Command {
        name: "lookup",
        usage: "map lookup MAP KEY [--key LAYOUT] [--value LAYOUT]",
        summary: "shows the value of one key",
        details: LAYOUTS,
        run: lookup,
    },
    Command {
        name: "update",
        usage: "map update MAP KEY VALUE [--new|--existing] [--key LAYOUT] [--value LAYOUT]",
        summary: "writes the value of one key",
        details: "\
--new refuses a key that exists, --existing one that does not. Of per-CPU maps,
the values of all CPUs are written.\n
MAP is a number, a name, OBJECT/NAME, or a pin. Keys and values are numbers in
decimal or 0x hex, separated by commas where there are several: 1,0,36; or all
bytes as hex:0100000000000000. --key and --value choose how they are cut:
u8 to u64, s8 to s64 (signed), x8 to x64 (hex), bytes: --key u32,u32,x64.",
        run: update,
    },
    Command {
        name: "delete",
        usage: "map delete MAP KEY [--key LAYOUT]",
        summary: "deletes one key and its value",
        details: LAYOUTS,
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
        (None, None) => "-".into(),
    };
    if let Some(ring) = stats.ring {
        note(&mut text, ring.dropped, "dropped");
        note(&mut text, ring.abandoned, "abandoned");
    }
    note(&mut text, stats.busy, "busy");
    text
}

fn note(text: &mut String, count: u64, what: &str) {
    if count != 0 {
        text.push_str(&format!(" ({count} {what})"));
    }
}

/// The map that a command is about, and how its keys and values are written.
struct Subject {
    map: Arc<Map>,
    key: Layout,
    value: Layout,
}

impl Subject {
    /// Takes `--key`, `--value` and the map.
    fn take(session: &Session<'_>, args: &mut Args<'_>) -> Result<Self, Complaint> {
        let (key, value) = (args.option("--key")?, args.option("--value")?);
        let name = args.need("the map")?;
        let map = find::map(session.shell.registry, name)?.map;
        let spec = map.spec();
        // The records of a ring buffer have any length, so their layout is chosen for each.
        let value = value.filter(|_| map.ring().is_none());
        Ok(Self {
            key: Layout::choose(key, spec.key_size as usize)?,
            value: Layout::choose(value, spec.value_size as usize)?,
            map,
        })
    }

    fn read_key(&self, text: &str) -> Result<Vec<u8>, Complaint> {
        self.key.read(text, self.map.spec().key_size as usize)
    }

    /// Writes what [`Map::read`] returned: the value, or the values of the CPUs that are not zero.
    fn show_entry(&self, entry: &[u8]) -> String {
        let size = self.map.spec().value_size as usize;
        if !self.map.kind().is_per_cpu() {
            return self.value.show(entry);
        }
        let shown: Vec<String> = copies(entry, size)
            .enumerate()
            .filter(|(_, value)| value.iter().any(|byte| *byte != 0))
            .map(|(cpu, value)| format!("{cpu}={}", self.value.show(value)))
            .collect();
        if shown.is_empty() {
            "all zero".into()
        } else {
            shown.join(" ")
        }
    }

    /// Adds up an entry, if its values are numbers.
    fn sum(&self, entry: &[u8]) -> Option<u64> {
        let size = self.map.spec().value_size as usize;
        if !self.map.kind().is_per_cpu() {
            return self.value.number(entry);
        }
        let add = |sum: u64, value| Some(sum.wrapping_add(self.value.number(value)?));
        copies(entry, size).try_fold(0, add)
    }
}

/// The values of the CPUs in an entry of a per-CPU map.
fn copies(entry: &[u8], size: usize) -> impl Iterator<Item = &[u8]> {
    let stride = size.next_multiple_of(8).max(8);
    entry
        .chunks(stride)
        .map(move |copy| &copy[..size.min(copy.len())])
}

fn lookup(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    let subject = Subject::take(session, &mut args)?;
    let text = args.need("the key")?;
    args.end()?;
    let key = subject.read_key(text)?;
    let entry = subject
        .map
        .read(&key)?
        .ok_or_else(|| no_such_key(&subject, &key))?;
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
    let key = args.need("the key")?;
    let value = args.need("the value")?;
    args.end()?;
    let key = subject.read_key(key)?;
    let value = subject
        .value
        .read(value, subject.map.spec().value_size as usize)?;
    subject.map.write(&key, &value, flags)?;
    Ok(())
}

fn delete(session: &mut Session<'_>, mut args: Args<'_>) -> CommandResult {
    let subject = Subject::take(session, &mut args)?;
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
