//! What a module for the guest's kernel has to know of it.
//!
//! A module is bound to its kernel by the layout of `struct module`, by a text that names the kernel, and by checksums
//! of the symbols that it takes. All of that stands in the modules that come with the kernel, so that neither its
//! headers nor its build are needed.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget};

use crate::{
    process::{run, say},
    tools::Tool,
    workspace,
};

/// What [`SOURCE`] includes.
const FACTS: &str = "module_facts.h";
const SOURCE: &str = "tests/linux/module.c";

/// What the module takes from the kernel. The kernel itself asks for the first.
const SYMBOLS: [&str; 5] = [
    "module_layout",
    "proc_create",
    "proc_remove",
    "simple_read_from_buffer",
    "simple_write_to_buffer",
];

/// One entry of `__versions` (Linux 6.1: `struct modversion_info`): a checksum and a name.
const VERSION_LEN: usize = 64;

/// Returns where the facts are kept.
pub(super) fn facts_path(folder: &Path) -> PathBuf {
    folder.join(FACTS)
}

/// Reads the modules below `modules` and writes down what they say of their kernel.
pub(super) fn write_facts(modules: &Path, folder: &Path) -> Result<()> {
    say("reading from the kernel's modules what a module has to know");
    let mut facts = Facts::default();
    facts.gather(modules)?;
    fs::write(facts_path(folder), facts.header()?)?;
    Ok(())
}

/// Compiles the module against the facts in `folder`.
pub(super) fn make(folder: &Path) -> Result<PathBuf> {
    let module = folder.join("axebpf_guest.ko");
    let mut clang = Command::new(Tool::Clang.path()?);
    clang.args(["--target=aarch64-linux-gnu", "-O2", "-Wall", "-Wextra"]);
    clang.args(["-Werror", "-ffreestanding", "-fno-stack-protector"]);
    clang.args([
        "-fno-pic",
        "-fno-asynchronous-unwind-tables",
        "-fno-addrsig",
    ]);
    clang.args(["-fno-omit-frame-pointer", "-ffixed-x18"]);
    // The kernel's own processor state, and no calls of a library that is not there.
    clang.args([
        "-mgeneral-regs-only",
        "-mno-outline-atomics",
        "-march=armv8-a+crc",
    ]);
    clang.arg("-I").arg(folder);
    clang.arg("-c").arg(workspace::root().join(SOURCE));
    clang.arg("-o").arg(&module);
    run(&mut clang)?;
    Ok(module)
}

/// What is known so far.
#[derive(Default)]
struct Facts {
    layout: Option<Layout>,
    kernel: Option<String>,
    sums: BTreeMap<&'static str, u64>,
}

/// Where things are in `struct module`.
struct Layout {
    len: u64,
    name: usize,
    init: u64,
    exit: u64,
}

impl Facts {
    fn is_complete(&self) -> bool {
        self.layout.is_some() && self.kernel.is_some() && self.sums.len() == SYMBOLS.len()
    }

    fn gather(&mut self, folder: &Path) -> Result<()> {
        let entries =
            fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if self.is_complete() {
                return Ok(());
            }
            if path.is_dir() && !path.is_symlink() {
                self.gather(&path)?;
            } else if path.extension().is_some_and(|extension| extension == "ko") {
                self.read(&fs::read(&path)?)
                    .with_context(|| format!("{} is no module", path.display()))?;
            }
        }
        Ok(())
    }

    fn read(&mut self, module: &[u8]) -> Result<()> {
        let elf = object::File::parse(module)?;
        let info = elf.section_by_name(".modinfo").context("no .modinfo")?;
        let info = String::from_utf8_lossy(info.data()?).into_owned();
        let said = |key: &str| info.split('\0').find_map(|entry| entry.strip_prefix(key));
        self.kernel = said("vermagic=").map(str::to_owned);
        if self.layout.is_none() {
            self.layout = layout(&elf, said("name=").unwrap_or_default());
        }
        if let Some(versions) = elf.section_by_name("__versions") {
            for version in versions.data()?.chunks_exact(VERSION_LEN) {
                self.note(version);
            }
        }
        Ok(())
    }

    /// Takes note of the checksum of a symbol.
    fn note(&mut self, version: &[u8]) {
        let Some((sum, name)) = version.split_first_chunk() else {
            return;
        };
        let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
        let symbol = SYMBOLS.iter().find(|symbol| symbol.as_bytes() == name);
        if let Some(symbol) = symbol {
            self.sums.insert(symbol, u64::from_le_bytes(*sum));
        }
    }

    fn header(&self) -> Result<String> {
        let kernel = self.kernel.as_ref().context("no module names its kernel")?;
        let layout = self.layout.as_ref();
        let layout = layout.context("no module has a beginning and an end")?;
        ensure!(
            self.sums.len() == SYMBOLS.len(),
            "of {SYMBOLS:?}, the modules take only {:?}",
            self.sums.keys()
        );
        let Layout {
            len,
            name,
            init,
            exit,
        } = layout;
        let mut text = format!(
            "#define VERMAGIC \"{kernel}\"\n#define MODULE_SIZE {len}\n#define MODULE_NAME {name}\n\
             #define MODULE_INIT {init}\n#define MODULE_EXIT {exit}\n#define VERSIONS(X)"
        );
        for (symbol, sum) in &self.sums {
            write!(text, " X({sum:#x}, \"{symbol}\")")?;
        }
        text.push('\n');
        Ok(text)
    }
}

/// Reads the layout of `struct module` from the module `name`, if that has both a beginning and an end.
fn layout(elf: &object::File<'_>, name: &str) -> Option<Layout> {
    let section = elf.section_by_name(".gnu.linkonce.this_module")?;
    let place = |wanted: &str| {
        section.relocations().find_map(|(at, relocation)| {
            let RelocationTarget::Symbol(index) = relocation.target() else {
                return None;
            };
            let symbol = elf.symbol_by_index(index).ok()?;
            (symbol.name() == Ok(wanted)).then_some(at)
        })
    };
    let name = format!("{name}\0");
    let data = section.data().ok()?;
    let mut windows = data.windows(name.len());
    Some(Layout {
        len: section.size(),
        name: windows.position(|window| window == name.as_bytes())?,
        init: place("init_module")?,
        exit: place("cleanup_module")?,
    })
}

#[cfg(test)]
mod tests {
    use super::Facts;

    #[test]
    fn sums_of_what_is_taken_are_noted() {
        let mut facts = Facts::default();
        let mut version = [0; 64];
        version[..8].copy_from_slice(&0x6d09_f5ea_u64.to_le_bytes());
        version[8..19].copy_from_slice(b"proc_remove");
        facts.note(&version);
        version[8..20].copy_from_slice(b"proc_removed");
        facts.note(&version);
        assert_eq!(facts.sums.get("proc_remove"), Some(&0x6d09_f5ea));
        assert_eq!(facts.sums.len(), 1);
        assert!(facts.header().is_err());
    }
}
