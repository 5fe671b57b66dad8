//! The default engine: decoding and checking at load, the loop at run time.
#![allow(unsafe_code)]

use alloc::boxed::Box;
use alloc::vec::Vec;

use super::{Engine, EngineKind};
use crate::bound_map::BoundMap;
use crate::check::{self, Checks, MAX_FRAMES};
use crate::check_error::CheckError;
use crate::context::Context;
use crate::decode::{self, Bindings};
use crate::fuse::fuse;
use crate::helper::{HelperFault, Helpers};
use crate::insn::Insn;
use crate::interp::{self, Cause, Image, Stop};
use crate::memory::{FrameUse, Lease, Memory, Parts, Violation};
use crate::op::Op;
use crate::program::Run;
use crate::run_error::RunError;
use crate::specialize::{frame_use, specialize};
use crate::verify::{Facts, verify};

#[derive(Debug)]
pub(super) struct Interp {
    ops: Box<[Op]>,
    functions: Box<[u32]>,
    /// What the main function is known to use of its frame.
    used: FrameUse,
}

impl Bindings for &[BoundMap] {
    fn handle(&self, index: usize) -> Option<u64> {
        self.get(index).map(BoundMap::handle)
    }

    fn value(&self, index: usize, offset: u32) -> Option<u64> {
        self.get(index)?.value(offset)
    }
}

impl Interp {
    pub(super) fn prepare(
        insns: &[Insn],
        checks: Checks,
        facts: &Facts<'_>,
    ) -> Result<Self, CheckError> {
        let mut ops: Vec<Op> = decode::decode(insns, &facts.maps)?;
        let layout = check::check(&ops, checks)?;
        if checks == Checks::Full {
            verify(&ops, &layout, facts)?;
        }
        let used = frame_use(&ops);
        specialize(&mut ops);
        fuse(&mut ops);
        Ok(Self {
            used,
            ops: ops.into(),
            functions: layout.functions.into(),
        })
    }

    fn as_image(&self) -> Image<'_> {
        Image {
            ops: &self.ops,
            functions: &self.functions,
            used: self.used,
        }
    }
}

impl Engine for Interp {
    fn name(&self) -> &'static str {
        EngineKind::Interp.name()
    }

    fn image(&self) -> Option<Image<'_>> {
        Some(self.as_image())
    }

    fn run(&self, run: &Run<'_>, mut context: Context<'_>) -> Result<u64, RunError> {
        let mut lease = Lease::take(run.guard)?;
        let Parts {
            stack,
            frames,
            scratch,
        } = lease.parts();
        // SAFETY: the lease gives this run the sole use of the stack, whose provenance it exposed.
        let memory = unsafe { Memory::new(stack, self.used, &mut context, run.maps) };
        let arguments = memory.arguments();
        let mut helpers = Helpers {
            guard: run.guard,
            env: run.env,
            memory,
            scratch,
            left: run.budget.into(),
            errors: 0,
            abandoned: 0,
            tail_calls: 0,
        };
        let result = interp::run(self.as_image(), frames, &mut helpers, arguments);
        helpers.discard_records();
        run.counters.count_helper_errors(helpers.errors);
        run.counters.count_abandoned(helpers.abandoned);
        result.map_err(|stop| stop.into_error(run.budget))
    }
}

impl Stop {
    #[cold]
    fn into_error(self, budget: u32) -> RunError {
        let insn = self.insn;
        match self.cause {
            Cause::Memory(violation) | Cause::Helper(_, HelperFault::Memory(violation)) => {
                violation.into_error(insn)
            }
            Cause::Budget | Cause::Helper(_, HelperFault::Budget) => {
                RunError::Budget { insn, budget }
            }
            Cause::CallDepth => RunError::CallDepth {
                insn,
                limit: MAX_FRAMES,
            },
            Cause::NotAFunction(target) => RunError::NotAFunction { insn, target },
            Cause::FellOff => RunError::FellOff { insn },
            Cause::Helper(helper, HelperFault::NotAMap { arg, value }) => RunError::NotAMap {
                insn,
                helper: helper.name(),
                arg,
                value,
            },
            Cause::Helper(helper, HelperFault::NotARecord { value }) => RunError::NotARecord {
                insn,
                helper: helper.name(),
                value,
            },
        }
    }
}

impl Violation {
    fn into_error(self, insn: usize) -> RunError {
        match self {
            Self::OutOfBounds { access, addr, len } => RunError::OutOfBounds {
                insn,
                access,
                addr,
                len,
            },
            Self::Misaligned { addr, len } => RunError::Misaligned { insn, addr, len },
        }
    }
}
