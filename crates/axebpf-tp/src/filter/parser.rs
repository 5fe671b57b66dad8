//! From the tokens of a filter to its syntax tree, with names and types checked.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use axebpf_symbols::Glob;

use crate::field::{Field, FieldType};
use crate::filter::Filter;
use crate::filter::error::FilterError;
use crate::filter::lexer::{Lexer, Token, TokenKind};

/// A filter as it was written. Nests at most [`Filter::MAX_DEPTH`] deep, so recursion over it is
/// bounded.
#[derive(Debug)]
pub(super) enum Expr {
    /// All of them hold.
    All(Vec<Expr>),
    /// One of them holds.
    Any(Vec<Expr>),
    /// It does not hold.
    Not(Box<Expr>),
    /// A test of one field.
    Test(Test),
}

/// A test of one field.
#[derive(Clone, Debug)]
pub(super) struct Test {
    pub(super) field: &'static Field,
    pub(super) condition: Condition,
}

/// What a test asks.
#[derive(Clone, Debug)]
pub(super) enum Condition {
    /// Whether the number compares so with another.
    Compares(Comparison, i128),
    /// Whether the bits under the mask are these.
    MaskedIs { mask: u64, bits: u64 },
    /// Whether the bits under the mask are others.
    MaskedIsNot { mask: u64, bits: u64 },
    /// Whether the string is this one.
    Is(Box<[u8]>),
    /// Whether the string is another one.
    IsNot(Box<[u8]>),
    /// Whether the string matches.
    Matches(Glob),
}

/// How two numbers compare.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// Returns the comparison that an operator stands for.
    pub(super) fn of(operator: &str) -> Option<Self> {
        Some(match operator {
            "==" => Self::Equal,
            "!=" => Self::NotEqual,
            "<" => Self::Less,
            "<=" => Self::LessOrEqual,
            ">" => Self::Greater,
            ">=" => Self::GreaterOrEqual,
            _ => return None,
        })
    }
}

/// Parses all of `text`.
pub(super) fn parse(text: &str, fields: &'static [Field]) -> Result<Expr, FilterError> {
    let mut lexer = Lexer::new(text);
    let token = lexer.next()?;
    let mut parser = Parser {
        lexer,
        token,
        fields,
        depth: 0,
    };
    let expr = parser.disjunction()?;
    match parser.token.kind {
        TokenKind::End => Ok(expr),
        _ => Err(parser.expected("`&&`, `||` or the end")),
    }
}

struct Parser<'t> {
    lexer: Lexer<'t>,
    /// The token that comes next.
    token: Token<'t>,
    fields: &'static [Field],
    depth: usize,
}

