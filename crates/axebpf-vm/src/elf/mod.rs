//! Reading ELF objects: sections and symbols, map definitions, type information, relocations.

mod btf;
mod co_re;
mod ext;
mod file;
mod function;
mod link;
mod map_def;

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use self::btf::Btf;
use self::co_re::Core;
use self::ext::Ext;
use self::file::File;
use self::function::Functions;
use self::link::{Adaptation, Linker};
use crate::load_error::LoadError;
use crate::object::{MAX_PROGRAMS, ObjectFile};

/// Reads an object file; `target` is the BTF of what the programs will look at.
pub(crate) fn parse(elf: &[u8], target: Option<&[u8]>) -> Result<ObjectFile, LoadError> {
    let file = File::parse(elf)?;
    refuse_sections(&file)?;
    let local = match file.section_named(".BTF") {
        Some((_, types)) => Btf::parse(types.data)?,
        None => Btf::empty(),
    };
    let target = target.map(Btf::parse).transpose()?;
    let adaptation = adaptation(&file, &local, target.as_ref())?;
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
    let linker = Linker::new(&file, &functions, &maps, &adaptation);
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

/// Returns the sections of the programs of an object file.
pub(crate) fn program_sections(elf: &[u8]) -> Result<Vec<String>, LoadError> {
    let file = File::parse(elf)?;
    let functions = Functions::find(&file)?;
    let programs = functions.programs()?;
    let sections = programs.iter().map(|program| program.section_name.into());
    Ok(sections.collect())
}

fn license(file: &File<'_>) -> String {
    let data = file
        .section_named("license")
        .map_or(&[][..], |(_, section)| section.data);
    let text = data.split(|byte| *byte == 0).next().unwrap_or(&[]);
    String::from_utf8_lossy(text).to_string()
}

/// Refuses what a kernel's build would have to fill in.
fn refuse_sections(file: &File<'_>) -> Result<(), LoadError> {
    /// Variables that are declared only, which the loader fills in.
    const EXTERNAL: [(&str, &str); 2] = [
        (
            ".kconfig",
            "there is no kernel whose configuration could be asked",
        ),
        (
            ".ksyms",
            "there is no kernel whose variables and functions could be used",
        ),
    ];
    let declared = |name: &str, btf: &Btf<'_>| btf.section(name).is_some();
    let Some((_, types)) = file.section_named(".BTF") else {
        return Ok(());
    };
    let btf = Btf::parse(types.data)?;
    match EXTERNAL.iter().find(|(name, _)| declared(name, &btf)) {
        Some((section, reason)) => Err(LoadError::RefusedSection {
            section: (*section).to_string(),
            reason,
        }),
        None => Ok(()),
    }
}

/// Reads what the object says about its source and about the types that it needs.
fn adaptation<'b, 'f>(
    file: &File<'f>,
    local: &'b Btf<'f>,
    target: Option<&'b Btf<'b>>,
) -> Result<Adaptation<'b, 'f>, LoadError> {
    let ext = Ext::of(file, local)?;
    let needs = ext
        .relocations
        .iter()
        .find(|relocation| relocation.kind != co_re::TYPE_ID_LOCAL);
    match (needs, target) {
        (Some(relocation), None) => Err(LoadError::NoTargetTypes {
            section: relocation.section.to_string(),
            offset: relocation.offset,
        }),
        (_, target) => Ok(Adaptation {
            core: Core::new(local, target.unwrap_or(local)),
            ext,
        }),
    }
}
