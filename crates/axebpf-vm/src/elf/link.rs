//! Linking: a program and the functions that it calls become one piece of code.
//!
//! The result starts with the program's function; each function that is called, directly or through others, follows
//! once. References to maps become 64-bit immediates that name the map by index, calls get their new distance.

use alloc::string::ToString;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::co_re::Core;
use super::ext::Ext;
use super::file::{File, Relocation, Symbol, SymbolKind};
use super::function::{Function, Functions};
use super::map_def::{PlacedMap, is_data};
use crate::check_error::CheckError;
use crate::decode::{MAX_INSNS, split};
use crate::insn::{self, INSN_BYTES, Insn};
use crate::load_error::LoadError;
use crate::object::{CodePlace, ProgramDefinition};
use crate::program::Missing;
use crate::source::{SourceLine, SourceLines};

/// Relocates a 64-bit immediate.
const R_BPF_64_64: u32 = 1;
/// Relocates the target of a call.
const R_BPF_64_32: u32 = 10;

/// What linking needs to know of an object.
pub(super) struct Linker<'l, 'f> {
    file: &'l File<'f>,
    functions: &'l Functions<'f>,
    maps: &'l [PlacedMap],
    adaptation: &'l Adaptation<'l, 'f>,
    /// The relocations of each section, by offset.
    relocations: Vec<Vec<Relocation>>,
}

/// What the object says about its source, and how it is adapted to the target's types.
pub(super) struct Adaptation<'l, 'f> {
    pub(super) core: Core<'l, 'f>,
    pub(super) ext: Ext<'f>,
}

/// A function and where it went in the program.
struct Placed<'l, 'f> {
    function: &'l Function<'f>,
    at: usize,
}

/// A program that is being put together.
struct Output<'l, 'f> {
    insns: Vec<Insn>,
    placed: Vec<Placed<'l, 'f>>,
    /// Instructions that refer to a function, by its number in `placed`.
    references: Vec<(usize, usize)>,
    lines: SourceLines,
    missing: Vec<Missing>,
}

/// An instruction's place in its section.
#[derive(Clone, Copy)]
struct Site<'l, 'f> {
    function: &'l Function<'f>,
    /// The offset in the section, in bytes.
    offset: u64,
    relocation: Option<Relocation>,
}

impl<'l, 'f> Linker<'l, 'f> {
    pub(super) fn new(
        file: &'l File<'f>,
        functions: &'l Functions<'f>,
        maps: &'l [PlacedMap],
        adaptation: &'l Adaptation<'l, 'f>,
    ) -> Self {
        let relocations = file.sections.iter().map(|section| {
            let mut relocations = section.relocations.clone();
            relocations.sort_by_key(|relocation| relocation.offset);
            relocations
        });
        Self {
            file,
            functions,
            maps,
            adaptation,
            relocations: relocations.collect(),
        }
    }

    pub(super) fn link(&self, root: &'l Function<'f>) -> Result<ProgramDefinition, LoadError> {
        let mut output = Output {
            insns: Vec::new(),
            placed: Vec::new(),
            references: Vec::new(),
            lines: SourceLines::default(),
            missing: Vec::new(),
        };
        output.refer(root);
        let mut next = 0;
        while let Some(placed) = output.placed.get_mut(next) {
            placed.at = output.insns.len();
            let function = placed.function;
            self.append(function, &mut output)
                .and_then(|()| output.check_length(root))?;
            next += 1;
        }
        output.resolve();
        Ok(ProgramDefinition {
            name: root.name.to_string(),
            section: root.section_name.to_string(),
            place: CodePlace {
                section: root.section,
                offset: root.start,
            },
            insns: output.insns,
            lines: output.lines,
            missing: output.missing,
        })
    }

