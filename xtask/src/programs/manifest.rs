//! Which tools built the objects in the tree.

use std::{fmt::Write, fs, path::Path};

use anyhow::{Context, Result};

use crate::tools::Tool;

/// The file beside the objects.
const FILE: &str = "manifest.txt";

/// The tools on whose versions the bytes of the objects depend, by the names in the file.
const TOOLS: [(&str, Tool); 5] = [
    ("clang", Tool::Clang),
    ("libbpf", Tool::LibbpfHeaders),
    ("rustc", Tool::EbpfRust),
    ("bpf-linker", Tool::BpfLinker),
    ("llvm-objcopy", Tool::Objcopy),
];

/// The versions of the tools that built the objects.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Manifest {
    versions: Vec<(String, String)>,
}

impl Manifest {
    /// Asks the tools of this machine.
    pub(crate) fn of_this_machine() -> Result<Self> {
        let version = |(name, tool): (&str, Tool)| Ok((name.to_owned(), tool.version()?));
        Ok(Self {
            versions: TOOLS.into_iter().map(version).collect::<Result<_>>()?,
        })
    }

    /// Reads the manifest beside the objects in `folder`.
    pub(crate) fn read(folder: &Path) -> Result<Self> {
        let path = folder.join(FILE);
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let lines = text.lines().filter(|line| !line.starts_with('#'));
        let version = |line: &str| {
            let (name, version) = line.split_once(' ')?;
            Some((name.to_owned(), version.to_owned()))
        };
        Ok(Self {
            versions: lines.filter_map(version).collect(),
        })
    }

    /// Writes it beside the objects in `folder`.
    pub(crate) fn write(&self, folder: &Path) -> Result<()> {
        let mut text = String::from(
            "# The tools that built these objects, by `cargo xtask build-programs`.\n",
        );
        for (name, version) in &self.versions {
            writeln!(text, "{name} {version}")?;
        }
        fs::write(folder.join(FILE), text).context("cannot write the manifest")
    }

    /// Says how this one differs from `other`, one line a tool.
    pub(crate) fn differences(&self, other: &Self) -> Vec<String> {
        let version = |of: &Self, name: &str| {
            let found = of.versions.iter().find(|(known, _)| known == name);
            found.map_or_else(|| "none".to_owned(), |(_, version)| version.clone())
        };
        let names = self.versions.iter().map(|(name, _)| name);
        names
            .filter(|name| version(self, name) != version(other, name))
            .map(|name| {
                format!(
                    "{name}: {} there, {} here",
                    version(self, name),
                    version(other, name)
                )
            })
            .collect()
    }
}
