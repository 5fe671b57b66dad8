//! The A64 decoder and simulator against independent ones.
//!
//! A small program (`oracle/oracle.c`) executes single instructions on a real processor, or under user-mode
//! `qemu-aarch64`. For each [`Class`] of accepted instructions, random encodings are executed there on random
//! registers, and
//!
//! - a simulated one must leave the registers, flags, memory and program counter that the simulator leaves;
//! - one that goes out of line must do the same at two unrelated addresses, and end behind itself.
//!
//! What LLVM's disassembler takes for undefined must not be accepted.
//!
//! The tests read these variables:
//!
//! | variable | meaning |
//! |---|---|
//! | `AXEBPF_A64_ORACLE` | the oracle's executable, which `cargo xtask test` builds |
//! | `AXEBPF_A64_CASES` | how many cases a class, 2,000 by default |
//! | `AXEBPF_A64_SEED` | where the random numbers start, 0 by default |
//! | `AXEBPF_A64_STRIDE` | how far the words are apart that are swept over, 4,099 by default |
#![forbid(unsafe_code)]

mod check;
mod class;
mod classes;
mod disassembler;
mod generate;
mod oracle;
mod random;
mod settings;
mod signing;
mod state;

pub use check::{Report, check};
pub use class::{Aim, Class, Native};
pub use classes::{out_of_line, simulated, vectors};
pub use disassembler::{Disassembler, Verdict};
pub use random::Random;
pub use settings::Settings;
pub use signing::check_signing;
