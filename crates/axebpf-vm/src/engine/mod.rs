//! The engines that run programs.

mod interp;
#[cfg(feature = "rbpf")]
mod rbpf;

use alloc::boxed::Box;
use core::fmt;

use crate::check::Checks;
use crate::check_error::CheckError;
use crate::context::Context;
use crate::insn::Insn;
use crate::interp::Image;
use crate::program::Run;
use crate::run_error::RunError;
use crate::verify::Facts;

/// Names an engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum EngineKind {
    /// The interpreter of this crate: the whole instruction set, every access checked, no allocation.
    #[default]
    Interp,
    /// The interpreter of the crate `rbpf`, for comparison outside of hits: it allocates on every run and has no
    /// budget. Programs that it would not run correctly are refused: those with maps, helpers, memory accesses,
    /// backward jumps, and what it executes otherwise than RFC 9669 says.
    #[cfg(feature = "rbpf")]
    Rbpf,
}

impl EngineKind {
    /// All engines of this build.
    pub const ALL: &'static [Self] = &[
        Self::Interp,
        #[cfg(feature = "rbpf")]
        Self::Rbpf,
    ];

    /// Returns the engine's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Interp => "interp",
            #[cfg(feature = "rbpf")]
            Self::Rbpf => "rbpf",
        }
    }

    /// Returns the engine of that name, if this build has it.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|engine| engine.name() == name)
    }

    /// Checks a program and makes it ready to run.
    pub(crate) fn prepare(
        self,
        insns: &[Insn],
        checks: Checks,
        facts: &Facts<'_>,
    ) -> Result<Box<dyn Engine>, CheckError> {
        match self {
            Self::Interp => Ok(Box::new(interp::Interp::prepare(insns, checks, facts)?)),
            #[cfg(feature = "rbpf")]
            Self::Rbpf => Ok(Box::new(rbpf::Rbpf::prepare(insns, checks, facts)?)),
        }
    }
}

/// A program in the form that one engine runs.
pub(crate) trait Engine: fmt::Debug + Send + Sync {
    /// Returns the engine's name.
    fn name(&self) -> &'static str;

    /// Returns the decoded program, which a tail call can go to, if the engine has one.
    fn image(&self) -> Option<Image<'_>> {
        None
    }

    /// Runs the program once.
    fn run(&self, run: &Run<'_>, context: Context<'_>) -> Result<u64, RunError>;
}
