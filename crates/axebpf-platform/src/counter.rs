//! The system counter's time in nanoseconds.

/// Converts `ticks` of a counter that counts `hz` times a second into nanoseconds, rounded down.
///
/// Exact for every input; times beyond 584 years are `u64::MAX`. On aarch64, `ticks` is `CNTPCT_EL0` and `hz` is
/// `CNTFRQ_EL0`. Where firmware left that register zero, ticks count as nanoseconds.
#[must_use]
pub const fn ticks_to_ns(ticks: u64, hz: u32) -> u64 {
    const NS_PER_SECOND: u64 = 1_000_000_000;
    if hz == 0 {
        return ticks;
    }
    let hz = hz as u64;
    // The remainder is below 2^32, so its product is below 2^62.
    let fraction = ticks % hz * NS_PER_SECOND / hz;
    (ticks / hz)
        .saturating_mul(NS_PER_SECOND)
        .saturating_add(fraction)
}
