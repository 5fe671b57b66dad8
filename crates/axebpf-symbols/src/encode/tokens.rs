//! Choosing the prefixes that names share.

use alloc::collections::{BTreeMap, BinaryHeap};
use alloc::string::String;
use alloc::vec::Vec;
use core::cmp::Reverse;
use core::ops::Range;

use zerocopy::little_endian::U32;

/// The number of tokens: one less than two to the ninth, because a token number of two bytes that ends in
/// `FF` would be read as one of one byte.
const MAX_TOKENS: usize = 511;
/// The number of bytes that a token takes in a name, at most.
const TOKEN_COST: usize = 4;

/// The prefixes that get a token, each with its number.
pub(super) struct Tokens<'a> {
    ids: BTreeMap<&'a str, u16>,
    in_order: Vec<&'a str>,
}

/// A prefix that several names share.
struct Candidate<'a> {
    prefix: &'a str,
    /// Which names have it: neighbours, because names are sorted.
    users: Range<usize>,
}

impl Candidate<'_> {
    /// Returns what a token for the prefix saves in one name, in bytes.
    fn per_name(&self) -> usize {
        self.prefix.len() - TOKEN_COST
    }

    /// Returns what a token for the prefix saves in all, where `saved` has what is saved without it in each
    /// name.
    fn gain(&self, saved: &[usize]) -> usize {
        let more: usize = saved[self.users.clone()]
            .iter()
            .map(|&saved| self.per_name().saturating_sub(saved))
            .sum();
        more.saturating_sub(self.prefix.len())
    }
}

impl<'a> Tokens<'a> {
    /// Chooses the tokens for `names`, which are sorted.
    ///
    /// Takes the prefix that saves most, again and again. The choice is the same on each run.
    pub(super) fn choose(names: impl Iterator<Item = &'a str>) -> Self {
        let names: Vec<&str> = names.collect();
        let candidates = candidates(&names);
        let mut saved = alloc::vec![0; names.len()];
        let mut heap: BinaryHeap<_> = (0..candidates.len())
            .map(|i| (candidates[i].gain(&saved), Reverse(i)))
            .collect();
        let mut in_order = Vec::new();
        while let Some((_, Reverse(i))) = heap.pop() {
            // What a prefix saves only shrinks as others are chosen, so what is the best after counting
            // again is the best of all.
            let gain = candidates[i].gain(&saved);
            if heap.peek().is_some_and(|&(next, _)| next > gain) {
                heap.push((gain, Reverse(i)));
                continue;
            }
            if gain == 0 || in_order.len() == MAX_TOKENS {
                break;
            }
            for saved in &mut saved[candidates[i].users.clone()] {
                *saved = candidates[i].per_name().max(*saved);
            }
            in_order.push(candidates[i].prefix);
        }
        Self {
            ids: in_order.iter().copied().zip(0..).collect(),
            in_order,
        }
    }

    /// Splits `name` into the number of its longest token and the rest.
    pub(super) fn split<'n>(&self, name: &'n str) -> Option<(u16, &'n str)> {
        // Going down from `name` itself, the first entry that is a prefix is the longest one. An entry in
        // between shares less with the name each time, so cut the name back to what it shares.
        let mut key = name;
        loop {
            let (prefix, id) = self.ids.range(..=key).next_back()?;
            if let Some(rest) = name.strip_prefix(prefix) {
                return Some((*id, rest));
            }
            key = shared_prefix(key, prefix);
        }
    }

    /// Returns the text of all tokens, one behind the other.
    pub(super) fn table(&self) -> String {
        self.in_order.concat()
    }

    /// Returns where each token starts in the table.
    pub(super) fn index(&self) -> Vec<U32> {
        let mut at = 0;
        self.in_order
            .iter()
            .map(|token| {
                let start = U32::new(at);
                at += token.len() as u32;
                start
            })
            .collect()
    }
}

/// Returns the prefixes that neighbours share and that a token could make shorter.
fn candidates<'a>(names: &[&'a str]) -> Vec<Candidate<'a>> {
    let mut prefixes: Vec<&str> = names
        .windows(2)
        .map(|pair| shared_prefix(pair[0], pair[1]))
        .filter(|prefix| prefix.len() > TOKEN_COST)
        .collect();
    prefixes.sort_unstable();
    prefixes.dedup();
    prefixes
        .into_iter()
        .map(|prefix| {
            let start = names.partition_point(|name| *name < prefix);
            let count = names[start..].partition_point(|name| name.starts_with(prefix));
            let users = start..start + count;
            Candidate { prefix, users }
        })
        .collect()
}

/// Returns the part of `a` that `b` starts with as well.
fn shared_prefix<'a>(a: &'a str, b: &str) -> &'a str {
    let len = a
        .char_indices()
        .zip(b.chars())
        .find(|((_, x), y)| x != y)
        .map_or(a.len().min(b.len()), |((at, _), _)| at);
    &a[..len]
}
