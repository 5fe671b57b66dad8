//! The maps that an object defines: in BTF, in the legacy form, and for global data.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;

use axebpf_maps::{MapFlags, MapKind, MapSpec};

use super::btf::{Btf, Kind, Member};
use super::file::{File, Relocation, Section, SectionKind, SymbolKind};
use crate::load_error::LoadError;
use crate::object::{CodePlace, MAX_MAPS, MapDefinition, Pinning};

/// The longest global data of one section in bytes.
const MAX_DATA_BYTES: u64 = 16 << 20;

/// A map definition and where references to it point.
#[derive(Debug)]
pub(super) struct PlacedMap {
    /// The number of the section.
    pub(super) section: usize,
    /// The offset in the section; meaningless for global data, which is all of its section.
    pub(super) offset: u64,
    pub(super) definition: MapDefinition,
}

/// Finds all maps of an object.
pub(super) fn find(file: &File<'_>) -> Result<Vec<PlacedMap>, LoadError> {
    let mut maps = Vec::new();
    for (index, section) in file.sections.iter().enumerate() {
        match section.name {
            ".maps" => btf_maps(file, index, section, &mut maps)?,
            "maps" => legacy_maps(file, index, section, &mut maps)?,
            _ if is_data(section) && section.relocations.is_empty() => {
                maps.push(data_map(index, section)?);
            }
            _ => {}
        }
        if maps.len() > MAX_MAPS {
            let (count, limit) = (maps.len(), MAX_MAPS);
            return Err(LoadError::TooMany {
                what: "maps",
                count,
                limit,
            });
        }
    }
    Ok(maps)
}

/// Tells whether a section holds global data.
///
/// With relocations, its initial value would have pointers, which is not supported; such a section makes no map, and
/// referring to it is an error.
pub(super) fn is_data(section: &Section<'_>) -> bool {
    let of = |base: &str| {
        let rest = section.name.strip_prefix(base);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    };
    match section.kind {
        SectionKind::Data => of(".data") || of(".rodata"),
        SectionKind::Zero => of(".bss"),
        SectionKind::Code | SectionKind::Other => false,
    }
}

fn data_map(index: usize, section: &Section<'_>) -> Result<PlacedMap, LoadError> {
    let bad = |what: &str| LoadError::BadSection {
        section: section.name.to_string(),
        what: what.to_string(),
    };
    if section.size > MAX_DATA_BYTES {
        return Err(bad("it has more than 16 MiB of global data"));
    }
    let read_only = section.name.starts_with(".rodata");
    let flags = if read_only {
        MapFlags::RDONLY_PROG
    } else {
        MapFlags::empty()
    };
    // An empty section can still be referred to, and no map has values of no bytes.
    let size = section.size.max(1) as u32;
    let spec = MapSpec::new(MapKind::Array, 4, size, 1)
        .named(section.name)
        .with_flags(flags);
    let mut initial = section.data.to_vec();
    initial.resize(size as usize, 0);
    let definition = MapDefinition {
        spec,
        pinning: Pinning::None,
        initial: Some(initial),
        inner: Vec::new(),
        programs: Vec::new(),
        values_at: None,
    };
    Ok(PlacedMap {
        section: index,
        offset: 0,
        definition,
    })
}

fn btf_maps(
    file: &File<'_>,
    index: usize,
    section: &Section<'_>,
    maps: &mut Vec<PlacedMap>,
) -> Result<(), LoadError> {
    if section.size == 0 {
        return Ok(());
    }
    let bad = |what: &str| LoadError::BadSection {
        section: section.name.to_string(),
        what: what.to_string(),
    };
    let (_, types) = file
        .section_named(".BTF")
        .ok_or_else(|| bad("maps need type information; compile with -g"))?;
    let first = maps.len();
    let btf = Btf::parse(types.data)?;
    let variables = btf
        .section(".maps")
        .ok_or_else(|| bad("the type information does not have its maps"))?;
    for variable in variables {
        let place = btf.get(variable.of).and_then(|found| match found.kind {
            Kind::Var { of } => Some((btf.type_name(found), of)),
            _ => None,
        });
        let (name, of) = place.ok_or_else(|| bad("its type information has no variable"))?;
        let spec = BtfMap { btf: &btf, name }.read(of)?;
        // clang leaves the offsets to the symbols; bpf-linker fills them in.
        let symbol = file.symbols.iter().find(|symbol| {
            symbol.section == Some(index)
                && symbol.kind != SymbolKind::Section
                && symbol.name == name
        });
        let offset = symbol.map_or(u64::from(variable.offset), |symbol| symbol.value);
        maps.push(PlacedMap {
            section: index,
            offset,
            definition: spec,
        });
    }
    for relocation in &section.relocations {
        initial_value(file, index, relocation, first, maps).ok_or_else(|| {
            bad(&format!(
                "the initial value at byte {:#x} is neither a map in a map of maps nor a program in an array of programs",
                relocation.offset
            ))
        })?;
    }
    Ok(())
}

