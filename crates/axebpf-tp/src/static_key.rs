//! Key sites of the crate `static-keys`, for x86_64 Linux: a five-byte NOP while nobody listens.
//!
//! A site starts as a jump to a load of the event's flag, which is right whatever other threads do,
//! and costs a jump more than without the feature. It becomes a NOP only after somebody has
//! promised, with [`patch_key_sites`], what patching asks for. A key of `static-keys` is a static,
//! and its sites name it as a symbol; here the symbol is the event itself, whose first field is the
//! key.

#![allow(unsafe_code)]

use core::sync::atomic::{AtomicBool, Ordering};

use crate::error::TpError;
use crate::event::Event;
use crate::key::Key;
use crate::registry;

/// Whether [`patch_key_sites`] has been called.
static PATCHING: AtomicBool = AtomicBool::new(false);

/// Makes the tracepoints of the image NOPs that are patched from now on while somebody listens.
///
/// Without it, the feature `static-keys` changes nothing but adds a jump to each tracepoint. Runs
/// [`init`](crate::init) if nobody has. Later calls change nothing. Only on x86_64 Linux, with the
/// feature `static-keys`.
///
/// # Errors
///
/// Those of [`init`](crate::init).
///
/// # Panics
///
/// `static-keys` panics where the kernel refuses to map or to protect memory, and, in builds with
/// overflow checks, where the compiler has put the block that a tracepoint jumps to before it. This
/// holds for each later patching as well.
///
/// # Safety
///
/// During this call, and from then on whenever an event gets its first subscriber or loses its last
/// one ([`subscribe`](crate::subscribe), the end of a [`Subscription`](crate::Subscription),
/// [`TracepointManager`](crate::TracepointManager)), no other thread executes code of this program:
/// `static-keys` replaces whole pages of it, and writes instructions that others may be fetching.
/// Threads that wait in the kernel are fine. Nothing else switches a key of `static-keys` meanwhile.
pub unsafe fn patch_key_sites() -> Result<(), TpError> {
    registry::init()?;
    if !PATCHING.swap(true, Ordering::Relaxed) {
        for event in registry::events().filter(|event| !event.enabled()) {
            patch(event, Key::Off);
        }
    }
    Ok(())
}

/// Tells `static-keys` where the sites are.
pub(crate) fn init() {
    static_keys::global_init();
}

/// Patches the sites of `event`, if they may be patched.
pub(crate) fn set(event: &Event, key: Key) {
    if PATCHING.load(Ordering::Relaxed) {
        patch(event, key);
    }
}

/// Patches the sites of `event`, after the promise of [`patch_key_sites`].
fn patch(event: &Event, key: Key) {
    let sites = event.sites();
    match key {
        // SAFETY: `init` has run: only events that it found come here. Who called `patch_key_sites`
        // promised that nobody else runs the program's code or switches a key now.
        Key::On => unsafe { sites.enable() },
        // SAFETY: As above.
        Key::Off => unsafe { sites.disable() },
    }
}
