//! From the text of a filter to its tokens.

use alloc::format;
use alloc::string::String;

use crate::filter::error::FilterError;

/// One token, and where it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'t> {
    pub(super) at: usize,
    pub(super) kind: TokenKind<'t>,
}

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind<'t> {
    /// The name of a field, or `true` or `false`.
    Word(&'t str),
    /// A number, from `i64::MIN` to `u64::MAX`.
    Number(i128),
    /// What stands between the quotes, escapes included.
    Text(&'t str),
    /// An operator or a parenthesis.
    Symbol(&'static str),
    /// The end of the text.
    End,
}

impl TokenKind<'_> {
    /// Says what it is, for an error.
    pub(super) fn describe(self) -> String {
        match self {
            Self::Word(text) | Self::Text(text) => format!("`{}`", text.escape_default()),
            Self::Number(number) => format!("`{number}`"),
            Self::Symbol(symbol) => format!("`{symbol}`"),
            Self::End => String::from("the end"),
        }
    }
}

/// The operators and parentheses; one that starts like another comes before it.
const SYMBOLS: [&str; 13] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "&", "~", "!", "(", ")",
];

/// Takes tokens off a text.
pub(super) struct Lexer<'t> {
    text: &'t str,
    at: usize,
}

impl<'t> Lexer<'t> {
    pub(super) const fn new(text: &'t str) -> Self {
        Self { text, at: 0 }
    }

    /// Takes the next token.
    pub(super) fn next(&mut self) -> Result<Token<'t>, FilterError> {
        let rest = self.text[self.at..].trim_start_matches([' ', '\t', '\n', '\r']);
        self.at = self.text.len() - rest.len();
        let at = self.at;
        let Some(first) = rest.chars().next() else {
            return Ok(Token {
                at,
                kind: TokenKind::End,
            });
        };
        let kind = match first {
            '"' | '\'' => self.string(rest, first)?,
            '0'..='9' | '-' => self.number(rest)?,
            'a'..='z' | 'A'..='Z' | '_' => TokenKind::Word(self.take(word_len(rest))),
            _ => {
                let symbol = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol));
                let symbol = symbol.ok_or(FilterError::UnexpectedChar { at, found: first })?;
                self.at += symbol.len();
                TokenKind::Symbol(symbol)
            }
        };
        Ok(Token { at, kind })
    }

    /// Takes so many bytes.
    fn take(&mut self, len: usize) -> &'t str {
        let taken = &self.text[self.at..self.at + len];
        self.at += len;
        taken
    }

    /// Takes a string, whose opening quote starts `rest`.
    fn string(&mut self, rest: &'t str, quote: char) -> Result<TokenKind<'t>, FilterError> {
        let mut escaped = false;
        for (offset, c) in rest.char_indices().skip(1) {
            if escaped {
                escaped = false;
            } else if c == '\\' {
                escaped = true;
            } else if c == quote {
                self.at += offset + 1;
                return Ok(TokenKind::Text(&rest[1..offset]));
            }
        }
        Err(FilterError::UnterminatedString { at: self.at, quote })
    }

    /// Takes a number, which starts `rest`.
    fn number(&mut self, rest: &'t str) -> Result<TokenKind<'t>, FilterError> {
        let at = self.at;
        let sign = usize::from(rest.starts_with('-'));
        let text = self.take(sign + word_len(&rest[sign..]));
        match parse_number(text) {
            Some(number) => Ok(TokenKind::Number(number)),
            None => Err(FilterError::BadNumber {
                at,
                text: String::from(text),
            }),
        }
    }
}

/// Returns how many bytes of `rest` could be a word or a number.
fn word_len(rest: &str) -> usize {
    rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(rest.len())
}

/// Reads `[-]DIGITS` or `[-]0xDIGITS`, in the range of the 64-bit types.
fn parse_number(text: &str) -> Option<i128> {
    let magnitude = text.strip_prefix('-').unwrap_or(text);
    let magnitude = match magnitude
        .strip_prefix("0x")
        .or_else(|| magnitude.strip_prefix("0X"))
    {
        Some(digits) => u64::from_str_radix(digits, 16),
        None => magnitude.parse::<u64>(),
    };
    let magnitude = i128::from(magnitude.ok()?);
    let number = if text.starts_with('-') {
        -magnitude
    } else {
        magnitude
    };
    (number >= i128::from(i64::MIN)).then_some(number)
}
