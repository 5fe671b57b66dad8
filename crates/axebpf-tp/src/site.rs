//! Key sites: the one NOP that a disabled tracepoint costs.
//!
//! On bare-metal aarch64 a site is a NOP that is patched to a branch while somebody listens. An
//! entry in the section `axebpf_keys` says where the NOP is, where the branch goes and which event
//! it belongs to, relative to itself, so that relocating the image changes nothing. The entry's
//! section is linked to the section of the function that holds the site (`SHF_LINK_ORDER`):
//! `--gc-sections` keeps both or drops both.
//!
//! Elsewhere a site is a relaxed load of a flag and a branch. Patching there would be undefined
//! behaviour while other threads run (the crate `static-keys` has that restriction on x86_64), and
//! a host build has no need for it. On x86_64 Linux, the feature `static-keys` puts a site of that
//! crate in front of the load.

#![allow(unsafe_code)]

use axebpf_platform::HostVirt;

use crate::event::Event;
use crate::field::Field;

/// Saves and restores the vector registers and `FPSR` of a target whose code may use them, 528 bytes
/// below the stack pointer. Changes x17.
#[cfg(all(target_arch = "aarch64", target_os = "none", target_feature = "neon"))]
macro_rules! vectors {
    (save) => {
        ".irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, \
         23, 24, 25, 26, 27, 28, 29, 30, 31\nstr q\\n, [sp, #-16]!\n.endr\n\
         mrs x17, fpsr\nstr x17, [sp, #-16]!"
    };
    (restore) => {
        "ldr x17, [sp], #16\nmsr fpsr, x17\n\
         .irp n, 31, 30, 29, 28, 27, 26, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, \
         11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0\nldr q\\n, [sp], #16\n.endr"
    };
}

/// There are no vector registers to save.
#[cfg(all(
    target_arch = "aarch64",
    target_os = "none",
    not(target_feature = "neon")
))]
macro_rules! vectors {
    ($what:ident) => {
        ""
    };
}

/// An event as a type: what `define_event!` makes for `trace!` to fill in.
pub trait Tracepoint {
    /// The fields, laid out.
    const FIELDS: &'static [Field];

    /// Returns the event.
    fn event() -> &'static Event;

    /// Tells the subscribers.
    #[doc(hidden)]
    fn fire(self);
}

/// Tells whether somebody listens to the event, at the cost of one NOP when nobody does.
///
/// What [`trace!`](crate::trace) asks before it evaluates the fields. Use it to prepare what only a
/// listener needs.
#[cfg(all(target_arch = "aarch64", target_os = "none"))]
#[inline(always)]
#[must_use]
#[allow(
    named_asm_labels,
    reason = "made unique by the name of the block that the branch goes to"
)]
pub fn is_listened_to<T: Tracepoint>() -> bool {
    // SAFETY: Executes a NOP, or a branch to the block given as `enabled`, which is what the label
    // operand allows; touches no memory, stack or flag either way. The directives only fill another
    // section.
    unsafe {
        core::arch::asm!(
            "2: nop",
            // The section flag `o` wants a symbol by name in the section that holds the NOP.
            ".ifndef .Laxebpf_site_{enabled}",
            ".set .Laxebpf_site_{enabled}, 2b",
            ".endif",
            ".pushsection axebpf_keys, \"ao\", @progbits, .Laxebpf_site_{enabled}",
            ".balign 4",
            ".long 2b - .",
            ".long {enabled} - .",
            ".long {event} - .",
            ".popsection",
            enabled = label { return true },
            event = sym <T as Tracepoint>::event,
            options(nomem, nostack, preserves_flags)
        );
    }
    false
}

/// Tells whether somebody listens to the event, at the cost of a load and a branch.
///
/// What [`trace!`](crate::trace) asks before it evaluates the fields. Use it to prepare what only a
/// listener needs.
#[cfg(not(all(target_arch = "aarch64", target_os = "none")))]
#[inline(always)]
#[must_use]
pub fn is_listened_to<T: Tracepoint>() -> bool {
    T::event().enabled()
}

/// Where the tracepoint is that fired: where its call chain starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Site {
    /// An address in the function that passed the tracepoint, just behind it on bare-metal aarch64.
    pub pc: HostVirt,
    /// The frame pointer (`x29`) there, which names the function's frame record if it was compiled
    /// to keep one (`-C force-frame-pointers`). `None` on targets whose functions need not.
    pub frame_pointer: Option<HostVirt>,
}

impl Site {
    /// Makes a site of what the expansion of `define_event!` found; 0 is unknown.
    #[doc(hidden)]
    #[must_use]
    pub fn new(pc: u64, frame_pointer: u64) -> Option<Self> {
        let known = |address: u64| (address != 0).then(|| HostVirt::new(address));
        known(pc).map(|pc| Self {
            pc,
            frame_pointer: known(frame_pointer),
        })
    }
}

/// Returns an address in the function that this is inlined into; 0 where that cannot be told.
#[doc(hidden)]
#[cfg(not(all(target_arch = "aarch64", target_os = "none")))]
#[inline(always)]
#[must_use]
pub fn here() -> u64 {
    let pc: u64;
    #[cfg(target_arch = "x86_64")]
    // SAFETY: Puts the address of the next instruction in a register, and does nothing else.
    unsafe {
        core::arch::asm!("lea {}, [rip]", out(reg) pc, options(pure, nomem, nostack, preserves_flags));
    }
    #[cfg(target_arch = "aarch64")]
    // SAFETY: Puts the address of this instruction in a register, and does nothing else.
    unsafe {
        core::arch::asm!("adr {}, .", out(reg) pc, options(pure, nomem, nostack, preserves_flags));
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        pc = 0;
    }
    pc
}

/// Calls the function in x16 with the address that the stack pointer has, the return address and
/// the caller's frame pointer, and changes no register.
///
/// Only for the expansion of `define_event!`, which saves x16 and x30 itself.
///
/// # Safety
///
/// x16 holds a function that takes a pointer to what the stack pointer points to, and two numbers.
#[doc(hidden)]
#[cfg(all(target_arch = "aarch64", target_os = "none"))]
#[unsafe(naked)]
pub unsafe extern "C" fn enter_report() {
    core::arch::naked_asm!(
        "stp x29, x30, [sp, #-176]!",
        "mov x29, sp",
        "stp x0, x1, [sp, #16]",
        "stp x2, x3, [sp, #32]",
        "stp x4, x5, [sp, #48]",
        "stp x6, x7, [sp, #64]",
        "stp x8, x9, [sp, #80]",
        "stp x10, x11, [sp, #96]",
        "stp x12, x13, [sp, #112]",
        "stp x14, x15, [sp, #128]",
        "stp x17, x18, [sp, #144]",
        "mrs x17, nzcv",
        "str x17, [sp, #160]",
        "add x0, sp, #176",
        "ldp x2, x1, [x29]",
        vectors!(save),
        "blr x16",
        vectors!(restore),
        "ldr x17, [sp, #160]",
        "msr nzcv, x17",
        "ldp x0, x1, [sp, #16]",
        "ldp x2, x3, [sp, #32]",
        "ldp x4, x5, [sp, #48]",
        "ldp x6, x7, [sp, #64]",
        "ldp x8, x9, [sp, #80]",
        "ldp x10, x11, [sp, #96]",
        "ldp x12, x13, [sp, #112]",
        "ldp x14, x15, [sp, #128]",
        "ldp x17, x18, [sp, #144]",
        "ldp x29, x30, [sp], #176",
        "ret",
    )
}
