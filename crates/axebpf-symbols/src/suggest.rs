//! Names that may have been meant by one that does not exist.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write;

use crate::plain::write_plain;
use crate::{NameBuf, SymbolTable};

/// The number of characters beyond which a name is not compared.
const MAX_CHARS: usize = 128;
/// The largest distance at which a name is still a suggestion.
const MAX_DISTANCE: usize = 6;

/// Returns up to `limit` of the `candidates` that may have been meant by `name`, the likeliest first.
///
/// A candidate qualifies if a few changed, missing or additional characters, the fewer the shorter `name`
/// is, make one out of the other. Where `name` has no `:`, what comes after the last `:` of a candidate is
/// compared too.
///
/// # Examples
///
/// ```
/// use axebpf_symbols::nearest;
///
/// let events = ["vmm:vm_create", "vmm:vm_boot", "shell:shell_init"];
/// assert_eq!(nearest("vm:vm_creat", events, 3), ["vmm:vm_create"]);
/// assert_eq!(nearest("vm_boot", events, 3), ["vmm:vm_boot"]);
/// assert!(nearest("page_fault", events, 3).is_empty());
/// ```
pub fn nearest<'c>(
    name: &str,
    candidates: impl IntoIterator<Item = &'c str>,
    limit: usize,
) -> Vec<String> {
    let mut best = Best::new(name, limit);
    for candidate in candidates {
        best.offer(candidate);
    }
    best.into_names()
}

impl SymbolTable<'_> {
    /// Returns up to `limit` demangled names of symbols that may have been meant by `name`, the likeliest
    /// first.
    ///
    /// Compares as [`nearest`] does.
    #[must_use]
    pub fn suggest(&self, name: &str, limit: usize) -> Vec<String> {
        let mut best = Best::new(name, limit);
        let mut buf = NameBuf::new();
        let (mut demangled, mut plain) = (String::new(), String::new());
        for symbol in self {
            demangled.clear();
            if write!(demangled, "{}", symbol.demangle(&mut buf)).is_err() {
                continue;
            }
            if write_plain(&demangled, &mut plain) {
                best.offer(&plain);
            } else {
                best.offer(&demangled);
            }
        }
        best.into_names()
    }
}

/// The best candidates so far.
struct Best<'n> {
    name: &'n str,
    chars: usize,
    limit: usize,
    /// Sorted, and never more than `limit`.
    found: Vec<Candidate>,
}

/// A name that qualified.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate {
    distance: usize,
    name: String,
}

impl<'n> Best<'n> {
    fn new(name: &'n str, limit: usize) -> Self {
        Self {
            name,
            chars: name.chars().count(),
            limit,
            found: Vec::new(),
        }
    }

    /// Takes `candidate` if it is near enough, and nearer than what is there.
    fn offer(&mut self, candidate: &str) {
        let Some(distance) = self.distance(candidate) else {
            return;
        };
        let key = (distance, candidate);
        let at = self
            .found
            .partition_point(|c| (c.distance, c.name.as_str()) < key);
        let known = self.found.get(at).is_some_and(|c| c.name == candidate);
        if at < self.limit && !known {
            self.found.truncate(self.limit - 1);
            let name = candidate.into();
            self.found.insert(at, Candidate { distance, name });
        }
    }

    /// Returns how far `candidate` is from the name, if that is not too far.
    fn distance(&self, candidate: &str) -> Option<usize> {
        let allowed = (1 + self.chars / 4).min(MAX_DISTANCE);
        let whole = distance(self.name, candidate, allowed);
        if self.name.contains(':') {
            return whole;
        }
        let last = candidate.rsplit(':').next().unwrap_or_default();
        let last = distance(self.name, last, allowed);
        whole.into_iter().chain(last).min()
    }

    fn into_names(self) -> Vec<String> {
        self.found.into_iter().map(|c| c.name).collect()
    }
}

/// Returns how many characters have to be changed, put in or left out to get from `a` to `b`, if it is at
/// most `limit`.
fn distance(a: &str, b: &str, limit: usize) -> Option<usize> {
    // A character has up to four bytes, so this leaves out only what is too long in any case.
    if a.len() > 4 * MAX_CHARS || b.len() > 4 * MAX_CHARS {
        return None;
    }
    let (width, height) = (a.chars().count(), b.chars().count());
    if width > MAX_CHARS || height > MAX_CHARS || width.abs_diff(height) > limit {
        return None;
    }
    // `row[i]` is the distance between the first `i` characters of `a` and as much of `b` as has been seen.
    let mut row = [0; MAX_CHARS + 1];
    for (i, cell) in row.iter_mut().enumerate() {
        *cell = i;
    }
    for (seen, from_b) in b.chars().enumerate() {
        let mut diagonal = core::mem::replace(&mut row[0], seen + 1);
        let mut least = row[0];
        for (i, from_a) in a.chars().enumerate() {
            let changed = diagonal + usize::from(from_a != from_b);
            diagonal = row[i + 1];
            row[i + 1] = changed.min(row[i] + 1).min(row[i + 1] + 1);
            least = least.min(row[i + 1]);
        }
        if least > limit {
            return None;
        }
    }
    Some(row[width]).filter(|&distance| distance <= limit)
}