    /// Appends a function's instructions, relocated as far as possible before all functions have their place.
    fn append(
        &self,
        function: &'l Function<'f>,
        output: &mut Output<'l, 'f>,
    ) -> Result<(), LoadError> {
        let insns = split(function.code).map_err(|error| program_error(function, error))?;
        let base = output.insns.len();
        output.insns.extend(insns);
        self.adapt(function, base, output)?;
        self.add_lines(function, base, &mut output.lines);
        let mut index = base;
        while index < output.insns.len() {
            let offset = function.start + ((index - base) * INSN_BYTES) as u64;
            let relocation = self.relocation_at(function.section, offset);
            let site = Site {
                function,
                offset,
                relocation,
            };
            let insn = output.insns[index];
            index += match insn.opcode {
                insn::LDDW => {
                    self.load_immediate(site, index, output)?;
                    2
                }
                insn::CALL => {
                    self.call(site, index, output)?;
                    1
                }
                _ if relocation.is_some() => {
                    return Err(self.bad(site, "the instruction cannot be relocated"));
                }
                _ => 1,
            };
        }
        Ok(())
    }

    /// Adapts a function's instructions, which start at `base`, to the target's types.
    fn adapt(
        &self,
        function: &Function<'f>,
        base: usize,
        output: &mut Output<'l, 'f>,
    ) -> Result<(), LoadError> {
        let Adaptation { core, ext } = self.adaptation;
        let insns = output.insns.get_mut(base..).unwrap_or_default();
        for relocation in ext.relocations.iter().filter(|relocation| {
            relocation.section == function.section_name && function.holds(relocation.offset)
        }) {
            let index = (relocation.offset - function.start) as usize / INSN_BYTES;
            let missing = core.relocate(relocation, insns.get_mut(index..).unwrap_or_default())?;
            output.missing.extend(missing.map(|what| Missing {
                insn: base + index,
                what: what.into(),
            }));
        }
        Ok(())
    }

    /// Notes which lines a function, which starts at instruction `base`, comes from.
    fn add_lines(&self, function: &Function<'f>, base: usize, lines: &mut SourceLines) {
        lines.push(base, None);
        let mut file: Option<Arc<str>> = None;
        for line in self
            .adaptation
            .ext
            .lines
            .iter()
            .filter(|line| line.section == function.section_name && function.holds(line.offset))
        {
            let name = file
                .take()
                .filter(|name| **name == *line.file)
                .unwrap_or_else(|| Arc::from(line.file));
            file = Some(name.clone());
            let insn = base + (line.offset - function.start) as usize / INSN_BYTES;
            let line = SourceLine {
                file: name,
                line: line.line,
                column: line.column,
                text: line.text.into(),
            };
            lines.push(insn, Some(line));
        }
    }

    fn relocation_at(&self, section: usize, offset: u64) -> Option<Relocation> {
        let relocations = self.relocations.get(section)?;
        let index = relocations.binary_search_by_key(&offset, |relocation| relocation.offset);
        relocations.get(index.ok()?).copied()
    }

    fn bad(&self, site: Site<'_, '_>, what: &'static str) -> LoadError {
        let symbol = site
            .relocation
            .and_then(|relocation| self.file.symbols.get(relocation.symbol));
        LoadError::BadRelocation {
            section: site.function.section_name.to_string(),
            offset: site.offset,
            kind: site.relocation.map_or(0, |relocation| relocation.kind),
            symbol: symbol
                .map_or("", |symbol| self.file.symbol_name(symbol))
                .to_string(),
            what,
        }
    }

    /// Returns the symbol of a relocation, which must be of type `kind` and defined, and its section.
    fn symbol(
        &self,
        site: Site<'_, '_>,
        relocation: Relocation,
        kind: u32,
    ) -> Result<(&'l Symbol<'f>, usize), LoadError> {
        if relocation.kind != kind {
            return Err(self.bad(site, "the type is unknown, or not for this instruction"));
        }
        let symbol = self.file.symbols.get(relocation.symbol);
        symbol
            .and_then(|symbol| Some((symbol, symbol.section?)))
            .ok_or_else(|| self.bad(site, "the symbol is not defined in the object"))
    }

