//! What the shell tells an operator who typed something that cannot be done.

mod errors;
#[cfg(all(feature = "guest-kprobe", feature = "runtime"))]
mod guest;

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};
use core::fmt::{self, Write};

use super::table::{LINE_WIDTH, wrap};

/// Text that says what was wrong, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Complaint {
    wrong: String,
    hint: Option<String>,
}

impl Complaint {
    pub(crate) fn new(wrong: impl Into<String>) -> Self {
        Self {
            wrong: wrong.into(),
            hint: None,
        }
    }

    /// Adds what would be right.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Complains of an unknown `kind` of thing named `name`, and names the near ones of those that
    /// exist.
    pub(crate) fn unknown<'a>(
        kind: &str,
        name: &str,
        known: impl Iterator<Item = &'a str>,
        list: &str,
    ) -> Self {
        let near = near(name, known);
        let hint = match near.as_slice() {
            [] => format!("`{list}` shows what there is"),
            near => format!("did you mean {}? `{list}` shows all", or_list(near)),
        };
        Self::new(format!("there is no {kind} `{}`", shortened(name))).hint(hint)
    }

    #[cfg(test)]
    pub(crate) fn text(&self) -> &str {
        &self.wrong
    }

    /// Writes the complaint in lines of at most 80 columns.
    pub(crate) fn write(&self, out: &mut dyn Write) -> fmt::Result {
        write_wrapped(out, "error: ", &self.wrong)?;
        match &self.hint {
            Some(hint) => write_wrapped(out, "       ", hint),
            None => Ok(()),
        }
    }
}

#[cfg(feature = "runtime")]
impl From<axebpf_maps::MapError> for Complaint {
    fn from(error: axebpf_maps::MapError) -> Self {
        Self::new(error.to_string())
    }
}

impl From<fmt::Error> for Complaint {
    fn from(_: fmt::Error) -> Self {
        Self::new("something could not be put into words")
    }
}

/// Writes `text` behind `first`, in lines that fit, of which the others are indented as far.
pub(crate) fn write_wrapped(out: &mut dyn Write, first: &str, text: &str) -> fmt::Result {
    let indent = " ".repeat(first.len());
    let mut lead = first;
    for line in text.lines() {
        for piece in wrap(line, LINE_WIDTH - first.len()) {
            writeln!(out, "{lead}{piece}")?;
            lead = &indent;
        }
    }
    Ok(())
}

/// `text` cut to a length that can be repeated to its author.
pub(crate) fn shortened(text: &str) -> String {
    const MOST: usize = 48;
    match text.char_indices().nth(MOST) {
        Some((cut, _)) => format!("{}...", &text[..cut]),
        None => text.to_string(),
    }
}

/// Writes `1 line`, `2 lines`.
#[cfg(any(feature = "runtime", feature = "tracepoint-support"))]
pub(crate) fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// Asks whether one of the `near` names was meant, and says how to `find` others.
#[cfg(all(feature = "hprobe", feature = "runtime"))]
fn meant(near: &[String], find: &str) -> String {
    if near.is_empty() {
        return find.into();
    }
    let near: Vec<&str> = near.iter().map(String::as_str).collect();
    format!("did you mean {}? {find}", or_list(&near))
}

/// How many addresses are shown of those that a name can mean.
#[cfg(all(feature = "hprobe", feature = "runtime"))]
const MOST_ADDRESSES: usize = 4;

/// Shows the first of `addresses`.
#[cfg(all(feature = "hprobe", feature = "runtime"))]
fn some(addresses: &[impl ToString]) -> Vec<String> {
    let shown = addresses.iter().take(MOST_ADDRESSES);
    shown.map(ToString::to_string).collect()
}

pub(crate) fn or_list(names: &[&str]) -> String {
    let mut text = String::new();
    for (index, name) in names.iter().enumerate() {
        if index > 0 {
            text.push_str(if index + 1 == names.len() {
                " or "
            } else {
                ", "
            });
        }
        text.push('`');
        text.push_str(name);
        text.push('`');
    }
    text
}

/// The (at most three) names of `known` that `name` was probably meant to be, nearest first.
fn near<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    const LONGEST: usize = 64;
    if name.is_empty() || name.len() > LONGEST {
        return Vec::new();
    }
    let worst = name.len() / 3 + 1;
    let mut found: Vec<(usize, &str)> = known
        .filter(|candidate| candidate.len() <= LONGEST)
        .filter_map(|candidate| {
            let distance = distance(name, candidate);
            // A name that was cut short, or its last part alone, is near however much is missing.
            let part = name.len() >= 3 && candidate.contains(name);
            (distance <= worst || part).then_some((distance, candidate))
        })
        .collect();
    found.sort_unstable();
    found.dedup();
    found
        .into_iter()
        .take(3)
        .map(|(_, candidate)| candidate)
        .collect()
}

/// The Levenshtein distance of two short texts, in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances_are_edits() {
        assert_eq!(distance("", "abc"), 3);
        assert_eq!(distance("kitten", "sitting"), 3);
        assert_eq!(distance("list", "list"), 0);
    }

    #[test]
    fn near_names_come_nearest_first() {
        let known = ["list", "load", "unload", "show"];
        assert_eq!(near("lst", known.into_iter()), ["list"]);
        assert_eq!(near("laod", known.into_iter()), ["load"]);
        assert!(near("xyzzy", known.into_iter()).is_empty());
        assert_eq!(
            near("run_exit", ["vmm:vcpu_run_exit"].into_iter()),
            ["vmm:vcpu_run_exit"]
        );
    }

    #[test]
    fn complaints_fit_the_line() {
        let complaint = Complaint::new("word ".repeat(40)).hint("also ".repeat(40));
        let mut out = String::new();
        complaint.write(&mut out).unwrap();
        assert!(out.lines().all(|line| line.len() <= LINE_WIDTH), "{out}");
        assert!(out.starts_with("error: word"));
    }
}
