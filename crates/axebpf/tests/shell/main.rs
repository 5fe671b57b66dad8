//! The shell, as an operator sees it.
#![cfg(all(feature = "runtime", feature = "tracepoint-support"))]

#[path = "../support/mod.rs"]
mod support;

mod errors;
mod help;
mod kinds;
mod links;
mod maps;
mod objects;
mod session;
mod traces;
