//! Reading ELF objects: sections and symbols, map definitions, type information, relocations.

mod btf;
mod file;
mod function;
mod link;
mod map_def;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use self::file::File;
use self::function::Functions;
use self::link::Linker;
use crate::load_error::LoadError;
use crate::object::{MAX_PROGRAMS, ObjectFile};

/// Reads an object file.
pub(crate) fn parse(elf: &[u8]) -> Result<ObjectFile, LoadError> {
    let file = File::parse(elf)?;
    refuse_core_relocations(&file)?;
    let maps = map_def::find(&file)?;
    let functions = Functions::find(&file)?;
    let roots = functions.programs()?;
    if roots.is_empty() {
        return Err(LoadError::NoProgram);
    }
    if roots.len() > MAX_PROGRAMS {
        let (count, limit) = (roots.len(), MAX_PROGRAMS);
        return Err(LoadError::TooMany {
            what: "programs",
            count,
            limit,
        });
    }
    let linker = Linker::new(&file, &functions, &maps);
    let programs = roots
        .into_iter()
        .map(|root| linker.link(root))
        .collect::<Result<_, _>>()?;
    let maps: Vec<_> = maps.into_iter().map(|map| map.definition).collect();
    Ok(ObjectFile {
        license: license(&file),
        maps,
        programs,
    })
}

fn license(file: &File<'_>) -> String {
    let data = file
        .section_named("license")
        .map_or(&[][..], |(_, section)| section.data);
    let text = data.split(|byte| *byte == 0).next().unwrap_or(&[]);
    String::from_utf8_lossy(text).to_string()
}

/// Refuses objects whose structure offsets have to be adapted to a kernel, since there is none to adapt them to.
fn refuse_core_relocations(file: &File<'_>) -> Result<(), LoadError> {
    /// Where the header has the length of the relocations in bytes. Empty ones have just the size of a record.
    const LENGTH_AT: usize = 28;
    let Some((_, section)) = file.section_named(".BTF.ext") else {
        return Ok(());
    };
    let header_len = section
        .data
        .get(4..)
        .and_then(|rest| rest.first_chunk::<4>());
    let len = section
        .data
        .get(LENGTH_AT..)
        .and_then(|rest| rest.first_chunk::<4>());
    match (header_len, len) {
        (Some(header), Some(len))
            if u32::from_le_bytes(*header) >= 32 && u32::from_le_bytes(*len) > 4 =>
        {
            Err(LoadError::BadSection {
                section: section.name.to_string(),
                what: "CO-RE relocations are not supported".to_string(),
            })
        }
        _ => Ok(()),
    }
}
