//! Key sites: the one NOP that a disabled tracepoint costs.
//!
//! On bare-metal aarch64 a site is a NOP that is patched to a branch while somebody listens. An entry in the section
//! `axebpf_keys` says where the NOP is, where the branch goes and which event it belongs to, relative to itself, so
//! that relocating the image changes nothing. The entry's section is linked to the section of the function that
//! holds the site (`SHF_LINK_ORDER`): `--gc-sections` keeps both or drops both.
//!
//! Elsewhere a site is a relaxed load of a flag and a branch. Patching there would be undefined behaviour while other
//! threads run (the crate `static-keys` has that restriction on x86_64), and a host build has no need for it.

#![allow(unsafe_code)]

use crate::event::Event;
use crate::field::Field;

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
/// What [`trace!`](crate::trace) asks before it evaluates the fields. Use it to prepare what only a listener needs.
#[cfg(all(target_arch = "aarch64", target_os = "none"))]
#[inline(always)]
#[must_use]
#[allow(
    named_asm_labels,
    reason = "made unique by the name of the block that the branch goes to"
)]
pub fn is_listened_to<T: Tracepoint>() -> bool {
    // SAFETY: Executes a NOP, or a branch to the block given as `enabled`, which is what the label operand allows; touches
    // no memory, stack or flag either way. The directives only fill another section.
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
/// What [`trace!`](crate::trace) asks before it evaluates the fields. Use it to prepare what only a listener needs.
#[cfg(not(all(target_arch = "aarch64", target_os = "none")))]
#[inline(always)]
#[must_use]
pub fn is_listened_to<T: Tracepoint>() -> bool {
    T::event().enabled()
}
