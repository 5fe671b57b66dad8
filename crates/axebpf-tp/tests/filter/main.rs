//! The filter language: what is refused, and that what is accepted means what it says.

mod language;
mod subject;
mod tree;
