//! What the shell tells an operator who typed something that cannot be done.

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

impl From<crate::Error> for Complaint {
    fn from(error: crate::Error) -> Self {
        let complaint = Self::new(error.to_string());
        match error {
            #[cfg(feature = "tracepoint-support")]
            crate::Error::Tracepoint(error) => error.into(),
            #[cfg(feature = "tracepoint-support")]
            crate::Error::Filter(_) => {
                complaint.hint(
                    "`trace format EVENT` shows the fields of an event, `help link attach` those of a probe",
                )
            }
            #[cfg(all(feature = "runtime", feature = "tracepoint-support"))]
            crate::Error::NoEvent { name } => {
                let known = axebpf_tp::events().map(axebpf_tp::Event::full_name);
                Self::unknown("tracepoint", &name, known, "trace list")
            }
            #[cfg(all(feature = "hprobe", feature = "runtime"))]
            crate::Error::NoFunction { near, .. } => complaint.hint(match near.as_slice() {
                [] => "`sym '*PART*'` finds parts of names".to_string(),
                near => {
                    let near: Vec<&str> = near.iter().map(String::as_str).collect();
                    format!(
                        "did you mean {}? `sym '*PART*'` finds parts of names",
                        or_list(&near)
                    )
                }
            }),
            #[cfg(all(feature = "hprobe", feature = "runtime"))]
            crate::Error::Ambiguous { addresses, .. } => {
                let shown: Vec<_> = addresses.iter().take(4).map(ToString::to_string).collect();
                complaint.hint(format!(
                    "say which by its address ({}{}), or mean all by a glob",
                    shown.join(", "),
                    if addresses.len() > 4 { ", ..." } else { "" }
                ))
            }
            #[cfg(all(feature = "hprobe", feature = "runtime"))]
            crate::Error::TooManyFunctions { .. } => {
                complaint.hint("narrow it, or allow more with --limit N")
            }
            #[cfg(feature = "hprobe")]
            crate::Error::Hprobe(axebpf_hprobe::HprobeError::Protected { .. }) => {
                complaint.hint("`hprobe blacklist` lists all that must not be probed")
            }
            #[cfg(all(feature = "guest-kprobe", feature = "runtime"))]
            crate::Error::Guest(error) => guest(complaint, &error),
            #[cfg(all(feature = "guest-kprobe", feature = "runtime"))]
            crate::Error::Load(axebpf_vm::LoadError::NoTargetTypes { .. }) => {
                complaint.hint("say whose: prog load NAME --btf VM")
            }
            #[cfg(feature = "runtime")]
            crate::Error::Busy { .. } => {
                complaint.hint("`link detach` detaches them; so does `prog unload --force`")
            }
            #[cfg(feature = "runtime")]
            crate::Error::NoTarget { .. } => {
                complaint.hint("say where: link attach PROGRAM vmm:vm_create")
            }
            _ => complaint,
        }
    }
}

/// Adds what would be right about a guest.
#[cfg(all(feature = "guest-kprobe", feature = "runtime"))]
fn guest(complaint: Complaint, error: &crate::GuestError) -> Complaint {
    use axebpf_guestprobe::GuestProbeError as Probe;
    use axebpf_symbols::KernelSymbolError as Symbols;

    use crate::GuestError as Guest;
    match error {
        Guest::NoGuest { .. } | Guest::NoGuests => {
            complaint.hint("`vm list` shows what can be probed")
        }
        Guest::WhichGuest { guests } => {
            let shown: Vec<_> = guests.iter().map(|vm| format!("vm{vm}")).collect();
            complaint.hint(format!("say which: kprobe:{}:FUNCTION", shown.join("|")))
        }
        Guest::NoKernel { .. } => complaint.hint("boot it first"),
        Guest::NoFunction { vm, name, .. } if name.contains(':') => complaint.hint(format!(
            "symbols in memory are the kernel's own (vmlinux); /proc/kallsyms has those of \
             modules, too: `vm syms {vm} --upload`"
        )),
        Guest::NoFunction { vm, near, .. } => complaint.hint(match near.as_slice() {
            [] => format!("`gsym {vm} '*PART*'` finds parts of names"),
            near => {
                let near: Vec<&str> = near.iter().map(String::as_str).collect();
                format!(
                    "did you mean {}? `gsym {vm} '*PART*'` finds parts of names",
                    or_list(&near)
                )
            }
        }),
        Guest::Ambiguous { vm, addresses, .. } => {
            let shown: Vec<_> = addresses.iter().take(4).map(ToString::to_string).collect();
            complaint.hint(format!(
                "say which by its address: kprobe:vm{vm}:{}",
                shown.join("|")
            ))
        }
        Guest::Elsewhere { vm, .. } => complaint.hint(format!(
            "`vm syms {vm} auto` looks for those of this kernel"
        )),
        Guest::NoSlide { vm, .. } => complaint.hint(format!(
            "say it: `vm syms {vm} FILE --slide BYTES`; for the guest's own /proc/kallsyms that is 0"
        )),
        Guest::Symbols(Symbols::Unrecognised { start }) if start.starts_with(b"\x7fELF") => complaint
            .hint("it is an ELF file; `cargo xtask guest-symbols` makes a blob of the symbols in it"),
        Guest::Symbols(Symbols::Unrecognised { .. }) => complaint.hint(
            "take /proc/kallsyms, a System.map, or what `cargo xtask guest-symbols` makes",
        ),
        Guest::NoTypes { .. } => {
            complaint.hint("boot the guest first; its kernel needs CONFIG_DEBUG_INFO_BTF")
        }
        Guest::TooMany { .. } => complaint.hint("narrow it, or allow more with --limit N"),
        Guest::Scan { vm, .. } => {
            complaint.hint(format!("boot the guest first, or `vm syms {vm} FILE`"))
        }
        Guest::Probe(Probe::LandingPad { .. }) => {
            complaint.hint("take another mode, or probe the next instruction: FUNCTION+4")
        }
        Guest::Probe(Probe::Mode(_) | Probe::PageMode { .. }) => {
            complaint.hint("--mode auto takes what there is")
        }
        _ => complaint,
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
