//! Following what the registers hold through the graph.

use alloc::vec;
use alloc::vec::Vec;

use super::effect::{Effect, access};
use super::graph::Graph;
use super::value::{Registers, Value};
use super::{Facts, helper};
use crate::bound_map::BoundMap;
use crate::check::Layout;
use crate::check_error::CheckError;
use crate::helper::{ArgKind, Helper};
use crate::memory::FRAME_BYTES;
use crate::op::{Code, Op, Reg};

/// Checks the use of registers on all paths.
///
/// Each block is followed with what its registers can hold at its start, and again whenever a further path adds to
/// that. The values only ever get less certain and there are three steps of that, so that this ends.
pub(crate) fn check(
    ops: &[Op],
    layout: &Layout,
    graph: &Graph,
    facts: &Facts<'_>,
) -> Result<(), CheckError> {
    let mut flow = Flow {
        starts: vec![None; graph.blocks.len()],
        pending: Vec::new(),
        graph,
    };
    flow.reach(0, &Registers::MAIN);
    let end_of_main = layout
        .functions
        .get(1)
        .map_or(ops.len(), |next| *next as usize);
    while let Some(number) = flow.pending.pop() {
        let Some(mut registers) = flow.starts[number as usize] else {
            continue;
        };
        let block = &graph.blocks[number as usize];
        for insn in block.ops.clone() {
            let at = At {
                insn,
                op: &ops[insn],
                facts,
                in_main: insn < end_of_main,
            };
            at.step(&mut registers, &mut flow)?;
        }
        for successor in block.successors.iter().flatten() {
            flow.join(*successor, &registers);
        }
    }
    Ok(())
}

/// How far the paths have been followed.
struct Flow<'g> {
    /// What the registers hold at the start of each block that was reached.
    starts: Vec<Option<Registers>>,
    /// The blocks to be followed, once more perhaps.
    pending: Vec<u32>,
    graph: &'g Graph,
}

impl Flow<'_> {
    /// Adds a path that enters the function or block at `index`.
    fn reach(&mut self, index: usize, registers: &Registers) {
        self.join(self.graph.block_at(index), registers);
    }

    fn join(&mut self, number: u32, registers: &Registers) {
        let start = &mut self.starts[number as usize];
        let changed = match start {
            Some(start) => start.join(registers),
            None => {
                *start = Some(*registers);
                true
            }
        };
        if changed {
            self.pending.push(number);
        }
    }
}

/// An operation and where it is.
struct At<'a> {
    insn: usize,
    op: &'a Op,
    facts: &'a Facts<'a>,
    in_main: bool,
}

impl At<'_> {
    /// Follows one operation.
    fn step(&self, registers: &mut Registers, flow: &mut Flow<'_>) -> Result<(), CheckError> {
        let op = self.op;
        let effect = Effect::of(op);
        for register in effect.reads.iter() {
            self.read(registers, register)?;
        }
        self.check_frame()?;
        match op.code {
            Code::CallHelper | Code::CallSteer => return self.call_helper(registers),
            Code::CallLocal => {
                flow.reach(op.target(), &registers.called());
                registers.after_call(Value::Anything);
                return Ok(());
            }
            Code::CallReg => {
                registers.after_call(Value::Anything);
                return Ok(());
            }
            // Where it is called from is not known, so that its arguments are not either.
            Code::Function => flow.reach(op.target(), &Registers::BY_ADDRESS),
            // What a function leaves in r0 is its caller's business.
            Code::Exit if self.in_main => self.read(registers, Reg::R0).map(drop)?,
            _ => {}
        }
        let value = self.result(registers);
        for register in effect.writes.iter() {
            registers.set(register, value);
        }
        Ok(())
    }

    fn read(&self, registers: &Registers, register: Reg) -> Result<Value, CheckError> {
        match registers.get(register) {
            Value::Nothing => Err(CheckError::UninitializedRegister {
                insn: self.insn,
                register: register as u8,
            }),
            value => Ok(value),
        }
    }

    /// Returns what the operation writes.
    fn result(&self, registers: &Registers) -> Value {
        let op = self.op;
        let (dst, src) = (registers.get(op.dst), registers.get(op.src));
        match op.code {
            Code::Mov64X => src,
            Code::Mov64K | Code::Mov32K => Value::Number,
            Code::Function => Value::Function,
            Code::Imm64 => BoundMap::by_handle(self.facts.maps, op.imm)
                .map_or(Value::Anything, |index| Value::Map(index as u16)),
            Code::Add64K | Code::Sub64K if dst == Value::Frame => Value::Frame,
            Code::Add64X | Code::Sub64X if (dst, src) == (Value::Frame, Value::Number) => {
                Value::Frame
            }
            code if is_arithmetic(code) && dst == Value::Number && src == Value::Number => {
                Value::Number
            }
            _ => Value::Anything,
        }
    }

    /// Refuses an access relative to `r10` that is not in the frame.
    fn check_frame(&self) -> Result<(), CheckError> {
        let Some((Reg::R10, len)) = access(self.op) else {
            return Ok(());
        };
        let offset = i64::from(self.op.off);
        // What the loader leaves where the target lacks a field. Programs go there under a condition only that does not
        // hold then, and are stopped if they do all the same.
        let missing = &self.facts.missing;
        let is_missing = missing.iter().any(|missing| missing.insn == self.insn);
        if is_missing || offset >= -(FRAME_BYTES as i64) && offset + len as i64 <= 0 {
            return Ok(());
        }
        Err(CheckError::OutsideFrame {
            insn: self.insn,
            offset: self.op.off,
            len,
        })
    }

    fn call_helper(&self, registers: &mut Registers) -> Result<(), CheckError> {
        let Some(helper) = Helper::ALL.get(self.op.imm as usize).copied() else {
            return Ok(());
        };
        let call = helper::Call {
            insn: self.insn,
            helper,
            facts: self.facts,
        };
        call.check_kind()?;
        if helper == Helper::TailCall && !self.in_main {
            return Err(CheckError::TailCallInFunction { insn: self.insn });
        }
        let mut map = None;
        for (number, kind) in (1..).zip(helper.args()) {
            let Some(register) = Reg::new(number) else {
                break;
            };
            if *kind == ArgKind::Optional {
                continue;
            }
            let value = self.read(registers, register)?;
            if let Value::Map(index) = value {
                map = map.or(Some(index));
            }
            call.check_argument(number, *kind, value)?;
        }
        call.check_map(map)?;
        registers.after_call(Value::Anything);
        Ok(())
    }
}

fn is_arithmetic(code: Code) -> bool {
    (Code::Add64K as u8..=Code::Swap64 as u8).contains(&(code as u8))
}