/// Notes what a relocation of the section says: that a slot of a map of maps starts with some other map of the section,
/// or one of an array of programs with a function.
///
/// `first` is the number of the section's first map.
fn initial_value(
    file: &File<'_>,
    section: usize,
    relocation: &Relocation,
    first: usize,
    maps: &mut [PlacedMap],
) -> Option<()> {
    /// The bytes of a slot, in which the object has a pointer.
    const POINTER: u64 = 8;
    let symbol = file.symbols.get(relocation.symbol)?;
    let inner = maps.iter().position(|map| {
        map.section == section && symbol.section == Some(section) && map.offset == symbol.value
    });
    let outer = maps
        .get_mut(first..)?
        .iter_mut()
        .filter(|map| map.section == section && map.offset <= relocation.offset)
        .max_by_key(|map| map.offset)?;
    let at = relocation
        .offset
        .checked_sub(outer.offset)?
        .checked_sub(outer.definition.values_at?)?;
    let slot = u32::try_from(at / POINTER).ok()?;
    let limit = outer.definition.spec.max_entries;
    if !at.is_multiple_of(POINTER) || slot >= limit || symbol.kind == SymbolKind::Section {
        return None;
    }
    let definition = &mut outer.definition;
    if definition.spec.kind == MapKind::ProgArray {
        let place = CodePlace {
            section: symbol
                .section
                .filter(|_| symbol.kind == SymbolKind::Function)?,
            offset: symbol.value,
        };
        definition.programs.push((slot, place));
    } else {
        definition.inner.push((slot, inner?));
    }
    Some(())
}

/// Reads the definition of one map from its type.
struct BtfMap<'b, 'f> {
    btf: &'b Btf<'f>,
    name: &'f str,
}

impl BtfMap<'_, '_> {
    fn bad(&self, what: String) -> LoadError {
        LoadError::BadMapDefinition {
            map: self.name.to_string(),
            what,
        }
    }

    /// Reads `int (*field)[number]`, what the macro `__uint` makes.
    fn number(&self, member: &Member) -> Option<u32> {
        let Kind::Ptr { to } = self.btf.resolve(member.of)?.kind else {
            return None;
        };
        match self.btf.resolve(to)?.kind {
            Kind::Array { len, .. } => Some(len),
            _ => None,
        }
    }

    /// Reads `type *field`, what the macro `__type` makes, and returns the size of the type.
    fn size(&self, member: &Member) -> Option<u32> {
        let Kind::Ptr { to } = self.btf.resolve(member.of)?.kind else {
            return None;
        };
        self.btf.size_of(to)
    }

    fn read(&self, of: u32) -> Result<MapDefinition, LoadError> {
        let Some(Kind::Struct { first, len, .. }) = self.btf.resolve(of).map(|found| found.kind)
        else {
            return Err(self.bad("its type is no struct".to_string()));
        };
        let (mut kind, mut flags, mut pinning) = (None, 0, 0);
        let mut spec = MapSpec::new(MapKind::Array, 0, 0, 0).named(self.name);
        let mut values_at = None;
        for member in self.btf.members(first, len) {
            let field = self.btf.member_name(member);
            let number = || {
                self.number(member)
                    .ok_or_else(|| self.bad(format!("field {field:?} has no number")))
            };
            let size = || {
                let size = self.size(member);
                size.ok_or_else(|| self.bad(format!("the type of field {field:?} has no size")))
            };
            match field {
                "type" => kind = Some(number()?),
                "max_entries" => spec.max_entries = number()?,
                "map_flags" => flags = number()?,
                "key_size" => spec.key_size = number()?,
                "value_size" => spec.value_size = number()?,
                "key" => spec.key_size = size()?,
                "value" => spec.value_size = size()?,
                "pinning" => pinning = number()?,
                "map_extra" => spec.extra = number()?.into(),
                "values" => {
                    spec.inner = self.template(member.of)?.map(Arc::new);
                    values_at = Some(u64::from(member.offset) / 8);
                }
                // A hint on which memory to use; 0 or not, there is one kind here.
                "numa_node" => {}
                _ => return Err(self.bad(format!("field {field:?} is not supported"))),
            }
        }
        let kind = kind.ok_or_else(|| self.bad("it has no type".to_string()))?;
        fill_sizes(&mut spec, kind);
        let definition = finish(spec, kind, flags, pinning)?;
        Ok(MapDefinition {
            values_at,
            ..definition
        })
    }

