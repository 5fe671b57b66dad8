//! Choosing the prefixes that names share.

use alloc::collections::BTreeMap;
use alloc::string::String;
use alloc::vec::Vec;

use zerocopy::little_endian::U32;

/// The number of tokens: one less than two to the ninth, because a token number of two bytes that ends in `FF`
/// would be read as one of one byte.
const MAX_TOKENS: usize = 511;
/// The number of bytes that a token takes in a name.
const TOKEN_COST: usize = 4;

/// The prefixes that get a token, each with its number.
pub(super) struct Tokens<'a> {
    ids: BTreeMap<&'a str, u16>,
    in_order: Vec<&'a str>,
}

impl<'a> Tokens<'a> {
    /// Chooses the tokens for `names`, which are sorted.
    pub(super) fn choose(names: impl Iterator<Item = &'a str>) -> Self {
        let names: Vec<&str> = names.collect();
        let mut candidates = Self::candidates(&names);
        // What a prefix saves if each name that has it uses it. Some of those have a longer one, so the choice is not the best
        // one, but it is a good one, and the same on each run.
        candidates.sort_by_key(|&(prefix, saved)| (usize::MAX - saved, prefix));
        candidates.truncate(MAX_TOKENS);
        let ids = (0..)
            .zip(&candidates)
            .map(|(id, &(p, _))| (p, id))
            .collect();
        Self {
            ids,
            in_order: candidates.into_iter().map(|(prefix, _)| prefix).collect(),
        }
    }

    /// Returns the prefixes that neighbours share and what each saves, in bytes, where it saves any.
    fn candidates(names: &[&'a str]) -> Vec<(&'a str, usize)> {
        let mut prefixes: Vec<&str> = names
            .windows(2)
            .map(|pair| shared_prefix(pair[0], pair[1]))
            .filter(|prefix| prefix.len() > TOKEN_COST)
            .collect();
        prefixes.sort_unstable();
        prefixes.dedup();
        prefixes
            .into_iter()
            .filter_map(|prefix| {
                let first = names.partition_point(|name| *name < prefix);
                let users = names[first..].partition_point(|name| name.starts_with(prefix));
                let saved = (users * (prefix.len() - TOKEN_COST)).checked_sub(prefix.len())?;
                (saved > 0).then_some((prefix, saved))
            })
            .collect()
    }

    /// Splits `name` into the number of its longest token and the rest.
    pub(super) fn split<'n>(&self, name: &'n str) -> Option<(u16, &'n str)> {
        // Going down from `name` itself, the first entry that is a prefix is the longest one. An entry in between shares less
        // with the name each time, so cut the name back to what it shares.
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

/// Returns the part of `a` that `b` starts with as well.
fn shared_prefix<'a>(a: &'a str, b: &str) -> &'a str {
    let len = a
        .char_indices()
        .zip(b.chars())
        .find(|((_, x), y)| x != y)
        .map_or(a.len().min(b.len()), |((at, _), _)| at);
    &a[..len]
}
