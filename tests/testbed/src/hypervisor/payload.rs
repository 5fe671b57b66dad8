//! What was loaded into the machine's memory beside the hypervisor: a Linux kernel, its first file system, and a
//! description.
//!
//! QEMU's `-device loader` puts them there, where a firmware or boot loader would on a real machine. The description
//! is a text like `guest.cfg` at [`DESCRIPTION`], which ends with a zero byte; it names the other two by their
//! addresses. There is a payload if the machine has memory there, and that does not begin with a zero.

use core::{ops::Range, slice};

use dtoolkit::fdt::Fdt;
use spin::Once;

use super::random;

/// Where the description begins, which also is where the heap ends.
const DESCRIPTION: u64 = 0x6000_0000;
/// The longest description.
const DESCRIPTION_LIMIT: usize = 4096;
/// What can be reached before the final page table is in use.
const REACHABLE: Range<u64> = 0x4000_0000..0x8000_0000;
/// Where QEMU leaves the description of the machine for images such as this one: at the start of the memory.
const DEVICE_TREE: *const u8 = 0x4000_0000 as *const u8;

static RANGE: Once<Range<u64>> = Once::new();

/// Looks how much memory the machine has, and what else its device tree says. Called once, before anything else here,
/// with the initial page table.
pub(crate) fn init() {
    // SAFETY: the memory is there and mapped; QEMU leaves a device tree, or zeroes, which the parser refuses.
    let tree = unsafe { Fdt::from_raw(DEVICE_TREE) }.ok();
    if let Some(tree) = &tree {
        random::init(tree);
    }
    let end = tree.and_then(memory_end).unwrap_or_default();
    let end = end.clamp(DESCRIPTION, REACHABLE.end);
    RANGE.call_once(|| DESCRIPTION..end & !0xfff);
}

/// Returns where a payload can lie, which is empty when the machine has no memory for one.
pub(crate) fn range() -> Range<u64> {
    RANGE.get().cloned().unwrap_or(DESCRIPTION..DESCRIPTION)
}

/// Tells whether `part` lies where a payload can lie.
pub(crate) fn contains(part: &Range<u64>) -> bool {
    let range = range();
    range.start <= part.start && part.end <= range.end
}

/// Returns the bytes of `part`, or `None` where it lies somewhere else.
pub(crate) fn bytes(part: &Range<u64>) -> Option<&'static [u8]> {
    let len = part.end.checked_sub(part.start)? as usize;
    // SAFETY: the range is memory that the machine has, mapped read-only, and nobody writes to it.
    contains(part).then(|| unsafe { slice::from_raw_parts(part.start as *const u8, len) })
}

/// Returns the description, if something was loaded.
pub(crate) fn description() -> Option<&'static str> {
    let start = range().start;
    let all = bytes(&(start..range().end.min(start + DESCRIPTION_LIMIT as u64)))?;
    let end = all.iter().position(|&byte| byte == 0)?;
    core::str::from_utf8(&all[..end])
        .ok()
        .filter(|text| !text.is_empty())
}

/// Returns where the machine's memory ends, if its device tree says so.
fn memory_end(tree: Fdt<'_>) -> Option<u64> {
    let part = tree.memory().ok()?.reg().ok()??.next()?;
    let start: u64 = part.address().ok()?;
    let len: u64 = part.size().ok()?;
    Some(start.saturating_add(len))
}
