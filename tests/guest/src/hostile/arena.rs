//! The memory that is fought over, and the translation tables that lead there.
//!
//! The lower half of addresses maps what there is where it is, but for the pages from [`ARENA`] on, each of which has
//! rights of its own. The upper half is full of traps for who walks it.

use core::arch::asm;

use super::frame;

/// The first page of the arena.
pub(super) const ARENA: u64 = 0x4060_0000;
const PAGE: u64 = 4096;

/// Text of the kernel, which it also may write.
pub(super) const TEXT: u64 = ARENA;
/// The same page once more, for writing.
pub(super) const ALIAS: u64 = ARENA + PAGE;
/// Data of the kernel.
pub(super) const DATA: u64 = ARENA + 2 * PAGE;
/// Data that nobody may write.
pub(super) const CONSTANT: u64 = ARENA + 3 * PAGE;
/// A page whose access flag is clear.
pub(super) const UNTOUCHED: u64 = ARENA + 4 * PAGE;
/// Nothing.
pub(super) const MISSING: u64 = ARENA + 5 * PAGE;
/// Data of programs.
pub(super) const USER: u64 = ARENA + 6 * PAGE;
/// Text that both the kernel and programs execute.
pub(super) const SHARED_TEXT: u64 = ARENA + 7 * PAGE;
/// A page that is mapped now here, now there.
pub(super) const MOVING: u64 = ARENA + 9 * PAGE;
/// Where it is mapped at other times, and text that is not probed.
pub(super) const OTHER_TEXT: u64 = ARENA + 10 * PAGE;
/// Text and data in one page.
pub(super) const MIXED: u64 = ARENA + 12 * PAGE;

/// Text of the kernel in a guarded page.
pub(super) const GUARDED: u64 = ARENA + 14 * PAGE;

const LOWER_ROOT: u64 = 0x4080_0000;
const MEMORY_TABLE: u64 = LOWER_ROOT + PAGE;
const ARENA_TABLE: u64 = LOWER_ROOT + 2 * PAGE;
const UPPER_ROOT: u64 = LOWER_ROOT + 3 * PAGE;

/// The first address of the upper half: 39 bits are translated.
pub(super) const UPPER: u64 = 0xffff_ff80_0000_0000;
const GIGABYTE: u64 = 1 << 30;

// Bits of a descriptor (ARM ARM D8.3).
const TABLE: u64 = 3;
const PAGE_ENTRY: u64 = 3;
const BLOCK: u64 = 1;
const NORMAL: u64 = 1 << 2;
const FOR_USER: u64 = 1 << 6;
const READ_ONLY: u64 = 1 << 7;
const SHAREABLE: u64 = 3 << 8;
const ACCESSED: u64 = 1 << 10;
const BRANCHES_LAND: u64 = 1 << 50;
const KERNEL_XN: u64 = 1 << 53;
const USER_XN: u64 = 1 << 54;
const MEMORY: u64 = NORMAL | SHAREABLE | ACCESSED;

/// Builds the tables.
pub(super) fn build() {
    for table in [LOWER_ROOT, MEMORY_TABLE, ARENA_TABLE, UPPER_ROOT] {
        (0..512).for_each(|index| write(table + 8 * index, 0));
    }
    write(LOWER_ROOT, BLOCK | ACCESSED | KERNEL_XN | USER_XN);
    write(LOWER_ROOT + 8, MEMORY_TABLE | TABLE);
    for index in 0..512 {
        let block = GIGABYTE + (index << 21);
        write(MEMORY_TABLE + 8 * index, block | BLOCK | MEMORY | USER_XN);
        let page = ARENA + index * PAGE;
        write(ARENA_TABLE + 8 * index, page_entry(page));
    }
    let arena = (ARENA >> 21) & 0x1ff;
    write(MEMORY_TABLE + 8 * arena, ARENA_TABLE | TABLE);
    for index in 0..512 {
        set_upper(index, usual_upper(index));
    }
    make_mixed_a_table();
}

fn page_entry(page: u64) -> u64 {
    let data = PAGE_ENTRY | MEMORY | KERNEL_XN | USER_XN;
    match page {
        ALIAS => TEXT | data,
        CONSTANT => page | data | READ_ONLY,
        UNTOUCHED => (page | data) & !ACCESSED,
        MISSING => 0,
        USER => page | data | FOR_USER,
        SHARED_TEXT => page | PAGE_ENTRY | MEMORY | FOR_USER | READ_ONLY,
        DATA => page | data,
        GUARDED => page | PAGE_ENTRY | MEMORY | USER_XN | BRANCHES_LAND,
        _ => page | PAGE_ENTRY | MEMORY | USER_XN,
    }
}

