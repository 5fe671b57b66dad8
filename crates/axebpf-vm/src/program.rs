//! A program: checked, decoded, and ready to run.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};

use axebpf_hit::HitGuard;
use axebpf_maps::Map;

use crate::bound_map::{BoundMap, next_generation};
use crate::check::Checks;
use crate::check_error::CheckError;
use crate::context::Context;
use crate::counters::{Counters, ProgramStats};
use crate::decode::split;
use crate::engine::{Engine, EngineKind};
use crate::env::RunEnv;
use crate::insn::Insn;
use crate::interp::Image;
use crate::run_error::RunError;
use crate::source::{SourceLine, SourceLines};
use crate::target::{AttachTarget, ProgramKind, SectionName};
use crate::verify::Facts;

/// The budget of a program that nobody gave another one, in instructions.
pub const DEFAULT_BUDGET: u32 = 65_536;

/// One checked program.
///
/// A program is shared between links by [`Arc`]; it keeps its maps alive. Running it allocates nothing.
#[derive(Debug)]
pub struct Program {
    name: String,
    section: String,
    insns: Box<[Insn]>,
    lines: SourceLines,
    missing: Box<[Missing]>,
    maps: Box<[BoundMap]>,
    engine: Box<dyn Engine>,
    budget: AtomicU32,
    counters: Counters,
}

/// An instruction that accesses what the target's types do not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub(crate) insn: usize,
    pub(crate) what: Box<str>,
}

/// What a program is made of.
pub(crate) struct Parts {
    pub(crate) name: String,
    pub(crate) section: String,
    pub(crate) insns: Vec<Insn>,
    pub(crate) lines: SourceLines,
    pub(crate) missing: Vec<Missing>,
    pub(crate) maps: Vec<BoundMap>,
}

impl Program {
    /// Makes a program of bare little-endian instructions, for the default engine, with the checks of
    /// [`Checks::Structure`].
    ///
    /// The instructions name `maps` by index: 64-bit immediate loads of the kinds 5 (map) and 6 (address in the first
    /// value) of RFC 9669, section 5.4.
    ///
    /// # Errors
    ///
    /// [`CheckError`] names the first instruction that cannot be allowed.
    pub fn from_insns(bytes: &[u8], maps: &[Arc<Map>]) -> Result<Self, CheckError> {
        Self::for_engine(EngineKind::default(), bytes, maps)
    }

    /// Makes a program of bare little-endian instructions for `engine`; see [`from_insns`](Self::from_insns).
    ///
    /// # Errors
    ///
    /// [`CheckError`], of which [`EngineLimit`](CheckError::EngineLimit) names an instruction that `engine` cannot run
    /// correctly.
    pub fn for_engine(
        engine: EngineKind,
        bytes: &[u8],
        maps: &[Arc<Map>],
    ) -> Result<Self, CheckError> {
        Self::with_checks(Checks::Structure, engine, bytes, maps)
    }

    /// Makes a program of bare little-endian instructions for `engine` with other checks; see
    /// [`for_engine`](Self::for_engine).
    ///
    /// # Errors
    ///
    /// As [`for_engine`](Self::for_engine), of those errors that `checks` can find.
    pub fn with_checks(
        checks: Checks,
        engine: EngineKind,
        bytes: &[u8],
        maps: &[Arc<Map>],
    ) -> Result<Self, CheckError> {
        let maps = (0u16..).zip(maps);
        let maps = maps.map(|(index, map)| BoundMap::new(map.clone(), index, next_generation()));
        let insns = split(bytes)?;
        let parts = Parts {
            name: String::from("raw"),
            section: String::new(),
            insns,
            lines: SourceLines::default(),
            missing: Vec::new(),
            maps: maps.collect(),
        };
        Self::new(engine, checks, parts)
    }

    pub(crate) fn new(
        engine: EngineKind,
        checks: Checks,
        parts: Parts,
    ) -> Result<Self, CheckError> {
        let Parts {
            name,
            section,
            insns,
            lines,
            missing,
            maps,
        } = parts;
        let facts = Facts {
            kind: kind_of(&section),
            maps: &maps,
            missing: &missing,
        };
        let engine = engine.prepare(&insns, checks, &facts)?;
        Ok(Self {
            name,
            section,
            insns: insns.into(),
            lines,
            missing: missing.into(),
            maps: maps.into(),
            engine,
            budget: AtomicU32::new(DEFAULT_BUDGET),
            counters: Counters::default(),
        })
    }

