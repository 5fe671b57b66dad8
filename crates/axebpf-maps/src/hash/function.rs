//! The hash function.

use crate::value_source::ValueSource;

/// Hashes a key, such that who does not know the seed cannot choose keys for one chain easily.
#[inline]
pub(crate) fn hash(seed: u64, key: &[u8]) -> u32 {
    hash_words(seed, key) as u32
}

/// Hashes anything.
///
/// Each word is mixed in by a multiplication to 128 bits whose halves are folded together; both factors are odd
/// constants from the fractional parts of square roots of primes.
#[inline]
pub(crate) fn hash_words(seed: u64, source: &(impl ValueSource + ?Sized)) -> u64 {
    const A: u64 = 0x6a09_e667_f3bc_c909;
    const B: u64 = 0xbb67_ae85_84ca_a73b;
    let fold = |a: u64, b: u64| {
        let product = u128::from(a) * u128::from(b);
        product as u64 ^ (product >> 64) as u64
    };
    let len = source.byte_len();
    let mut state = seed ^ A ^ len as u64;
    for index in 0..len.div_ceil(8) {
        state = fold(state ^ source.word(index), B).wrapping_add(A);
    }
    fold(state, A)
}
