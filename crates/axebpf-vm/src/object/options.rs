//! How to load an object.

use alloc::sync::Arc;
use core::fmt;

use axebpf_maps::Map;

use super::{MapDefinition, ProgramDefinition};
use crate::engine::EngineKind;

/// Finds an existing map to be used in place of a new one.
pub type ReuseMap<'o> = dyn Fn(&MapDefinition) -> Option<Arc<Map>> + 'o;

/// Chooses the programs to be loaded.
pub type SelectProgram<'o> = dyn Fn(&ProgramDefinition) -> bool + 'o;

/// How to load an object.
#[derive(Clone, Copy, Default)]
pub struct LoadOptions<'o> {
    pub(super) cpus: Option<u32>,
    pub(super) reuse: Option<&'o ReuseMap<'o>>,
    pub(super) select: Option<&'o SelectProgram<'o>>,
    pub(super) engine: EngineKind,
}

impl<'o> LoadOptions<'o> {
    /// Makes options that load for all CPUs of the installed platform, with new maps only.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            cpus: None,
            reuse: None,
            select: None,
            engine: EngineKind::Interp,
        }
    }

    /// Returns the options with the number of CPUs that per-CPU maps are made for.
    #[must_use]
    pub const fn with_cpus(mut self, cpus: u32) -> Self {
        self.cpus = Some(cpus);
        self
    }

    /// Returns the options with a function that is asked for an existing map before one is made, such as for
    /// maps that are [pinned by name](super::Pinning::ByName) or that the user names.
    #[must_use]
    pub const fn with_reuse(mut self, reuse: &'o ReuseMap<'o>) -> Self {
        self.reuse = Some(reuse);
        self
    }

    /// Returns the options with a function that chooses the programs to be loaded. Without one, all are that are not
    /// [optional](ProgramDefinition::is_optional).
    #[must_use]
    pub const fn with_programs(mut self, select: &'o SelectProgram<'o>) -> Self {
        self.select = Some(select);
        self
    }

    pub(super) fn selects(&self, program: &ProgramDefinition) -> bool {
        self.select
            .map_or(!program.is_optional(), |select| select(program))
    }

    /// Returns the options with the engine that runs the programs.
    #[must_use]
    pub const fn with_engine(mut self, engine: EngineKind) -> Self {
        self.engine = engine;
        self
    }
}

impl fmt::Debug for LoadOptions<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoadOptions")
            .field("cpus", &self.cpus)
            .field("reuse", &self.reuse.is_some())
            .field("select", &self.select.is_some())
            .field("engine", &self.engine)
            .finish()
    }
}