    /// Returns the name: that of the function in the object.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the name of the section that the program came from; empty for bare instructions.
    #[must_use]
    pub fn section(&self) -> &str {
        &self.section
    }

    /// Returns what kind of probe the program is for.
    #[must_use]
    pub fn kind(&self) -> ProgramKind {
        kind_of(&self.section)
    }

    /// Returns where the program attaches, if its section name says so.
    #[must_use]
    pub fn target(&self) -> Option<AttachTarget<'_>> {
        SectionName::parse(&self.section).ok()??.target
    }

    /// Returns the number of instruction slots, called functions included.
    #[must_use]
    pub fn insn_count(&self) -> usize {
        self.insns.len()
    }

    /// Returns the instructions, called functions appended and references to maps resolved to indices.
    #[must_use]
    pub fn insns(&self) -> &[Insn] {
        &self.insns
    }

    /// Returns the line of the source that an instruction comes from, if the object says so.
    ///
    /// `insn` is an index as in [`CheckError`] and [`RunError`]; see [`RunError::insn`].
    #[must_use]
    pub fn source_line(&self, insn: usize) -> Option<&SourceLine> {
        self.lines.at(insn)
    }

    /// Returns what an instruction accesses that the target's types do not have, such as `vcpu.places[2].y` (CO-RE).
    ///
    /// `insn` is an index as in [`RunError::MissingInTarget`].
    #[must_use]
    pub fn missing_in_target(&self, insn: usize) -> Option<&str> {
        let missing = self.missing.iter().find(|missing| missing.insn == insn)?;
        Some(&missing.what)
    }

    /// Says what an error is about, where the engine cannot know.
    #[cold]
    fn explain(&self, error: RunError) -> RunError {
        match error {
            // This is how the instructions that stand for such accesses stop.
            RunError::OutOfBounds { insn, .. } if self.missing_in_target(insn).is_some() => {
                RunError::MissingInTarget { insn }
            }
            other => other,
        }
    }

    /// Visits the maps that the program refers to.
    pub fn maps(&self) -> impl ExactSizeIterator<Item = &Arc<Map>> {
        self.maps.iter().map(BoundMap::map)
    }

    pub(crate) fn bound_maps(&self) -> &[BoundMap] {
        &self.maps
    }

    /// Returns what a tail call goes to, if the engine has that.
    pub(crate) fn image(&self) -> Option<Image<'_>> {
        self.engine.image()
    }

    /// Returns the name of the engine that runs the program.
    #[must_use]
    pub fn engine(&self) -> &'static str {
        self.engine.name()
    }

    /// Returns the number of instructions that a run may execute; both slots of a 64-bit immediate count.
    #[must_use]
    pub fn budget(&self) -> u32 {
        self.budget.load(Ordering::Relaxed)
    }

    /// Sets the number of instructions that a run may execute, for runs that start from now on.
    pub fn set_budget(&self, instructions: u32) {
        self.budget.store(instructions, Ordering::Relaxed);
    }

    /// Returns what happened to the runs so far.
    #[must_use]
    pub fn stats(&self) -> ProgramStats {
        self.counters.read()
    }

    /// Runs the program and returns what it leaves in `r0`.
    ///
    /// `r1` points to the context and `r2` is its length in bytes. Allocates nothing, logs nothing, and ends within
    /// [`budget`](Self::budget).
    ///
    /// # Errors
    ///
    /// [`RunError`] says where and why the program was stopped; it is counted in [`stats`](Self::stats). What the
    /// program had written to its maps before stays written.
    pub fn run(
        &self,
        guard: &HitGuard,
        context: Context<'_>,
        env: &RunEnv<'_>,
    ) -> Result<u64, RunError> {
        self.counters.count_run(guard);
        let run = Run {
            guard,
            env,
            maps: &self.maps,
            budget: self.budget(),
            counters: &self.counters,
        };
        self.engine
            .run(&run, context)
            .map_err(|error| self.explain(error))
            .inspect_err(|error| self.counters.count_abort(error))
    }
}

/// Returns what kind of probe the programs of a section are for.
fn kind_of(section: &str) -> ProgramKind {
    match SectionName::parse(section) {
        Ok(Some(name)) => name.kind,
        _ => ProgramKind::Raw,
    }
}

/// What an engine gets for one run, besides the context.
pub(crate) struct Run<'r> {
    pub(crate) guard: &'r HitGuard,
    pub(crate) env: &'r RunEnv<'r>,
    pub(crate) maps: &'r [BoundMap],
    pub(crate) budget: u32,
    pub(crate) counters: &'r Counters,
}
