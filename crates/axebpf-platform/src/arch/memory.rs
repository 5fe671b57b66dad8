//! Reading memory that may not be there, or may be a device.

use core::arch::{asm, global_asm};

use super::{mask_interrupts, restore_interrupts, store};
use crate::pages::read_pages;
use crate::{HostPhys, HostVirt, ReadFault, is_normal_translation, translated_address};

// The labels are global because Rust names them, and hidden because nobody else does. `bti c` is a hint that does
// nothing on CPUs, and in pages, without branch targets.
global_asm!(
    ".pushsection .text.axebpf_read, \"ax\", %progbits",
    ".balign 4",
    // The arguments are where to, where from and how many bytes; returns how many were not copied.
    ".hidden axebpf_read_copy",
    ".hidden axebpf_read_load_dword",
    ".hidden axebpf_read_load_byte",
    ".hidden axebpf_read_copy_end",
    ".globl axebpf_read_copy, axebpf_read_load_dword, axebpf_read_load_byte, axebpf_read_copy_end",
    ".type axebpf_read_copy, %function",
    "axebpf_read_copy:",
    "bti c",
    // Whole words only where both sides are aligned: SCTLR_EL2.A may be set.
    "orr x3, x0, x1",
    "tst x3, #7",
    "b.ne 3f",
    "2: cmp x2, #8",
    "b.lo 3f",
    "axebpf_read_load_dword:",
    "ldr x3, [x1]",
    "str x3, [x0], #8",
    "add x1, x1, #8",
    "sub x2, x2, #8",
    "b 2b",
    "3: cbz x2, axebpf_read_copy_end",
    "axebpf_read_load_byte:",
    "ldrb w3, [x1]",
    "strb w3, [x0], #1",
    "add x1, x1, #1",
    "sub x2, x2, #1",
    "b 3b",
    "axebpf_read_copy_end:",
    "mov x0, x2",
    "ret",
    ".size axebpf_read_copy, . - axebpf_read_copy",
    // The argument is an address; both return what PAR_EL1 says about it at EL2, for reading and for writing, and keep
    // PAR_EL1. An abort on the translation table walk itself counts as a failed translation.
    ".hidden axebpf_read_translate",
    ".hidden axebpf_read_translate_for_writing",
    ".hidden axebpf_read_walk",
    ".hidden axebpf_read_walk_for_writing",
    ".hidden axebpf_read_walk_failed",
    ".globl axebpf_read_translate, axebpf_read_translate_for_writing",
    ".globl axebpf_read_walk, axebpf_read_walk_for_writing, axebpf_read_walk_failed",
    ".type axebpf_read_translate, %function",
    "axebpf_read_translate:",
    "bti c",
    "mrs x1, par_el1",
    "axebpf_read_walk:",
    "at s1e2r, x0",
    "4: isb",
    "mrs x0, par_el1",
    "5: msr par_el1, x1",
    "ret",
    "axebpf_read_walk_failed:",
    "mov x0, #1",
    "b 5b",
    ".size axebpf_read_translate, . - axebpf_read_translate",
    ".type axebpf_read_translate_for_writing, %function",
    "axebpf_read_translate_for_writing:",
    "bti c",
    "mrs x1, par_el1",
    "axebpf_read_walk_for_writing:",
    "at s1e2w, x0",
    "b 4b",
    ".size axebpf_read_translate_for_writing, . - axebpf_read_translate_for_writing",
    ".popsection",
);

unsafe extern "C" {
    fn axebpf_read_copy(to: *mut u8, from: u64, len: usize) -> usize;
    fn axebpf_read_load_dword();
    fn axebpf_read_load_byte();
    fn axebpf_read_copy_end();
    fn axebpf_read_translate(addr: u64) -> u64;
    fn axebpf_read_translate_for_writing(addr: u64) -> u64;
    fn axebpf_read_walk();
    fn axebpf_read_walk_for_writing();
    fn axebpf_read_walk_failed();
}

/// Returns where to go on after a data abort at `elr` that [`read_memory`] or [`store`](super::store()) expects.
///
/// To be called by the vector for synchronous exceptions taken from EL2 when the exception class is 0x25 (data abort
/// without a change in exception level), before anything is reported. The vector then puts the answer into its saved
/// `ELR_EL2` and returns from the exception with all registers as they were. `None` means that the abort is
/// somebody else's. Touches no memory.
#[must_use]
pub fn fault_fixup(elr: u64) -> Option<u64> {
    let place = |label: unsafe extern "C" fn()| label as usize as u64;
    let loads = [axebpf_read_load_dword, axebpf_read_load_byte].map(place);
    let walks = [axebpf_read_walk, axebpf_read_walk_for_writing].map(place);
    if loads.contains(&elr) {
        Some(place(axebpf_read_copy_end))
    } else if walks.contains(&elr) {
        Some(place(axebpf_read_walk_failed))
    } else {
        store::fixup(elr)
    }
}