impl<'t> Parser<'t> {
    /// Takes a token.
    fn bump(&mut self) -> Result<Token<'t>, FilterError> {
        let next = self.lexer.next()?;
        Ok(core::mem::replace(&mut self.token, next))
    }

    /// Takes the symbol if it comes next.
    fn accept(&mut self, symbol: &'static str) -> Result<Option<Token<'t>>, FilterError> {
        if self.token.kind == TokenKind::Symbol(symbol) {
            self.bump().map(Some)
        } else {
            Ok(None)
        }
    }

    fn expected(&self, expected: &'static str) -> FilterError {
        let Token { at, kind } = self.token;
        FilterError::Expected {
            at,
            expected,
            found: kind.describe(),
        }
    }

    fn disjunction(&mut self) -> Result<Expr, FilterError> {
        let mut parts = vec![self.conjunction()?];
        while self.accept("||")?.is_some() {
            parts.push(self.conjunction()?);
        }
        Ok(Expr::Any(parts))
    }

    fn conjunction(&mut self) -> Result<Expr, FilterError> {
        let mut parts = vec![self.term()?];
        while self.accept("&&")?.is_some() {
            parts.push(self.term()?);
        }
        Ok(Expr::All(parts))
    }

    fn term(&mut self) -> Result<Expr, FilterError> {
        if let Some(token) = self.accept("!")? {
            self.deeper(token.at)?;
            let inner = self.term()?;
            self.depth -= 1;
            return Ok(Expr::Not(Box::new(inner)));
        }
        if let Some(token) = self.accept("(")? {
            self.deeper(token.at)?;
            let inner = self.disjunction()?;
            if self.accept(")")?.is_none() {
                return Err(self.expected("`&&`, `||` or `)`"));
            }
            self.depth -= 1;
            return Ok(inner);
        }
        self.test().map(Expr::Test)
    }

    fn deeper(&mut self, at: usize) -> Result<(), FilterError> {
        if self.depth == Filter::MAX_DEPTH {
            return Err(FilterError::TooDeep {
                at,
                limit: Filter::MAX_DEPTH,
            });
        }
        self.depth += 1;
        Ok(())
    }

    fn test(&mut self) -> Result<Test, FilterError> {
        let field = self.field()?;
        let TokenKind::Symbol(operator) = self.token.kind else {
            return Err(self.expected("an operator, one of == != < <= > >= & ~"));
        };
        let at = self.bump()?.at;
        let condition = match (operator, field.ty()) {
            ("~", FieldType::Chars { .. }) => Condition::Matches(self.glob(field)?),
            ("==", FieldType::Chars { .. }) => Condition::Is(self.text(field)?),
            ("!=", FieldType::Chars { .. }) => Condition::IsNot(self.text(field)?),
            ("&", FieldType::Unsigned { .. } | FieldType::Signed { .. }) => self.mask(field)?,
            (_, ty) => match Comparison::of(operator) {
                Some(comparison) if !matches!(ty, FieldType::Chars { .. }) => {
                    Condition::Compares(comparison, self.number(field)?)
                }
                _ => return Err(wrong_operator(at, operator, field)),
            },
        };
        Ok(Test { field, condition })
    }

    fn field(&mut self) -> Result<&'static Field, FilterError> {
        let TokenKind::Word(name) = self.token.kind else {
            return Err(self.expected("a field, `!` or `(`"));
        };
        let at = self.bump()?.at;
        let field = self.fields.iter().find(|field| field.name() == name);
        field.ok_or_else(|| FilterError::UnknownField {
            at,
            name: String::from(name),
            fields: self.fields.iter().map(Field::name).collect(),
        })
    }

    /// Takes what follows `&`: a mask, and what the masked bits are compared with.
    fn mask(&mut self, field: &'static Field) -> Result<Condition, FilterError> {
        let mask = self.number(field)? as u64;
        if self.accept("==")?.is_some() {
            Ok(Condition::MaskedIs {
                mask,
                bits: self.number(field)? as u64,
            })
        } else if self.accept("!=")?.is_some() {
            Ok(Condition::MaskedIsNot {
                mask,
                bits: self.number(field)? as u64,
            })
        } else {
            Ok(Condition::MaskedIsNot { mask, bits: 0 })
        }
    }

    fn number(&mut self, field: &'static Field) -> Result<i128, FilterError> {
        let number = match (self.token.kind, field.ty()) {
            (TokenKind::Number(number), _) => number,
            (TokenKind::Word("true"), FieldType::Bool) => 1,
            (TokenKind::Word("false"), FieldType::Bool) => 0,
            (_, FieldType::Bool) => return Err(self.wrong_value(field, "true or false")),
            _ => return Err(self.wrong_value(field, "a number")),
        };
        self.bump()?;
        Ok(number)
    }

    fn text(&mut self, field: &'static Field) -> Result<Box<[u8]>, FilterError> {
        let TokenKind::Text(text) = self.token.kind else {
            return Err(self.wrong_value(field, "a string in quotes"));
        };
        self.bump()?;
        Ok(unescape(text).into_bytes().into_boxed_slice())
    }

    fn glob(&mut self, field: &'static Field) -> Result<Glob, FilterError> {
        let TokenKind::Text(text) = self.token.kind else {
            return Err(self.wrong_value(field, "a pattern in quotes"));
        };
        let at = self.bump()?.at;
        // The escapes are the pattern's own: there, too, `\` takes the next character as it is.
        Glob::new(text).map_err(|cause| FilterError::BadGlob { at, cause })
    }

    fn wrong_value(&self, field: &'static Field, expected: &'static str) -> FilterError {
        let Token { at, kind } = self.token;
        let found = kind.describe();
        FilterError::WrongValue {
            at,
            field: field.name(),
            ty: field.ty(),
            expected,
            found,
        }
    }
}

fn wrong_operator(at: usize, operator: &'static str, field: &'static Field) -> FilterError {
    let allowed = match field.ty() {
        FieldType::Chars { .. } => "==, != or ~",
        FieldType::Bool => "== or !=",
        _ => "==, !=, <, <=, >, >= or &",
    };
    FilterError::WrongOperator {
        at,
        operator,
        field: field.name(),
        ty: field.ty(),
        allowed,
    }
}

/// Replaces `\` and the next character by that character.
fn unescape(text: &str) -> String {
    let mut chars = text.chars();
    core::iter::from_fn(|| match chars.next()? {
        '\\' => chars.next(),
        c => Some(c),
    })
    .collect()
}
