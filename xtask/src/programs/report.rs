//! What is in an object, as aya reads it.

use std::{fmt, fs, path::Path};

use anyhow::{Context, Result, anyhow, ensure};
use aya_obj::{Function, Object};
use object::{Object as _, ObjectSection as _, SectionIndex};

/// What is in one object.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Report {
    programs: Vec<Program>,
    maps: Vec<Map>,
    has_btf: bool,
}

/// One program.
#[derive(Debug, PartialEq, Eq)]
struct Program {
    name: String,
    section: String,
    insns: usize,
}

/// One map.
#[derive(Debug, PartialEq, Eq)]
struct Map {
    name: String,
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
}

impl Report {
    /// Reads the object at `path`.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let bytes = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        Self::parse(&bytes).with_context(|| format!("{} is no object that loads", path.display()))
    }

    fn parse(bytes: &[u8]) -> Result<Self> {
        let object =
            Object::parse(&as_linux_names_it(bytes)).map_err(|error| anyhow!("{error}"))?;
        let elf = object::File::parse(bytes)?;
        let mut programs = Vec::new();
        for (name, program) in &object.programs {
            let function = object
                .functions
                .get(&program.function_key())
                .with_context(|| format!("program {name} has no instructions"))?;
            programs.push(Program {
                name: name.clone(),
                section: section_of(&elf, function)?,
                insns: function.instructions.len(),
            });
        }
        programs.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        let mut maps: Vec<Map> = object
            .maps
            .iter()
            .map(|(name, map)| Map {
                name: name.clone(),
                kind: map.map_type(),
                key_size: map.key_size(),
                value_size: map.value_size(),
                max_entries: map.max_entries(),
            })
            .collect();
        maps.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        ensure!(!programs.is_empty(), "it has no program");
        Ok(Self {
            programs,
            maps,
            has_btf: object.btf.is_some(),
        })
    }

    /// Tells whether the other object does the same, as far as its outside shows: the same programs at the same
    /// places, the same maps, BTF in both or in none.
    pub(crate) fn is_like(&self, other: &Self) -> bool {
        let outside = |report: &Self| -> Vec<(String, String)> {
            let programs = report.programs.iter();
            programs
                .map(|program| (program.name.clone(), program.section.clone()))
                .collect()
        };
        let maps = |report: &Self| -> Vec<String> {
            // The size of the data sections is the compiler's business.
            let own = report.maps.iter().filter(|map| !map.name.starts_with('.'));
            own.map(ToString::to_string).collect()
        };
        outside(self) == outside(other)
            && maps(self) == maps(other)
            && self.has_btf == other.has_btf
    }

    /// Prints the head of the table that [`print`](Self::print) fills.
    pub(crate) fn print_head() {
        println!(
            "    {:<20} {:<36} {:>5}  maps",
            "program", "section", "insns"
        );
    }

    /// Prints one row for each program, and its object's maps beside and below them.
    pub(crate) fn print(&self) {
        let rows = self.programs.len().max(self.maps.len());
        for row in 0..rows {
            let (name, section, insns) = self.programs.get(row).map_or_else(
                || (String::new(), String::new(), String::new()),
                |program| {
                    (
                        program.name.clone(),
                        program.section.clone(),
                        program.insns.to_string(),
                    )
                },
            );
            let map = self
                .maps
                .get(row)
                .map(ToString::to_string)
                .unwrap_or_default();
            println!(
                "    {}",
                format!("{name:<20} {section:<36} {insns:>5}  {map}").trim_end()
            );
        }
    }
}

impl fmt::Display for Map {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            kind,
            key_size,
            value_size,
            max_entries,
        } = self;
        let kind = match kind {
            1 => "hash",
            2 => "array",
            5 => "percpu_hash",
            6 => "percpu_array",
            7 => "stack_trace",
            27 => return write!(f, "{name}: ringbuf, {max_entries} bytes"),
            _ => return write!(f, "{name}: type {kind}"),
        };
        write!(
            f,
            "{name}: {kind}, {max_entries} x {key_size} -> {value_size} bytes"
        )
    }
}

/// Returns the object with sections that aya knows: programs for functions of the hypervisor look like those for a
/// kernel's.
fn as_linux_names_it(bytes: &[u8]) -> Vec<u8> {
    const NAMES: [(&[u8], &[u8]); 2] = [(b"hretprobe", b"kretprobe"), (b"hprobe", b"kprobe")];
    let mut renamed = bytes.to_vec();
    for (ours, linux) in NAMES {
        let places: Vec<usize> = renamed
            .windows(ours.len())
            .enumerate()
            .filter_map(|(at, window)| (window == ours).then_some(at))
            .collect();
        for at in places {
            renamed[at..at + linux.len()].copy_from_slice(linux);
        }
    }
    renamed
}

/// Returns the name of the section that the function is in.
fn section_of(elf: &object::File<'_>, function: &Function) -> Result<String> {
    let section = elf.section_by_index(SectionIndex(function.section_index.0))?;
    Ok(section.name()?.to_owned())
}
