//! What comes with type information: the lines of the source, and relocations to another machine's types.
//!
//! The format is that of Linux's `Documentation/bpf/btf.rst`, section `.BTF.ext`. Each part is a record size, then for
//! each section of code its name, a count, and as many records.

use alloc::vec::Vec;

use super::btf::{Btf, TypeId};
use super::file::File;
use crate::load_error::LoadError;

/// A line of the source and the instruction that starts it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'f> {
    /// The section of the instruction.
    pub(super) section: &'f str,
    /// The offset of the instruction in the section, in bytes.
    pub(super) offset: u64,
    pub(super) file: &'f str,
    pub(super) text: &'f str,
    /// The line, counted from 1.
    pub(super) line: u32,
    /// The column, counted from 1; 0 when it is not known.
    pub(super) column: u32,
}

/// An instruction that depends on how a type looks on the machine that it will run on.
#[derive(Clone, Copy, Debug)]
pub(super) struct CoreRelocation<'f> {
    pub(super) section: &'f str,
    /// The offset of the instruction in the section, in bytes.
    pub(super) offset: u64,
    /// The type that the access starts at.
    pub(super) root: TypeId,
    /// The way to what is accessed: indices with colons between.
    pub(super) access: &'f str,
    /// What about it is asked, a number of Linux's `enum bpf_core_relo_kind`.
    pub(super) kind: u32,
}

/// The contents of `.BTF.ext`.
#[derive(Debug, Default)]
pub(super) struct Ext<'f> {
    /// By section, then by offset, as the compiler writes them.
    pub(super) lines: Vec<Line<'f>>,
    pub(super) relocations: Vec<CoreRelocation<'f>>,
}

/// The number of the first word of a part's description in the header, in words: offset, then length.
const LINES_AT: usize = 4;
const RELOCATIONS_AT: usize = 6;

impl<'f> Ext<'f> {
    /// Reads the section of a file that has one.
    pub(super) fn of(file: &File<'f>, btf: &Btf<'f>) -> Result<Self, LoadError> {
        let Some((_, section)) = file.section_named(".BTF.ext") else {
            return Ok(Self::default());
        };
        let mut ext = Self::default();
        for record in part(section.data, LINES_AT)? {
            let [offset, file, text, place] = record.words;
            ext.lines.push(Line {
                section: btf.string(record.section as usize),
                offset: offset.into(),
                file: btf.string(file as usize),
                text: btf.string(text as usize),
                line: place >> 10,
                column: place & 0x3ff,
            });
        }
        for record in part(section.data, RELOCATIONS_AT)? {
            let [offset, root, access, kind] = record.words;
            ext.relocations.push(CoreRelocation {
                section: btf.string(record.section as usize),
                offset: offset.into(),
                root,
                access: btf.string(access as usize),
                kind,
            });
        }
        Ok(ext)
    }
}

/// A record of either kind, which both have four words.
struct Record {
    section: u32,
    words: [u32; 4],
}

fn bad(offset: usize, what: &'static str) -> LoadError {
    LoadError::BadBtfExt { offset, what }
}

fn word(data: &[u8], at: usize) -> Option<u32> {
    let bytes = data.get(at..)?.first_chunk::<4>()?;
    Some(u32::from_le_bytes(*bytes))
}

/// Reads the part of the section whose description is word `at` of the header; empty if the header ends before it.
fn part(data: &[u8], at: usize) -> Result<Vec<Record>, LoadError> {
    let cut = |offset| bad(offset, "it ends within a record");
    let header_len = word(data, 4).ok_or_else(|| bad(4, "the header is cut off"))? as usize;
    if header_len < (at + 2) * 4 {
        return Ok(Vec::new());
    }
    let place = word(data, at * 4).zip(word(data, at * 4 + 4));
    let (start, len) = place.ok_or_else(|| bad(at * 4, "the header is cut off"))?;
    let start = header_len
        .checked_add(start as usize)
        .ok_or_else(|| cut(at))?;
    let data = start
        .checked_add(len as usize)
        .and_then(|end| data.get(..end))
        .ok_or_else(|| cut(start))?;
    if len <= 4 {
        return Ok(Vec::new());
    }
    let size = word(data, start).ok_or_else(|| cut(start))? as usize;
    if size < 16 || !size.is_multiple_of(4) {
        return Err(bad(start, "records of an impossible size"));
    }
    let mut records = Vec::new();
    let mut next = start + 4;
    while next < data.len() {
        let head = word(data, next).zip(word(data, next + 4));
        let (section, count) = head.ok_or_else(|| cut(next))?;
        next += 8;
        for _ in 0..count {
            let mut words = [0; 4];
            for (index, value) in words.iter_mut().enumerate() {
                *value = word(data, next + index * 4).ok_or_else(|| cut(next))?;
            }
            records.push(Record { section, words });
            next += size;
        }
    }
    Ok(records)
}
