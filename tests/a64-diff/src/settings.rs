//! What the environment says.

use std::{env, path::PathBuf, str::FromStr};

use anyhow::{Context, Result};

/// How many cases a class, unless the environment says.
const CASES: usize = 2_000;

/// How far the words are apart that are swept over, unless the environment says: a prime number.
const STRIDE: usize = 4_099;

/// What the environment says.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The oracle's executable.
    pub oracle: PathBuf,
    /// How many cases a class.
    pub cases: usize,
    /// Where the random numbers start.
    pub seed: u64,
    /// How far the words are apart that are swept over.
    pub stride: usize,
}

impl Settings {
    /// Reads the environment.
    ///
    /// # Errors
    ///
    /// When there is no oracle, or a number is none.
    pub fn read() -> Result<Self> {
        let oracle = env::var_os("AXEBPF_A64_ORACLE").context(
            "AXEBPF_A64_ORACLE does not name the oracle; `cargo xtask test` builds it and sets that",
        )?;
        Ok(Self {
            oracle: oracle.into(),
            cases: number("AXEBPF_A64_CASES")?.unwrap_or(CASES),
            seed: number("AXEBPF_A64_SEED")?.unwrap_or(0),
            stride: number("AXEBPF_A64_STRIDE")?.unwrap_or(STRIDE).max(1),
        })
    }
}

/// Reads a number from the environment.
fn number<T: FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    name: &str,
) -> Result<Option<T>> {
    let Ok(text) = env::var(name) else {
        return Ok(None);
    };
    let number = text
        .parse()
        .with_context(|| format!("{name} is {text:?}, which is no number"))?;
    Ok(Some(number))
}
