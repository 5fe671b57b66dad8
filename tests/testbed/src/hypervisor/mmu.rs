//! The hypervisor's own address space: identity mapped, each part of the image with its own permissions.
//!
//! Text is never writable where it executes. To patch it, the same physical pages are mapped a second time, writable
//! and never executable, [`ALIAS_OFFSET`] further up.

use core::{arch::naked_asm, ops::Range};

use aarch64_cpu::registers::{ID_AA64MMFR0_EL1, Readable};
use aarch64_paging::{
    MapError, Mapping,
    descriptor::{El23Attributes, PhysicalAddress},
    idmap::IdTranslation,
    paging::{Constraints, El2, MemoryRegion},
};
use aarch64_rt::{DEFAULT_MAIR, DEFAULT_SCTLR, InitialPagetable, initial_pagetable};
use spin::Once;

use super::{image, payload};

/// How far above the text its writable alias lies.
pub(crate) const ALIAS_OFFSET: u64 = 0x40_0000_0000;

const VALID_PAGE: El23Attributes = El23Attributes::VALID
    .union(El23Attributes::ACCESSED)
    .union(El23Attributes::USER_RES1);
// `DEFAULT_MAIR` makes index 0 Device-nGnRE and index 1 Normal write-back memory.
const DEVICE: El23Attributes = VALID_PAGE.union(El23Attributes::XN);
const MEMORY: El23Attributes = VALID_PAGE
    .union(El23Attributes::ATTRIBUTE_INDEX_1)
    .union(El23Attributes::INNER_SHAREABLE);
const CODE: El23Attributes = MEMORY.union(El23Attributes::READ_ONLY);
const CONSTANTS: El23Attributes = CODE.union(El23Attributes::XN);
const VARIABLES: El23Attributes = MEMORY.union(El23Attributes::XN);

/// All devices of QEMU virt that the testbed uses lie in the first gigabyte.
const DEVICES: Range<u64> = 0x0800_0000..0x0a00_0000;

// Until `init` has run, one block maps all devices and one all memory.
initial_pagetable!({
    let mut map = [0; 512];
    map[0] = DEVICE.bits();
    map[1] = MEMORY.bits() | 0x4000_0000;
    InitialPagetable(map)
});

static TABLE: Once<Mapping<IdTranslation<El23Attributes>, El2>> = Once::new();

/// Builds the address space. Needs the heap.
pub(crate) fn init() -> Result<(), MapError> {
    let mut table = Mapping::new(IdTranslation::new(), 1, El2);
    let parts = [
        (DEVICES, DEVICE),
        (image::text(), CODE),
        (image::rodata(), CONSTANTS),
        (image::data(), VARIABLES),
        (image::exec_pool(), CODE),
        (image::heap(), VARIABLES),
        (payload::range(), CONSTANTS),
    ];
    for (range, attributes) in parts.into_iter().filter(|(range, _)| !range.is_empty()) {
        map(&mut table, &range, 0, attributes)?;
    }
    for range in [image::text(), image::exec_pool()] {
        map(&mut table, &range, ALIAS_OFFSET, VARIABLES)?;
    }
    TABLE.call_once(|| table);
    Ok(())
}

fn map(
    table: &mut Mapping<IdTranslation<El23Attributes>, El2>,
    range: &Range<u64>,
    offset: u64,
    attributes: El23Attributes,
) -> Result<(), MapError> {
    let start = range.start as usize;
    let end = range.end as usize;
    let offset = offset as usize;
    let region = MemoryRegion::new(start + offset, end + offset);
    table.map_range(
        &region,
        PhysicalAddress(start),
        attributes,
        Constraints::empty(),
    )
}

/// Switches the executing CPU from the initial page table to the address space that [`init`] built.
pub(crate) fn activate() {
    let Some(table) = TABLE.get() else { return };
    table.mark_active();
    // SAFETY: the table identity-maps everything that the hypervisor uses: its image, the heap, its devices. It lies in
    // a static and is never changed or dropped.
    unsafe {
        switch_table(
            table.root_address().0 as u64,
            DEFAULT_MAIR,
            tcr(),
            DEFAULT_SCTLR,
        )
    }
}

/// Returns `TCR_EL2`: 39 bits of address, 4 KiB pages, cacheable walks (ARM ARM D24.2.176).
///
/// `aarch64-rt` 0.4.3 copies the size of physical addresses to bit 32, where `TCR_EL1` has it; `TCR_EL2` has it at bit
/// 16.
fn tcr() -> u64 {
    const RES1: u64 = 1 << 31 | 1 << 23;
    const INNER_SHAREABLE: u64 = 3 << 12;
    const WRITE_BACK: u64 = 1 << 10 | 1 << 8;
    // Sizes above 48 bits need another format of table.
    let size = ID_AA64MMFR0_EL1.read(ID_AA64MMFR0_EL1::PARange).min(5);
    RES1 | size << 16 | INNER_SHAREABLE | WRITE_BACK | (64 - 39)
}

/// Replaces the translation table of EL2.
///
/// Switches translation off in between, so that the TLB never sees two sizes of mapping for one address.
///
/// # Safety
///
/// The new table identity-maps everything that the hypervisor uses.
#[unsafe(naked)]
unsafe extern "C" fn switch_table(root: u64, mair: u64, tcr: u64, sctlr: u64) {
    naked_asm!(
        "mrs x4, sctlr_el2",
        "bic x4, x4, #1",
        "dsb ish",
        "msr sctlr_el2, x4",
        "isb",
        "msr mair_el2, x1",
        "msr tcr_el2, x2",
        "msr ttbr0_el2, x0",
        "isb",
        "tlbi alle2",
        "ic iallu",
        "dsb nsh",
        "isb",
        "msr sctlr_el2, x3",
        "isb",
        "ret",
    )
}
