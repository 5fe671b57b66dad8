//! Waiting until every hit has ended that may have seen what was there before.

use axebpf_platform::{CpuId, Platform};

use crate::guard::{hit_here, is_odd, sequence};
use crate::sync::{Ordering, fence};
use crate::{HitError, MAX_CPUS, environment, text};

/// For how long a hit may keep a CPU, in nanoseconds. The budget of a program ends it thousands of times sooner.
const PATIENCE_NS: u64 = 10_000_000_000;

/// Waits until each CPU that is in a hit has left it.
///
/// When it returns, no hit reads any more what was replaced, in a [`Snapshot`](crate::Snapshot) or otherwise, before
/// the call. Hits that begin during the call see the replacement. Answers the fences of other CPUs while it waits, so
/// it may be called with interrupts masked.
///
/// # Errors
///
/// [`HitError::InHit`] inside a hit, which would wait for itself, and [`HitError::Stuck`] when a CPU stays in its hit for
/// ten seconds. What was replaced must then not be freed.
pub fn quiesce() -> Result<(), HitError> {
    // Pairs with the fence in `enter`, which says what the two are for. It comes before everything that is read here,
    // since a hit may have begun right after the platform was installed.
    fence(Ordering::SeqCst);
    // Without a platform there is no way into a hit.
    let Some(platform) = environment::platform() else {
        return Ok(());
    };
    if let Some(cpu) = hit_here(platform) {
        return Err(HitError::InHit { cpu });
    }
    // All words there are, whatever the platform's limit: nothing may be freed because a platform is wrong.
    (0..MAX_CPUS as u32).try_for_each(|cpu| wait_for(platform, CpuId::new(cpu)))
}

/// Waits until `cpu` has left the hit that it is in, if it is in one.
fn wait_for(platform: &dyn Platform, cpu: CpuId) -> Result<(), HitError> {
    let seen = sequence(cpu);
    if !is_odd(seen) {
        return Ok(());
    }
    let start = platform.now_ns();
    // A hit that begins after the one that was seen is none of this call's business.
    while sequence(cpu) == seen {
        text::answer();
        platform.relax();
        if platform.now_ns().saturating_sub(start) > PATIENCE_NS {
            return Err(HitError::Stuck { cpu });
        }
    }
    Ok(())
}