/// Makes all data what it was at first, also where nothing is mapped, or not for writing.
pub(super) fn clear() {
    let pages = [DATA, CONSTANT, UNTOUCHED, MISSING, USER, TEXT + 0xb00];
    for (start, len) in pages.into_iter().zip([PAGE, PAGE, PAGE, PAGE, PAGE, 0x400]) {
        let start = through(6, start - ARENA);
        (start..start + len).step_by(8).for_each(|at| write(at, 0));
    }
}

/// Returns what an entry of the upper root is at first.
fn usual_upper(index: u64) -> u64 {
    // What a table forbids with its bit 53 is nothing; as a page, it is not executed.
    match index % 8 {
        // It leads to itself on each level, and as a page may not be written.
        0 => UPPER_ROOT | TABLE | ACCESSED | READ_ONLY | KERNEL_XN,
        // To a device, to what is not the guest's, and to nowhere.
        1 => 0x0900_0000 | TABLE | KERNEL_XN,
        2 => 0x5000_0000 | TABLE | KERNEL_XN,
        3 => MEMORY_TABLE | TABLE | KERNEL_XN,
        4 => BLOCK | ACCESSED | KERNEL_XN,
        5 => 0x0000_00c0_0000_0000 | BLOCK | MEMORY,
        6 => MIXED | TABLE | KERNEL_XN,
        _ => 0xff_ffff_f000 | TABLE | KERNEL_XN,
    }
}

/// Returns an address that goes through entry `index` of the upper root.
pub(super) const fn through(index: u64, offset: u64) -> u64 {
    UPPER + index * GIGABYTE + offset
}

/// Makes `entry` entry `index` of the upper root.
pub(super) fn set_upper(index: u64, entry: u64) {
    write(UPPER_ROOT + 8 * (index % 512), entry);
}

/// Makes entry `index` of the upper root what it was at first, or nearly so.
pub(super) fn set_upper_like(index: u64, kind: u64) {
    set_upper(index, usual_upper(kind));
}

/// Maps [`MOVING`] to `page`, by way of nothing.
pub(super) fn move_to(page: u64) {
    let entry = ARENA_TABLE + 8 * ((MOVING - ARENA) / PAGE);
    write(entry, 0);
    invalidate();
    write(entry, page | PAGE_ENTRY | MEMORY | USER_XN);
    invalidate();
}

/// Makes [`MIXED`], which is a page of text, a table that leads to the arena as well.
fn make_mixed_a_table() {
    for index in 0..64 {
        write(MIXED + 8 * index, ARENA | BLOCK | MEMORY);
    }
}

/// Puts the tables into the processor's registers, and the vectors.
pub(super) fn enter() {
    const NO_WALK_LIMITS: u64 = 0x3500 << 16 | 0x3500;
    const TOP_IGNORED_BELOW: u64 = 1 << 37;
    const SIZES: u64 = 25 << 16 | 25;
    const GRANULES: u64 = 2 << 30;
    const OUTPUT: u64 = 2 << 32;
    let control = NO_WALK_LIMITS | TOP_IGNORED_BELOW | SIZES | GRANULES | OUTPUT;
    // SAFETY: the tables map all that the guest uses where it was mapped before; the vectors end in `frame`.
    unsafe {
        asm!(
            "dsb ish",
            "msr ttbr0_el1, {lower}",
            "msr ttbr1_el1, {upper}",
            "msr tcr_el1, {control}",
            "msr vbar_el1, {vectors}",
            "isb",
            "tlbi vmalle1",
            "dsb nsh",
            "isb",
            lower = in(reg) LOWER_ROOT,
            upper = in(reg) UPPER_ROOT,
            control = in(reg) control,
            vectors = in(reg) frame::vectors(),
            options(nostack)
        );
    }
}

/// Makes all vCPUs see changes of the tables.
pub(super) fn invalidate() {
    // SAFETY: invalidating the TLB is always allowed.
    unsafe {
        asm!(
            "dsb ishst",
            "tlbi vmalle1is",
            "dsb ish",
            "isb",
            options(nostack)
        );
    }
}

/// Writes an instruction at `at` and makes all vCPUs fetch it from where it is executed, at `runs`.
pub(super) fn write_instruction(at: u64, runs: u64, word: u32) {
    // SAFETY: the caller names a place in the arena, which is memory that nothing else uses.
    unsafe {
        asm!(
            "str {word:w}, [{at}]",
            "dc cvau, {at}",
            "dsb ish",
            "ic ivau, {runs}",
            "dsb ish",
            "isb",
            word = in(reg) word,
            at = in(reg) at,
            runs = in(reg) runs,
            options(nostack)
        );
    }
}

/// Reads 8 bytes of the arena.
pub(super) fn read(at: u64) -> u64 {
    // SAFETY: the caller names a place in the arena that is mapped.
    unsafe { (at as *const u64).read_volatile() }
}

/// Writes 8 bytes of the arena or of its tables.
pub(super) fn write(at: u64, value: u64) {
    // SAFETY: as in `read`; the memory is used by nothing else.
    unsafe { (at as *mut u64).write_volatile(value) }
}