    /// Reads `struct inner *values[]`, what the macro `__array` makes: the definition that the values have in common.
    ///
    /// `None` for the programs of a program array, which have none.
    fn template(&self, of: u32) -> Result<Option<MapSpec>, LoadError> {
        let bad = || self.bad("field \"values\" is no array of pointers to maps".to_string());
        let Some(Kind::Array { element, .. }) = self.btf.resolve(of).map(|found| found.kind) else {
            return Err(bad());
        };
        let Some(Kind::Ptr { to }) = self.btf.resolve(element).map(|found| found.kind) else {
            return Err(bad());
        };
        match self.btf.resolve(to).map(|found| found.kind) {
            Some(Kind::Function { .. }) => Ok(None),
            Some(Kind::Struct { first, len, .. }) => {
                let inner = self.btf.members(first, len);
                // One level is all there is, so that definitions cannot go round in circles.
                if inner
                    .iter()
                    .any(|member| self.btf.member_name(member) == "values")
                {
                    return Err(self.bad("maps of maps of maps are not possible".to_string()));
                }
                Ok(Some(self.read(to)?.spec))
            }
            _ => Err(bad()),
        }
    }
}

/// Fills in the sizes that a definition need not have, since there is one possible for the kind.
fn fill_sizes(spec: &mut MapSpec, kind: u32) {
    let numbered = [
        MapKind::ProgArray,
        MapKind::PerfEventArray,
        MapKind::ArrayOfMaps,
    ];
    let holds = [MapKind::HashOfMaps];
    let is = |kinds: &[MapKind]| kinds.iter().any(|known| known.number() == kind);
    if spec.key_size == 0 && is(&numbered) {
        spec.key_size = 4;
    }
    if spec.value_size == 0 && (is(&numbered) || is(&holds)) {
        spec.value_size = 4;
    }
}

/// Turns numbers into what they stand for.
fn finish(
    mut spec: MapSpec,
    kind: u32,
    flags: u32,
    pinning: u32,
) -> Result<MapDefinition, LoadError> {
    let map = || spec.name.clone();
    spec.kind = MapKind::try_from(kind).map_err(|error| LoadError::Map { map: map(), error })?;
    spec.flags = MapFlags::from_bits_retain(flags);
    let pinning = match pinning {
        0 => Pinning::None,
        1 => Pinning::ByName,
        _ => {
            let what = format!("pinning {pinning} is unknown (0, or LIBBPF_PIN_BY_NAME)");
            return Err(LoadError::BadMapDefinition { map: map(), what });
        }
    };
    Ok(MapDefinition {
        spec,
        pinning,
        initial: None,
        inner: Vec::new(),
        programs: Vec::new(),
        values_at: None,
    })
}

/// Reads `struct bpf_map_def`: five numbers, and whatever else a loader of its own has there.
///
/// aya writes two more: the id and the pinning.
fn legacy_maps(
    file: &File<'_>,
    index: usize,
    section: &Section<'_>,
    maps: &mut Vec<PlacedMap>,
) -> Result<(), LoadError> {
    let symbols = file
        .symbols
        .iter()
        .filter(|symbol| symbol.section == Some(index) && symbol.kind != SymbolKind::Section);
    for symbol in symbols {
        let number = |field: u64| {
            let start = usize::try_from(symbol.value.checked_add(field * 4)?).ok()?;
            section
                .data
                .get(start..)?
                .first_chunk::<4>()
                .map(|bytes| u32::from_le_bytes(*bytes))
        };
        let numbers: Option<Vec<u32>> = (0..5).map(number).collect();
        let Some([kind, key_size, value_size, max_entries, flags]) = numbers.as_deref() else {
            let (map, what) = (
                symbol.name.to_string(),
                "its definition is cut off".to_string(),
            );
            return Err(LoadError::BadMapDefinition { map, what });
        };
        let pinning = if symbol.size >= 28 {
            number(6).unwrap_or(0)
        } else {
            0
        };
        let spec = MapSpec::new(MapKind::Array, *key_size, *value_size, *max_entries);
        let definition = finish(spec.named(symbol.name), *kind, *flags, pinning)?;
        maps.push(PlacedMap {
            section: index,
            offset: symbol.value,
            definition,
        });
    }
    Ok(())
}
