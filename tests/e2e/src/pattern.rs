//! Patterns of expected lines.

/// One expected line.
///
/// Runs of blanks count as one, and those at both ends as none. In it,
///
/// - `*` stands for any text, also for none;
/// - `<n>` for a decimal number;
/// - `<n+>` for a decimal number that is not 0;
/// - `<x>` for a hexadecimal number, with or without `0x`.
///
/// # Examples
///
/// ```
/// use axebpf_e2e::Pattern;
///
/// let pattern = Pattern::new("vmm:vcpu_run_exit <n+> * ns");
/// assert!(pattern.matches("vmm:vcpu_run_exit     1207   812 ns"));
/// assert!(!pattern.matches("vmm:vcpu_run_exit        0   812 ns"));
/// ```
#[derive(Clone, Debug)]
pub struct Pattern {
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(String),
    Any,
    Number,
    Positive,
    Hex,
}

/// The placeholders and what each stands for.
const PLACEHOLDERS: [(&str, Part); 4] = [
    ("*", Part::Any),
    ("<n>", Part::Number),
    ("<n+>", Part::Positive),
    ("<x>", Part::Hex),
];

impl Pattern {
    /// Reads a pattern.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let text = squeeze(text);
        let mut parts = Vec::new();
        let mut rest = text.as_str();
        while !rest.is_empty() {
            let next = PLACEHOLDERS
                .iter()
                .filter_map(|(token, part)| Some((rest.find(token)?, token.len(), part)))
                .min_by_key(|(at, ..)| *at);
            let Some((at, len, part)) = next else {
                parts.push(Part::Text(rest.to_owned()));
                break;
            };
            if at > 0 {
                parts.push(Part::Text(rest[..at].to_owned()));
            }
            parts.push(part.clone());
            rest = &rest[at + len..];
        }
        Self { parts }
    }

    /// Tells whether the whole of `line` matches.
    #[must_use]
    pub fn matches(&self, line: &str) -> bool {
        matches(&self.parts, &squeeze(line))
    }
}

fn matches(parts: &[Part], line: &str) -> bool {
    let Some((part, rest)) = parts.split_first() else {
        return line.is_empty();
    };
    match part {
        Part::Text(text) => line
            .strip_prefix(text.as_str())
            .is_some_and(|line| matches(rest, line)),
        Part::Any => (0..=line.len())
            .filter(|&at| line.is_char_boundary(at))
            .any(|at| matches(rest, &line[at..])),
        Part::Number => number(line, rest, |digits| {
            digits.bytes().all(|b| b.is_ascii_digit())
        }),
        Part::Positive => number(line, rest, |digits| {
            digits.bytes().all(|b| b.is_ascii_digit()) && digits.bytes().any(|b| b != b'0')
        }),
        Part::Hex => {
            let line = line.strip_prefix("0x").unwrap_or(line);
            number(line, rest, |digits| {
                digits.bytes().all(|b| b.is_ascii_hexdigit())
            })
        }
    }
}

/// Matches the longest number at the start of `line` that `accepts` takes, and then the rest.
fn number(line: &str, rest: &[Part], accepts: impl Fn(&str) -> bool) -> bool {
    let longest = line.bytes().take_while(u8::is_ascii_hexdigit).count();
    (1..=longest).rev().any(|len| {
        let next = line.as_bytes().get(len);
        accepts(&line[..len])
            && !next.is_some_and(u8::is_ascii_digit)
            && matches(rest, &line[len..])
    })
}

/// Makes each run of blanks one blank, and none at the ends.
fn squeeze(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[track_caller]
    fn check(pattern: &str, line: &str, expected: bool) {
        assert_eq!(
            Pattern::new(pattern).matches(line),
            expected,
            "{pattern:?} on {line:?}"
        );
    }

    #[test]
    fn plain_text_must_be_equal_but_for_blanks() {
        check("a  b", "  a b ", true);
        check("a b", "ab", false);
        check("", "   ", true);
    }

    #[test]
    fn stars_take_anything() {
        check("*", "", true);
        check("a*c", "abc", true);
        check("a*c", "ab", false);
        check("* µ *", "x µ y", true);
    }

    #[test]
    fn numbers_are_whole() {
        check("<n> exits", "12 exits", true);
        check("<n> exits", "1x2 exits", false);
        check("<n+>", "00", false);
        check("<n+>", "010", true);
        check("x<n>", "x-1", false);
        check("at <x>", "at 0xffff_", false);
        check("at <x>", "at 0xFfa0", true);
        check("at <x>: <n>ns", "at 40080000: 5ns", true);
    }
}