/// Tells whether `addr` is mapped for reading at EL2, as Normal memory.
///
/// Asks the MMU (`AT S1E2R`); `PAR_EL1` is afterwards what it was.
#[must_use]
pub fn is_normal_memory(addr: HostVirt) -> bool {
    is_normal_translation(ask_mmu(axebpf_read_translate, addr))
}

/// Returns the physical address of `addr` as EL2 reads it, or `None` where it cannot.
///
/// As [`is_normal_memory`] does, but for devices, too.
#[must_use]
pub fn translate(addr: HostVirt) -> Option<HostPhys> {
    translated_address(ask_mmu(axebpf_read_translate, addr), addr)
}

/// Returns the physical address of `addr` as EL2 writes it, or `None` where it cannot.
///
/// Asks the MMU (`AT S1E2W`); `PAR_EL1` is afterwards what it was.
#[must_use]
pub fn translate_for_writing(addr: HostVirt) -> Option<HostPhys> {
    translated_address(ask_mmu(axebpf_read_translate_for_writing, addr), addr)
}

/// Returns the `PAR_EL1` of a translation by one of the two functions above.
fn ask_mmu(translate: unsafe extern "C" fn(u64) -> u64, addr: HostVirt) -> u64 {
    // Masked also because an interrupt handler that translates an address would come between the translation and its
    // result.
    keeping_exception(|| {
        // SAFETY: Both follow the C calling convention and change no memory and no system register for good. They may
        // abort at the walk, which the vector mends through `fault_fixup`.
        unsafe { translate(addr.get()) }
    })
}

/// Does `work`, which may abort, with interrupts masked, such that the abort shows in no register.
///
/// An exception changes the registers that describe the last one, which a hypervisor may not have read yet, or may
/// be about to return by. The vector cannot help: it returns by two of them, and need not save the others.
fn keeping_exception<T>(work: impl FnOnce() -> T) -> T {
    let interrupts = mask_interrupts();
    let (elr, spsr, esr, far, hpfar): (u64, u64, u64, u64, u64);
    // SAFETY: Reading the registers has no effect. Not `nomem`, so that it stays before the work.
    unsafe {
        asm!(
            "mrs {}, elr_el2",
            "mrs {}, spsr_el2",
            "mrs {}, esr_el2",
            "mrs {}, far_el2",
            "mrs {}, hpfar_el2",
            out(reg) elr, out(reg) spsr, out(reg) esr, out(reg) far, out(reg) hpfar,
            options(nostack, preserves_flags)
        )
    };
    let result = work();
    // SAFETY: The values are those that the registers had, on this CPU, as interrupts are masked.
    unsafe {
        asm!(
            "msr elr_el2, {}",
            "msr spsr_el2, {}",
            "msr esr_el2, {}",
            "msr far_el2, {}",
            "msr hpfar_el2, {}",
            in(reg) elr, in(reg) spsr, in(reg) esr, in(reg) far, in(reg) hpfar,
            options(nostack, preserves_flags)
        )
    };
    restore_interrupts(interrupts);
    result
}

/// Copies `dst.len()` bytes from `src`, of Normal memory only. For [`ReadMemory`](crate::ReadMemory).
///
/// Needs the data-abort vector to call [`fault_fixup`]. Each page is looked up before it is read, so that neither an
/// unmapped page nor a device, reading which has side effects, is touched; a page that goes away in between aborts
/// and is mended. With the MMU off all memory counts as a device. Such an abort shows in no register:
/// `ELR_EL2`, `SPSR_EL2`, `ESR_EL2`, `FAR_EL2`, `HPFAR_EL2` and `PAR_EL1` are afterwards what they were.
///
/// Interrupts are masked for a page at a time.
///
/// # Errors
///
/// [`ReadFault`] names the first address that could not be read. `dst` is then all zeroes.
pub fn read_memory(src: HostVirt, dst: &mut [u8]) -> Result<(), ReadFault> {
    read_pages(src, dst, |at, piece| {
        if !is_normal_memory(at) {
            return 0;
        }
        let left = keeping_exception(|| {
            // SAFETY: `piece` is writable for its length. The source may be anything: it is read only at the two labels
            // at which `fault_fixup` mends an abort, and the function follows the C calling convention.
            unsafe { axebpf_read_copy(piece.as_mut_ptr(), at.get(), piece.len()) }
        });
        piece.len() - left
    })
}

// The aborts that `fault_fixup` mends, for the exception table of `ax-cpu`: where from and where to, each relative to
// the word that says so.
#[cfg(feature = "axhal")]
global_asm!(
    ".pushsection __nofault_ex_table, \"a\"",
    ".balign 4",
    ".word axebpf_read_load_dword - .",
    ".word axebpf_read_copy_end - .",
    ".word axebpf_read_load_byte - .",
    ".word axebpf_read_copy_end - .",
    ".word axebpf_read_walk - .",
    ".word axebpf_read_walk_failed - .",
    ".word axebpf_read_walk_for_writing - .",
    ".word axebpf_read_walk_failed - .",
    ".popsection",
);
