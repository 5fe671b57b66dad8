//! What the guest computes to show that it computes rightly, once more.

/// Computes FNV-1a over a thousand steps of a linear congruential generator, started at `seed`.
pub(crate) fn expected(seed: u64) -> u64 {
    const MULTIPLIER: u64 = 6_364_136_223_846_793_005;
    const INCREMENT: u64 = 1_442_695_040_888_963_407;
    const FNV_BASIS: u64 = 0xcbf2_9ce4_8422_2325;
    const FNV_PRIME: u64 = 0x100_0000_01b3;
    let mut state = seed;
    (0..1000).fold(FNV_BASIS, |hash, _| {
        state = state.wrapping_mul(MULTIPLIER).wrapping_add(INCREMENT);
        (hash ^ (state >> 56)).wrapping_mul(FNV_PRIME)
    })
}
