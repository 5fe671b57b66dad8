//! `cargo xtask ksyms`.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail};
use axebpf_symbols::{Encoder, SECTION_NAME, SymbolError, fill_section};
use object::{
    Object as _, ObjectSection as _, ObjectSymbol as _, SectionFlags, SectionKind, Symbol,
    SymbolKind, elf,
};

use crate::process::say;

/// Makes the symbol table of a hypervisor image and writes it into the image.
///
/// The image reserves the section `.axebpf_ksyms` for it (axebpf_symbols::reserve_symbol_section!). Nothing is linked
/// again, and no address changes.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The image, an ELF file with a symbol table of its own.
    elf: PathBuf,
}

pub(crate) fn run(args: &Args) -> Result<()> {
    fill(&args.elf)
}

/// Writes the symbol table of the image `path` into it.
pub(crate) fn fill(path: &Path) -> Result<()> {
    say(format_args!(
        "writing the symbol table into {}",
        path.display()
    ));
    let mut image = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    let reserved = reserved(&image)
        .with_context(|| format!("{} cannot take a symbol table", path.display()))?;
    let table = encode(&image)?;
    let len = image.len();
    let section = reserved
        .range()
        .and_then(|range| image.get_mut(range))
        .with_context(|| format!("{SECTION_NAME} ends behind the file's {len} bytes"))?;
    match fill_section(section, reserved.address, &table) {
        Ok(()) => {}
        Err(SymbolError::TooLarge { len, capacity }) => bail!(
            "the symbol table needs {len} bytes, and {SECTION_NAME} has {capacity}\n  \
             reserve at least {len} bytes with reserve_symbol_section! and link the image again"
        ),
        Err(error) => return Err(error).context(format!("{SECTION_NAME} is not as reserved")),
    }
    fs::write(path, image).with_context(|| format!("cannot write {}", path.display()))?;
    println!("    {} of {} bytes used", table.len(), reserved.len);
    Ok(())
}

/// Where the reserved section lies.
struct Reserved {
    address: u64,
    offset: u64,
    len: u64,
}

impl Reserved {
    fn range(&self) -> Option<std::ops::Range<usize>> {
        let start = usize::try_from(self.offset).ok()?;
        Some(start..start.checked_add(usize::try_from(self.len).ok()?)?)
    }
}

fn reserved(image: &[u8]) -> Result<Reserved> {
    let elf = object::File::parse(image).context("it is no ELF file")?;
    let section = elf.section_by_name(SECTION_NAME).with_context(|| {
        format!("it has no section {SECTION_NAME}; declare it with axebpf_symbols::reserve_symbol_section!")
    })?;
    let (offset, len) = section
        .file_range()
        .with_context(|| format!("{SECTION_NAME} takes no room in the file"))?;
    Ok(Reserved {
        address: section.address(),
        offset,
        len,
    })
}

/// Makes the table of the functions and data of `image`.
fn encode(image: &[u8]) -> Result<Vec<u8>> {
    let mut encoder = Encoder::new();
    let refused = push_all(&mut encoder, image, &|_| true)?;
    if encoder.is_empty() {
        bail!("the image has no symbols; link it without stripping it (`strip = \"none\"`)");
    }
    println!("    {} symbols, {refused} left out", encoder.len());
    Ok(encoder.finish()?)
}

/// Adds the functions and data of the ELF file `image` whose type is `wanted`, and returns how many were left out
/// because a table cannot have them.
pub(crate) fn push_all(
    encoder: &mut Encoder,
    image: &[u8],
    wanted: &impl Fn(char) -> bool,
) -> Result<usize> {
    let elf = object::File::parse(image).context("it is no ELF file")?;
    let mut refused = 0;
    for symbol in elf.symbols() {
        let Some(kind) = kind(&elf, &symbol).filter(|kind| wanted(*kind)) else {
            continue;
        };
        let Ok(name) = symbol.name() else {
            continue;
        };
        if let Err(error) = encoder.push(name, symbol.address(), symbol.size(), kind) {
            refused += 1;
            println!("    left out: {error}");
        }
    }
    Ok(refused)
}

/// Returns the letter that `nm` shows for the symbol, or `None` for one that does not belong into the table.
fn kind(elf: &object::File<'_>, symbol: &Symbol<'_, '_>) -> Option<char> {
    let name = symbol.name().ok()?;
    // Mapping symbols such as `$x` mark where code and data begin (ELF for the Arm 64-bit Architecture, 5.5.4).
    if name.is_empty() || name.starts_with('$') || symbol.is_undefined() {
        return None;
    }
    let section = elf.section_by_index(symbol.section_index()?).ok()?;
    let SectionFlags::Elf { sh_flags, .. } = section.flags() else {
        return None;
    };
    if sh_flags & elf::SHF_ALLOC == elf::SectionFlags(0) {
        return None;
    }
    let letter = match (symbol.kind(), section.kind()) {
        // Labels of assembly have no type; in text they name functions.
        (SymbolKind::Text, _) | (SymbolKind::Unknown | SymbolKind::Label, SectionKind::Text) => 't',
        (SymbolKind::Data, SectionKind::UninitializedData) => 'b',
        (SymbolKind::Data, SectionKind::ReadOnlyData | SectionKind::ReadOnlyString) => 'r',
        (SymbolKind::Data, _) => 'd',
        _ => return None,
    };
    Some(if symbol.is_global() {
        letter.to_ascii_uppercase()
    } else {
        letter
    })
}
