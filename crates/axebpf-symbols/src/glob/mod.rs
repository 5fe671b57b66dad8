//! Patterns over names, matched in linear time.

mod parse;

use alloc::boxed::Box;
use alloc::string::String;
use core::fmt;
use core::str::FromStr;

use thiserror::Error;

/// Says why a text is not a [`Glob`].
///
/// Positions count bytes from the start of the pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum GlobError {
    /// There is nothing in the pattern.
    #[error("the pattern is empty")]
    Empty,
    /// The pattern is longer than [`Glob::MAX_LEN`].
    #[error("the pattern has {len} bytes, the limit is {limit}")]
    TooLong {
        /// How many bytes it has.
        len: usize,
        /// How many it may have.
        limit: usize,
    },
    /// A `[` has no `]`.
    #[error("the `[` at byte {at} is never closed by `]`")]
    UnclosedClass {
        /// Where the `[` is.
        at: usize,
    },
    /// A range in a class ends before it starts.
    #[error("the range {first}-{last} at byte {at} is the wrong way round")]
    ReversedRange {
        /// Where the range is.
        at: usize,
        /// What it says is its first member.
        first: char,
        /// What it says is its last member.
        last: char,
    },
    /// The pattern ends in a `\` that escapes nothing.
    #[error("the `\\` at byte {at} escapes nothing")]
    TrailingEscape {
        /// Where the `\` is.
        at: usize,
    },
}

/// One element of a compiled pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// `*`: any number of characters.
    Run,
    /// `?`: one character.
    Any,
    /// One given character.
    Char(char),
    /// `[...]`: one character out of a set, or out of its complement.
    Class { set: Set, ranges: Box<[Span]> },
}

/// Whether a class names its members or those that it leaves out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    Members,
    Complement,
}

/// Consecutive characters, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    first: char,
    last: char,
}

/// A pattern over names: `*`, `?`, `[a-z]`, `[!a-z]`, and `\` to take the next character as it is.
///
/// The whole name has to match. `*` stands for any number of characters, `:` and `/` included. A `]` that
/// comes first in a class is a member of it. Matching takes at most (length of the name) × (length of the
/// pattern) steps, allocates nothing and uses no recursion, so that it may run in a probe hit.
///
/// # Examples
///
/// ```
/// use axebpf_symbols::Glob;
///
/// let glob = Glob::new("vmm:vcpu_*")?;
/// assert!(glob.matches("vmm:vcpu_run_exit"));
/// assert!(!glob.matches("vmm:vm_create"));
/// # Ok::<(), axebpf_symbols::GlobError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob {
    source: String,
    tokens: Box<[Token]>,
}

impl Glob {
    /// The number of bytes that a pattern may have.
    pub const MAX_LEN: usize = 256;

    /// Compiles `pattern`.
    ///
    /// # Errors
    ///
    /// [`GlobError`] says what is wrong with the pattern, and where.
    pub fn new(pattern: &str) -> Result<Self, GlobError> {
        Ok(Self {
            tokens: parse::compile(pattern)?,
            source: String::from(pattern),
        })
    }

    /// Returns the text from which the pattern was compiled.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Returns the one name that the pattern matches, if it has neither wildcard nor class.
    ///
    /// A caller can then look the name up instead of trying all names.
    #[must_use]
    pub fn literal(&self) -> Option<String> {
        self.tokens
            .iter()
            .map(|token| match token {
                Token::Char(c) => Some(*c),
                Token::Run | Token::Any | Token::Class { .. } => None,
            })
            .collect()
    }

    /// Tells whether all of `name` matches.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        self.matches_bytes(name.as_bytes())
    }

    /// Tells whether all of `name` matches, which need not be UTF-8.
    ///
    /// A byte that is not part of a UTF-8 character counts as one character, which only `*`, `?` and
    /// complements match.
    #[must_use]
    pub fn matches_bytes(&self, name: &[u8]) -> bool {
        let mut token = 0;
        let mut at = 0;
        // Where to go on if the tokens after the last `*` do not fit: only the last one needs to be
        // remembered, because whatever an earlier one could take in addition, the last one can take as
        // well.
        let mut retry: Option<Retry> = None;
        loop {
            match self.tokens.get(token) {
                None if at == name.len() => return true,
                Some(Token::Run) => {
                    token += 1;
                    retry = Some(Retry { token, at });
                    continue;
                }
                Some(other) => {
                    if let Some(unit) = Unit::first(&name[at..])
                        && other.accepts(unit.char)
                    {
                        token += 1;
                        at += unit.len;
                        continue;
                    }
                }
                None => {}
            }
            let Some(back) = &mut retry else { return false };
            let Some(unit) = Unit::first(&name[back.at..]) else {
                return false;
            };
            back.at += unit.len;
            token = back.token;
            at = back.at;
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.source)
    }
}

impl FromStr for Glob {
    type Err = GlobError;

    fn from_str(pattern: &str) -> Result<Self, GlobError> {
        Self::new(pattern)
    }
}

/// Where matching goes on after a mismatch: behind the last `*`, one character further.
struct Retry {
    token: usize,
    at: usize,
}

/// One character of a name, or one byte that is none.
struct Unit {
    /// The character, or `None` for a stray byte.
    char: Option<char>,
    /// Its length in bytes, at least 1.
    len: usize,
}

impl Unit {
    /// Takes the first unit of `bytes`, or `None` at their end.
    fn first(bytes: &[u8]) -> Option<Self> {
        let lead = *bytes.first()?;
        if lead.is_ascii() {
            return Some(Self {
                char: Some(char::from(lead)),
                len: 1,
            });
        }
        let len = match lead {
            0xc2..=0xdf => 2,
            0xe0..=0xef => 3,
            0xf0..=0xf4 => 4,
            _ => 1,
        };
        let char = bytes
            .get(..len)
            .and_then(|unit| core::str::from_utf8(unit).ok())
            .and_then(|unit| unit.chars().next());
        Some(Self {
            len: if char.is_some() { len } else { 1 },
            char,
        })
    }
}

impl Token {
    /// Tells whether the token stands for `char`; `Run` takes no single character.
    fn accepts(&self, char: Option<char>) -> bool {
        match self {
            Self::Run => false,
            Self::Any => true,
            Self::Char(own) => char == Some(*own),
            Self::Class { set, ranges } => {
                let member =
                    char.is_some_and(|c| ranges.iter().any(|s| s.first <= c && c <= s.last));
                match set {
                    Set::Members => member,
                    Set::Complement => !member,
                }
            }
        }
    }
}
