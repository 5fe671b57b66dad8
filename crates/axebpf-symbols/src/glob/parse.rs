//! From the text of a pattern to its tokens.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::iter::Peekable;
use core::str::CharIndices;

use super::{Glob, GlobError, Set, Span, Token};

/// Compiles `pattern` into its tokens.
pub(super) fn compile(pattern: &str) -> Result<Box<[Token]>, GlobError> {
    if pattern.is_empty() {
        return Err(GlobError::Empty);
    }
    if pattern.len() > Glob::MAX_LEN {
        return Err(GlobError::TooLong {
            len: pattern.len(),
            limit: Glob::MAX_LEN,
        });
    }
    let mut rest = pattern.char_indices().peekable();
    let mut tokens = Vec::new();
    while let Some((at, c)) = rest.next() {
        let token = match c {
            // Several stars in a row say no more than one.
            '*' if tokens.last() == Some(&Token::Run) => continue,
            '*' => Token::Run,
            '?' => Token::Any,
            '[' => class(&mut rest, at)?,
            '\\' => Token::Char(escaped(&mut rest, at)?),
            other => Token::Char(other),
        };
        tokens.push(token);
    }
    Ok(tokens.into_boxed_slice())
}

/// Takes the character that the `\` at `at` escapes.
fn escaped(rest: &mut Peekable<CharIndices<'_>>, at: usize) -> Result<char, GlobError> {
    match rest.next() {
        Some((_, c)) => Ok(c),
        None => Err(GlobError::TrailingEscape { at }),
    }
}

/// Takes the rest of the class whose `[` was at `open`.
fn class(rest: &mut Peekable<CharIndices<'_>>, open: usize) -> Result<Token, GlobError> {
    let set = match rest.next_if(|&(_, c)| c == '!') {
        Some(_) => Set::Complement,
        None => Set::Members,
    };
    let mut ranges = Vec::new();
    loop {
        let Some((at, c)) = rest.next() else {
            return Err(GlobError::UnclosedClass { at: open });
        };
        if c == ']' && !ranges.is_empty() {
            return Ok(Token::Class {
                set,
                ranges: ranges.into_boxed_slice(),
            });
        }
        let first = if c == '\\' { escaped(rest, at)? } else { c };
        ranges.push(range(rest, at, first)?);
    }
}

/// Takes the rest of a range that starts with `first`, or makes a range of `first` alone.
fn range(rest: &mut Peekable<CharIndices<'_>>, at: usize, first: char) -> Result<Span, GlobError> {
    let mut ahead = rest.clone();
    let is_range =
        ahead.next().is_some_and(|(_, c)| c == '-') && ahead.next().is_some_and(|(_, c)| c != ']');
    if !is_range {
        return Ok(Span { first, last: first });
    }
    rest.next();
    let last = match rest.next() {
        Some((at, '\\')) => escaped(rest, at)?,
        Some((_, c)) => c,
        None => return Err(GlobError::UnclosedClass { at }),
    };
    if first > last {
        return Err(GlobError::ReversedRange { at, first, last });
    }
    Ok(Span { first, last })
}
