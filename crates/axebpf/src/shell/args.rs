//! The arguments of one command, taken one by one.
//!
//! What a build needs of it depends on which commands it has.
#![cfg_attr(
    not(all(feature = "runtime", feature = "tracepoint-support")),
    allow(dead_code)
)]

use alloc::{format, string::String, vec::Vec};

use super::{
    complaint::{Complaint, shortened},
    parse::Line,
};

/// The words that follow a command.
pub(crate) struct Args<'a> {
    words: Vec<&'a str>,
    filter: Option<&'a str>,
    usage: &'static str,
}

impl<'a> Args<'a> {
    /// Takes the words of `line` after the first `skip`; `usage` is what complaints repeat.
    pub(crate) fn new(line: &'a Line<'_>, skip: usize, usage: &'static str) -> Self {
        let words = line
            .words
            .iter()
            .skip(skip)
            .map(|word| word.text.as_str())
            .collect();
        Self {
            words,
            filter: line.filter,
            usage,
        }
    }

    /// Takes the flag `name`, such as `--hist`, wherever it stands.
    pub(crate) fn flag(&mut self, name: &str) -> bool {
        let at = self.words.iter().position(|word| *word == name);
        at.map(|at| self.words.remove(at)).is_some()
    }

    /// Takes the option `name` and its value, wherever they stand.
    pub(crate) fn option(&mut self, name: &str) -> Result<Option<&'a str>, Complaint> {
        let Some(at) = self.words.iter().position(|word| *word == name) else {
            return Ok(None);
        };
        self.words.remove(at);
        if at == self.words.len() {
            return Err(self.misuse(format!("`{name}` needs a value")));
        }
        Ok(Some(self.words.remove(at)))
    }

    /// Returns the value of the option `name`, which stays there to be taken.
    pub(crate) fn peek_option(&self, name: &str) -> Option<&'a str> {
        let at = self.words.iter().position(|word| *word == name)?;
        self.words.get(at + 1).copied()
    }

    /// Takes the option `name`, whose value is a whole number.
    pub(crate) fn number(&mut self, name: &str) -> Result<Option<u64>, Complaint> {
        let Some(text) = self.option(name)? else {
            return Ok(None);
        };
        match text.parse() {
            Ok(number) => Ok(Some(number)),
            Err(_) => Err(self.misuse(format!(
                "`{name}` needs a whole number, not `{}`",
                shortened(text)
            ))),
        }
    }

    /// Takes the next word if there is one; `--options` that no one took are an error.
    pub(crate) fn maybe(&mut self) -> Result<Option<&'a str>, Complaint> {
        if self.words.is_empty() {
            return Ok(None);
        }
        let word = self.words.remove(0);
        if word.starts_with("--") {
            return Err(self.misuse(format!("there is no option `{}` here", shortened(word))));
        }
        Ok(Some(word))
    }

    /// Takes the next word, which is `what`.
    pub(crate) fn need(&mut self, what: &str) -> Result<&'a str, Complaint> {
        match self.maybe()? {
            Some(word) => Ok(word),
            None => Err(self.misuse(format!("{what} is missing"))),
        }
    }

    /// Takes the filter, which must not be empty where there is an `if`.
    pub(crate) fn filter(&mut self) -> Result<Option<&'a str>, Complaint> {
        match self.filter.take() {
            Some("") => Err(self.misuse("there is no filter after `if`".into())),
            filter => Ok(filter),
        }
    }

    /// Checks that nothing is left.
    pub(crate) fn end(&mut self) -> Result<(), Complaint> {
        if let Some(word) = self.maybe()? {
            return Err(self.misuse(format!("`{}` is one argument too many", shortened(word))));
        }
        match self.filter {
            Some(_) => Err(self.misuse("this command takes no filter".into())),
            None => Ok(()),
        }
    }

    /// Complains of what is wrong and shows the usage.
    pub(crate) fn misuse(&self, wrong: String) -> Complaint {
        Complaint::new(wrong).hint(format!("usage: {}", self.usage))
    }
}
