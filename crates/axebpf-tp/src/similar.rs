//! Finding names that may have been meant.

use alloc::vec::Vec;

/// How many suggestions are made at most.
const LIMIT: usize = 3;

/// Longer texts are not compared; no event has such a name.
const MAX_LEN: usize = 128;

/// Returns the names that are closest to `text`, the closest one first; none when none is close.
pub(crate) fn names(text: &str, names: impl Iterator<Item = &'static str>) -> Vec<&'static str> {
    if text.len() > MAX_LEN {
        return Vec::new();
    }
    let mut close: Vec<_> = names
        .map(|name| (distance_to_event(text, name), name))
        .filter(|(distance, name)| *distance * 3 <= name.len())
        .collect();
    close.sort_unstable();
    close
        .into_iter()
        .take(LIMIT)
        .map(|(_, name)| name)
        .collect()
}

/// Compares with the full name, and with the name alone when that is what was given.
fn distance_to_event(text: &str, full_name: &str) -> usize {
    let whole = distance(text.as_bytes(), full_name.as_bytes());
    match full_name.split_once(':') {
        Some((_, name)) if !text.contains(':') => {
            whole.min(distance(text.as_bytes(), name.as_bytes()))
        }
        _ => whole,
    }
}

/// Counts the insertions, deletions and replacements of a byte that lead from one text to the
/// other.
fn distance(from: &[u8], to: &[u8]) -> usize {
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.iter().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}
