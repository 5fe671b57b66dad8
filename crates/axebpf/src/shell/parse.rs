//! Command lines cut into words.

use alloc::{format, string::String, vec::Vec};

use super::complaint::Complaint;

/// The longest line that is taken, in bytes.
pub const MAX_LINE: usize = 8192;

/// The most words that a line can have.
pub const MAX_WORDS: usize = 512;

/// One word of a line, its quotes gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Word {
    pub(crate) text: String,
    /// Where it starts in the line, in bytes.
    start: usize,
    /// Where it ends in the line, in bytes.
    end: usize,
}

impl Word {
    /// Tells whether the word was written without quotes and is `text`: only then it can be a
    /// keyword.
    fn is_keyword(&self, text: &str) -> bool {
        self.text == text && self.end - self.start == text.len()
    }
}

/// A line cut into words, and the clause that starts with `if`, as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Line<'a> {
    pub(crate) words: Vec<Word>,
    /// What follows the first unquoted word `if`.
    pub(crate) filter: Option<&'a str>,
}

/// Cuts `line` into words at blanks. Within double quotes a backslash takes the next character as
/// it is; single quotes take everything as it is.
pub(crate) fn parse(line: &str) -> Result<Line<'_>, Complaint> {
    if line.len() > MAX_LINE {
        return Err(Complaint::new(format!(
            "the line has {} bytes, more than the {MAX_LINE} that a line can have",
            line.len()
        )));
    }
    let mut words = Vec::new();
    let mut scan = Scan { line, at: 0 };
    while let Some(word) = scan.word()? {
        if words.len() == MAX_WORDS {
            return Err(Complaint::new(format!(
                "the line has more than {MAX_WORDS} words"
            )));
        }
        words.push(word);
    }
    let filter = words
        .iter()
        .position(|word| word.is_keyword("if"))
        .map(|at| {
            let text = line[words[at].end..].trim();
            words.truncate(at);
            text
        });
    Ok(Line { words, filter })
}

struct Scan<'a> {
    line: &'a str,
    at: usize,
}

impl Scan<'_> {
    fn peek(&self) -> Option<char> {
        self.line[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let char = self.peek()?;
        self.at += char.len_utf8();
        Some(char)
    }

    fn word(&mut self) -> Result<Option<Word>, Complaint> {
        while self.peek().is_some_and(char::is_whitespace) {
            self.next();
        }
        let start = self.at;
        let mut text = String::new();
        while let Some(char) = self.peek() {
            if char.is_whitespace() {
                break;
            }
            let at = self.at;
            self.next();
            match char {
                '"' | '\'' => self.quoted(char, at, &mut text)?,
                _ if char.is_control() => {
                    return Err(Complaint::new(format!(
                        "column {}: the control character {:#04x} has no meaning here",
                        self.column(at),
                        u32::from(char)
                    )));
                }
                _ => text.push(char),
            }
        }
        Ok((self.at > start).then_some(Word {
            text,
            start,
            end: self.at,
        }))
    }

    fn quoted(&mut self, quote: char, opened: usize, text: &mut String) -> Result<(), Complaint> {
        while let Some(char) = self.next() {
            match char {
                _ if char == quote => return Ok(()),
                '\\' if quote == '"' => match self.next() {
                    Some(escaped) => text.push(escaped),
                    None => break,
                },
                _ => text.push(char),
            }
        }
        Err(Complaint::new(format!(
            "the quote {quote} at column {} is never closed",
            self.column(opened)
        )))
    }

    /// The column of byte `at`, counted from 1 in characters.
    fn column(&self, at: usize) -> usize {
        self.line[..at].chars().count() + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        parse(line)
            .unwrap()
            .words
            .into_iter()
            .map(|word| word.text)
            .collect()
    }

    #[test]
    fn words_are_cut_at_blanks_and_quotes_join() {
        assert_eq!(words("  trace\tlist  vmm:* "), ["trace", "list", "vmm:*"]);
        assert_eq!(
            words(r#"a"b c"d 'e "f' "" "g\"h""#),
            ["ab cd", "e \"f", "", "g\"h"]
        );
        assert!(words("   ").is_empty());
    }

    #[test]
    fn the_filter_is_kept_as_written() {
        let line = parse(r#"trace enable vmm:* if name ~ "virtio *" && x == 1  "#).unwrap();
        assert_eq!(line.words.len(), 3);
        assert_eq!(line.filter, Some(r#"name ~ "virtio *" && x == 1"#));
        assert_eq!(parse("x \"if\" y").unwrap().filter, None);
        assert_eq!(parse("x if").unwrap().filter, Some(""));
    }

    #[test]
    fn broken_lines_say_where() {
        assert!(parse("ä \"b").unwrap_err().text().contains("column 3"));
        assert!(parse("a 'b").unwrap_err().text().contains("quote '"));
        assert!(
            parse("a \"b\\")
                .unwrap_err()
                .text()
                .contains("never closed")
        );
        assert!(parse("a\u{1}").unwrap_err().text().contains("0x01"));
        let long = "x".repeat(64 << 10);
        assert!(parse(&long).unwrap_err().text().contains("65536 bytes"));
        let many = "x ".repeat(MAX_WORDS + 1);
        assert!(parse(&many).unwrap_err().text().contains("512 words"));
    }
}