    fn load_immediate(
        &self,
        site: Site<'l, 'f>,
        index: usize,
        output: &mut Output<'l, 'f>,
    ) -> Result<(), LoadError> {
        let Some(relocation) = site.relocation else {
            return Ok(());
        };
        let (symbol, section) = self.symbol(site, relocation, R_BPF_64_64)?;
        let [low, high] = match output.insns.get_mut(index..) {
            Some([low, high, ..]) => [low, high],
            _ => {
                let error = CheckError::SplitImmediate { insn: index };
                return Err(program_error(site.function, error));
            }
        };
        let target = symbol.value.wrapping_add(i64::from(low.imm) as u64);
        let map = self.maps.iter().enumerate().find(|(_, map)| {
            map.section == section && (map.definition.initial.is_some() || map.offset == target)
        });
        if let Some((number, map)) = map {
            low.imm = number as i32;
            if map.definition.initial.is_some() {
                low.src = insn::lddw::MAP_INDEX_VALUE;
                let offset = u32::try_from(target);
                high.imm =
                    offset.map_err(|_| self.bad(site, "it points outside of the section"))? as i32;
            } else {
                low.src = insn::lddw::MAP_INDEX;
                high.imm = 0;
            }
            return Ok(());
        }
        let function = self.functions.at(section, target).ok_or_else(|| {
            self.bad(
                site,
                match self.file.sections.get(section) {
                    Some(section) if is_data(section) => {
                        "it points to global data with pointers in its initial value"
                    }
                    _ => "it points to no map, function or global data",
                },
            )
        })?;
        low.src = insn::lddw::CODE;
        high.imm = 0;
        let number = output.refer(function);
        output.references.push((index, number));
        Ok(())
    }

    fn call(
        &self,
        site: Site<'l, 'f>,
        index: usize,
        output: &mut Output<'l, 'f>,
    ) -> Result<(), LoadError> {
        let insn = output.insns[index];
        let distance = (i64::from(insn.imm) + 1).wrapping_mul(INSN_BYTES as i64) as u64;
        let (section, target) = match site.relocation {
            None if insn.src != insn::call::LOCAL => return Ok(()),
            // The assembler resolves calls within a section itself.
            None => (site.function.section, site.offset.wrapping_add(distance)),
            Some(relocation) => {
                let (symbol, section) = self.symbol(site, relocation, R_BPF_64_32)?;
                // A section's symbol leaves the function to the immediate, a function's has -1 there.
                let addend = if symbol.kind == SymbolKind::Section {
                    distance
                } else {
                    0
                };
                (section, symbol.value.wrapping_add(addend))
            }
        };
        let function = self
            .functions
            .at(section, target)
            .ok_or_else(|| self.bad(site, "the call is to no function of the object"))?;
        output.insns[index].src = insn::call::LOCAL;
        let number = output.refer(function);
        output.references.push((index, number));
        Ok(())
    }
}

impl<'l, 'f> Output<'l, 'f> {
    /// Returns the number of a function, which gets its place later if it has none yet.
    fn refer(&mut self, function: &'l Function<'f>) -> usize {
        let known = self.placed.iter().position(|placed| {
            (placed.function.section, placed.function.start) == (function.section, function.start)
        });
        known.unwrap_or_else(|| {
            self.placed.push(Placed { function, at: 0 });
            self.placed.len() - 1
        })
    }

    fn check_length(&self, root: &Function<'_>) -> Result<(), LoadError> {
        let len = self.insns.len();
        if len <= MAX_INSNS {
            return Ok(());
        }
        Err(program_error(
            root,
            CheckError::TooLong {
                len,
                limit: MAX_INSNS,
            },
        ))
    }

    /// Fills in the distances to the functions, which all have their place now.
    fn resolve(&mut self) {
        for (index, number) in &self.references {
            let target = self.placed[*number].at as i64;
            // Both are below `MAX_INSNS`.
            self.insns[*index].imm = (target - *index as i64 - 1) as i32;
        }
    }
}

fn program_error(function: &Function<'_>, error: CheckError) -> LoadError {
    LoadError::Program {
        program: function.name.to_string(),
        section: function.section_name.to_string(),
        error,
        line: None,
    }
}
