//! Where a kernel runs that has no symbols of itself: by what it executes.
//!
//! An arm64 Linux maps its text in one piece, from `_stext` (before 5.13: `_text`) to `_etext`, and nothing beside it
//! can be executed. So where something of just that length can be, and nowhere else, the kernel runs.

use axebpf_guestprobe::{Access, GuestMemory, Stage1, WalkFault, WalkProblem};
use axebpf_platform::GuestVirt;
use axebpf_symbols::{KernelSymbols, Slide};

/// How many pages, blocks and gaps are looked at: as many as half a gigabyte of mappings of a kernel, in pages of 4
/// KiB.
const MAX_STEPS: u32 = 1 << 17;
/// What a slide is a multiple of, in bytes (Linux: `SEGMENT_ALIGN`).
const ALIGN: u64 = 0x1_0000;
/// What the ends of the text are rounded to: the smallest page there is.
const PAGE: u64 = 0x1000;

/// The text of a kernel, as a file says where it was linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Text {
    /// Where the mapping may start.
    starts: [Option<u64>; 2],
    end: u64,
}

impl Text {
    /// Reads where the text starts and ends, if the file says so.
    pub(super) fn of(symbols: &KernelSymbols) -> Option<Self> {
        let only = |name: &str| {
            let mut found = symbols
                .lookup_names(name)
                .filter(|symbol| symbol.module().is_none());
            let first = found.next()?.address();
            found.next().is_none().then_some(first)
        };
        let (start, end) = (only("_stext")?, only("_etext")?);
        (start < end).then_some(Self {
            starts: [Some(start), only("_text")],
            end,
        })
    }

    /// Returns by how far the text was moved if it is what is executed from `start` to `end`.
    fn slide_at(&self, start: u64, end: u64) -> Option<Slide> {
        let linked = self.starts.into_iter().flatten();
        linked
            .map(|linked| start.wrapping_sub(linked & !(PAGE - 1)))
            .filter(|slide| slide.is_multiple_of(ALIGN))
            .find(|slide| {
                let expected = self.end.wrapping_add(*slide);
                expected.checked_next_multiple_of(PAGE) == Some(end)
            })
            .map(|slide| Slide::between(0, slide))
    }

    /// Finds out by how far the kernel that runs with `stage1` was moved, if there is just one place where it can be.
    pub(super) fn find(&self, memory: &dyn GuestMemory, stage1: &Stage1) -> Option<Slide> {
        let mut found = None;
        let mut extent: Option<(u64, u64)> = None;
        let mut at = upper_half(stage1, self.end)?;
        for _ in 0..MAX_STEPS {
            let step = Step::at(memory, stage1, at)?;
            let next = at.checked_add(step.len);
            if step.is_text {
                let start = extent.map_or(at, |(start, _)| start);
                // Nothing that is executed reaches to the end of the addresses.
                extent = Some((start, next?));
            } else if let Some((start, end)) = extent.take()
                && let Some(slide) = self.slide_at(start, end)
            {
                if found.is_some() {
                    return None;
                }
                found = Some(slide);
            }
            match next {
                Some(next) if next != 0 => at = next,
                _ => return found,
            }
        }
        None
    }
}

/// What is at one place, and how far that reaches.
struct Step {
    len: u64,
    is_text: bool,
}

impl Step {
    /// Returns `None` where the tables are not those of a kernel.
    fn at(memory: &dyn GuestMemory, stage1: &Stage1, at: u64) -> Option<Self> {
        match stage1.translate(memory, GuestVirt::new(at), Access::Fetch) {
            Ok(found) => Some(Self {
                len: found.contiguous.max(1),
                is_text: found.rights.privileged_execute(),
            }),
            Err(WalkFault { problem, .. }) => {
                let level = match problem {
                    WalkProblem::Invalid { level }
                    | WalkProblem::Reserved { level, .. }
                    | WalkProblem::AddressSize { level, .. }
                    | WalkProblem::AccessFlag { level } => level,
                    // The table itself is missing: all that is below the entry that leads to it.
                    WalkProblem::Table { level, .. } => level - 1,
                    _ => return None,
                };
                let size = entry_size(stage1, level)?;
                Some(Self {
                    len: size - at % size,
                    is_text: false,
                })
            }
        }
    }
}

/// Returns how many bytes an entry of a table on `level` of the upper range is for (ARM ARM D8.2).
fn entry_size(stage1: &Stage1, level: i8) -> Option<u64> {
    // `TCR_EL1.TG1`.
    let page_bits = match stage1.tcr >> 30 & 3 {
        1 => 14,
        2 => 12,
        3 => 16,
        _ => return None,
    };
    let levels_below = u32::try_from(3 - level).ok()?;
    1_u64.checked_shl(page_bits + levels_below * (page_bits - 3))
}

/// Returns where that half of the upper range begins in which `linked` is. Linux has all memory in the other one.
fn upper_half(stage1: &Stage1, linked: u64) -> Option<u64> {
    // `TCR_EL1.T1SZ`.
    let bits = 64 - (stage1.tcr >> 16 & 0x3f) as u32;
    let half = 1_u64.checked_shl(bits.checked_sub(1)?)?;
    let start = linked & !(half - 1);
    (linked >> 63 != 0).then_some(start)
}
