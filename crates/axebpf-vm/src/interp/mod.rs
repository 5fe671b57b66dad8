//! The interpreter: one loop over decoded operations.
//!
//! What makes it fast:
//!
//! - Everything that can be found out at load is (see [`op`](crate::op)): an operation and its operand form are one
//!   dense number, so that each costs one jump through a table, and register numbers are an enum of eleven values, so
//!   that indexing needs no check.
//! - The operations that are left are an iterator over a slice: getting the next one is one comparison and one
//!   addition.
//! - The budget is settled where the program leaves a straight line (a jump that is taken, a call, the end), for the
//!   whole line at once. Nothing runs more than a line beyond it, and a line is no longer than the program; what is
//!   counted is exact.
//! - An access to memory costs one comparison for the stack and one for the context (see [`memory`](crate::memory)),
//!   and one at a fixed place in the frame none at all: it was checked at load (see [`specialize`](crate::specialize)).
//! - Pairs of operations that often follow each other are one step (see [`fuse`](crate::fuse)).
//! - Starting costs little: only the part of the stack that the program is known to use is made ready, tables that few
//!   programs need are not, and runs are counted without an atomic operation.
//! - Helpers that only state a fact, such as the number of the CPU, are called without what others need; the arguments
//!   of those travel in the machine's registers, since wide loads of what narrow stores left just before make many
//!   processors wait.
//!
//! `operand` is the registers and what operations compute from them, `calls` the functions that wait for others to
//! return. `benches/interp` compares the speed with that of other interpreters.

mod calls;
mod operand;

use core::sync::atomic::Ordering::{Relaxed, SeqCst};

use self::calls::{Calls, function_at};
use self::operand::Regs;
use crate::arith::{div32, div64, mod32, mod64, sdiv32, sdiv64, smod32, smod64};
use crate::check::MAX_FRAMES;
use crate::flow::Flow;
use crate::helper::{Helper, HelperFault, Helpers};
use crate::memory::{Frame, FrameUse, Violation};
use crate::op::{Code, Op, Reg};

/// The program as the loop needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Image<'p> {
    pub(crate) ops: &'p [Op],
    /// The first instruction of each function, ascending.
    pub(crate) functions: &'p [u32],
    /// What the main function is known to use of its frame.
    pub(crate) used: FrameUse,
}

/// Why the loop stopped before the program's end.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Cause {
    Memory(Violation),
    Helper(Helper, HelperFault),
    Budget,
    CallDepth,
    NotAFunction(u64),
    FellOff,
}

/// Where and why the loop stopped before the program's end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    pub(crate) insn: usize,
    pub(crate) cause: Cause,
}

/// Runs the program with `r1` and `r2` and returns `r0`.
#[expect(
    clippy::too_many_lines,
    reason = "one arm for each operation, most of one line"
)]
pub(crate) fn run<'r>(
    mut image: Image<'r>,
    frames: &mut [Frame; MAX_FRAMES],
    env: &mut Helpers<'r>,
    context: [u64; 2],
) -> Result<u64, Stop> {
    let mut regs = Regs::new(context, env.memory.frame_pointer());
    let mut calls = Calls::new(frames);
    let mut rest = image.ops.iter();
    // How many operations were left where the program came to by a jump last, from where on the budget is not settled
    // yet.
    let mut since = rest.len();

    loop {
        // The index of the next operation.
        macro_rules! next {
            () => {
                image.ops.len() - rest.len()
            };
        }
        let Some(op) = rest.next() else {
            return Err(Stop {
                insn: next!(),
                cause: Cause::FellOff,
            });
        };

        macro_rules! stop {
            ($cause:expr) => {
                return Err(Stop {
                    insn: next!() - 1,
                    cause: $cause,
                })
            };
        }
        macro_rules! settle {
            () => {
                match env.left.checked_sub((since - rest.len()) as u64) {
                    Some(left) => env.left = left,
                    None => stop!(Cause::Budget),
                }
            };
        }
        macro_rules! go {
            ($target:expr) => {{
                let target: usize = $target;
                settle!();
                rest = image.ops.get(target..).unwrap_or_default().iter();
                since = rest.len();
            }};
        }
        macro_rules! function {
            ($address:expr) => {
                match function_at(image.functions, $address) {
                    Some(target) => target,
                    None => stop!(Cause::NotAFunction($address)),
                }
            };
        }
        macro_rules! enter {
            ($target:expr, $pending:expr) => {{
                let target = $target;
                let frame = Frame {
                    pc: next!(),
                    saved: regs.saved(),
                    pending: $pending,
                };
                if calls.enter(frame).is_none() {
                    stop!(Cause::CallDepth);
                }
                env.memory.push_frame();
                regs.set(Reg::R10, env.memory.frame_pointer());
                go!(target);
            }};
        }
        macro_rules! helper {
            () => {
                match Helper::ALL.get(op.imm as usize) {
                    Some(helper) => *helper,
                    None => stop!(Cause::FellOff),
                }
            };
        }
        // Jumps: when the destination compares so with the immediate or source register.
        macro_rules! jump {
            ($condition:expr, $op:expr) => {
                if $condition {
                    go!($op.target())
                }
            };
        }
        macro_rules! k {
            ($type:ty, $f:expr) => {
                jump!($f(&(regs.dst(op) as $type), &(op.imm as $type)), op)
            };
        }
        macro_rules! x {
            ($type:ty, $f:expr) => {
                jump!($f(&(regs.dst(op) as $type), &(regs.src(op) as $type)), op)
            };
        }
        macro_rules! memory {
            ($access:expr) => {
                match $access {
                    Ok(value) => value,
                    Err(violation) => stop!(Cause::Memory(violation)),
                }
            };
        }
        macro_rules! load {
            ($word:ty, $as:ty, $op:expr) => {
                regs.set(
                    $op.dst,
                    memory!(env.memory.load::<$word>(regs.from($op))) as $as as u64,
                )
            };
        }
        macro_rules! store {
            ($word:ty, $value:expr, $op:expr) => {
                memory!(env.memory.store(regs.to($op), $value as $word))
            };
        }
        macro_rules! atomic {
            ($word:ty, $cell:ident, |$at:ident, $value:ident| $update:expr) => {{
                let $value = regs.src(op) as $word;
                let $at = memory!(env.memory.$cell(regs.to(op)));
                $update
            }};
        }
        macro_rules! plain {
            ($word:ty, $cell:ident, $update:ident) => {{
                atomic!($word, $cell, |at, value| at.$update(value, Relaxed));
            }};
        }
        macro_rules! fetch {
            ($word:ty, $cell:ident, $update:ident) => {
                regs.set(
                    op.src,
                    atomic!($word, $cell, |at, value| at.$update(value, SeqCst)).into(),
                )
            };
        }
        macro_rules! exchange {
            ($word:ty, $cell:ident) => {{
                let expected = regs.get(Reg::R0) as $word;
                let old = atomic!($word, $cell, |at, value| {
                    at.compare_exchange(expected, value, SeqCst, SeqCst)
                        .unwrap_or_else(|old| old)
                });
                regs.set(Reg::R0, old.into());
            }};
        }
        // The operations that there are pairs of; see `fuse`.
        #[rustfmt::skip]
        macro_rules! part {
            (Add64K, $o:expr) => { regs.k64($o, u64::wrapping_add) };
            (Sub64K, $o:expr) => { regs.k64($o, u64::wrapping_sub) };
            (Lsh64K, $o:expr) => { regs.k64($o, |a, b| a.wrapping_shl(b as u32)) };
            (Rsh64K, $o:expr) => { regs.k64($o, |a, b| a.wrapping_shr(b as u32)) };
            (And64K, $o:expr) => { regs.k64($o, |a, b| a & b) };
            (Add64X, $o:expr) => { regs.x64($o, u64::wrapping_add) };
            (Or64X, $o:expr) => { regs.x64($o, |a, b| a | b) };
            (Xor64X, $o:expr) => { regs.x64($o, |a, b| a ^ b) };
            (Mov64X, $o:expr) => { regs.set_dst($o, regs.src($o)) };
            (Jeq64K, $o:expr) => { jump!(regs.dst($o) == $o.imm, $o) };
            (Jne64K, $o:expr) => { jump!(regs.dst($o) != $o.imm, $o) };
            (Jne64X, $o:expr) => { jump!(regs.dst($o) != regs.src($o), $o) };
            (Load8, $o:expr) => { load!(u8, u8, $o) };
            (Load32, $o:expr) => { load!(u32, u32, $o) };
            (Load64, $o:expr) => { load!(u64, u64, $o) };
            (StoreX64, $o:expr) => { store!(u64, regs.src($o), $o) };
            (LoadFrame64, $o:expr) => { regs.set($o.dst, env.memory.load_frame::<u64>($o.off)) };
            (StoreFrameX64, $o:expr) => { env.memory.store_frame($o.off, regs.src($o)) };
        }
        macro_rules! pair {
            ($first:ident, $second:ident) => {{
                part!($first, op);
                let Some(op) = rest.next() else {
                    stop!(Cause::FellOff)
                };
                part!($second, op);
            }};
        }

        match op.code {
            Code::Add64K => part!(Add64K, op),
            Code::Add64X => part!(Add64X, op),
            Code::Sub64K => part!(Sub64K, op),
            Code::Sub64X => regs.x64(op, u64::wrapping_sub),
            Code::Mul64K => regs.k64(op, u64::wrapping_mul),
            Code::Mul64X => regs.x64(op, u64::wrapping_mul),
            Code::Div64K => regs.k64(op, div64),
            Code::Div64X => regs.x64(op, div64),
            Code::Sdiv64K => regs.k64(op, sdiv64),
            Code::Sdiv64X => regs.x64(op, sdiv64),
            Code::Mod64K => regs.k64(op, mod64),
            Code::Mod64X => regs.x64(op, mod64),
            Code::Smod64K => regs.k64(op, smod64),
            Code::Smod64X => regs.x64(op, smod64),
            Code::Or64K => regs.k64(op, |a, b| a | b),
            Code::Or64X => part!(Or64X, op),
            Code::And64K => part!(And64K, op),
            Code::And64X => regs.x64(op, |a, b| a & b),
            Code::Xor64K => regs.k64(op, |a, b| a ^ b),
            Code::Xor64X => part!(Xor64X, op),
            Code::Lsh64K => part!(Lsh64K, op),
            Code::Lsh64X => regs.x64(op, |a: u64, b| a.wrapping_shl(b as u32)),
            Code::Rsh64K => part!(Rsh64K, op),
            Code::Rsh64X => regs.x64(op, |a: u64, b| a.wrapping_shr(b as u32)),
            Code::Arsh64K => regs.k64(op, |a, b| (a as i64).wrapping_shr(b as u32) as u64),
            Code::Arsh64X => regs.x64(op, |a, b| (a as i64).wrapping_shr(b as u32) as u64),
            Code::Mov64K => regs.set_dst(op, op.imm),
            Code::Mov64X => part!(Mov64X, op),
            Code::Neg64 => regs.set_dst(op, regs.dst(op).wrapping_neg()),
            Code::Movsx8To64 => regs.set_dst(op, regs.src(op) as i8 as u64),
            Code::Movsx16To64 => regs.set_dst(op, regs.src(op) as i16 as u64),
            Code::Movsx32To64 => regs.set_dst(op, regs.src(op) as i32 as u64),

            Code::Add32K => regs.k32(op, u32::wrapping_add),
            Code::Add32X => regs.x32(op, u32::wrapping_add),
            Code::Sub32K => regs.k32(op, u32::wrapping_sub),
            Code::Sub32X => regs.x32(op, u32::wrapping_sub),
            Code::Mul32K => regs.k32(op, u32::wrapping_mul),
            Code::Mul32X => regs.x32(op, u32::wrapping_mul),
            Code::Div32K => regs.k32(op, div32),
            Code::Div32X => regs.x32(op, div32),
            Code::Sdiv32K => regs.k32(op, sdiv32),
            Code::Sdiv32X => regs.x32(op, sdiv32),
            Code::Mod32K => regs.k32(op, mod32),
            Code::Mod32X => regs.x32(op, mod32),
            Code::Smod32K => regs.k32(op, smod32),
            Code::Smod32X => regs.x32(op, smod32),
            Code::Or32K => regs.k32(op, |a, b| a | b),
            Code::Or32X => regs.x32(op, |a, b| a | b),
            Code::And32K => regs.k32(op, |a, b| a & b),
            Code::And32X => regs.x32(op, |a, b| a & b),
            Code::Xor32K => regs.k32(op, |a, b| a ^ b),
            Code::Xor32X => regs.x32(op, |a, b| a ^ b),
            Code::Lsh32K => regs.k32(op, u32::wrapping_shl),
            Code::Lsh32X => regs.x32(op, u32::wrapping_shl),
            Code::Rsh32K => regs.k32(op, u32::wrapping_shr),
            Code::Rsh32X => regs.x32(op, u32::wrapping_shr),
            Code::Arsh32K => regs.k32(op, |a, b| (a as i32).wrapping_shr(b) as u32),
            Code::Arsh32X => regs.x32(op, |a, b| (a as i32).wrapping_shr(b) as u32),
            Code::Mov32K => regs.set_dst(op, op.imm as u32),
            Code::Mov32X => regs.set_dst(op, regs.src(op) as u32),
            Code::Neg32 => regs.set_dst(op, (regs.dst(op) as u32).wrapping_neg()),
            Code::Movsx8To32 => regs.set_dst(op, regs.src(op) as i8 as u32),
            Code::Movsx16To32 => regs.set_dst(op, regs.src(op) as i16 as u32),

            Code::Le16 => regs.set_dst(op, (regs.dst(op) as u16).to_le()),
            Code::Le32 => regs.set_dst(op, (regs.dst(op) as u32).to_le()),
            Code::Le64 => regs.set_dst(op, regs.dst(op).to_le()),
            Code::Be16 => regs.set_dst(op, (regs.dst(op) as u16).to_be()),
            Code::Be32 => regs.set_dst(op, (regs.dst(op) as u32).to_be()),
            Code::Be64 => regs.set_dst(op, regs.dst(op).to_be()),
            Code::Swap16 => regs.set_dst(op, (regs.dst(op) as u16).swap_bytes()),
            Code::Swap32 => regs.set_dst(op, (regs.dst(op) as u32).swap_bytes()),
            Code::Swap64 => regs.set_dst(op, regs.dst(op).swap_bytes()),

            Code::Ja => go!(op.target()),
            Code::Jeq64K => part!(Jeq64K, op),
            Code::Jeq64X => x!(u64, u64::eq),
            Code::Jne64K => part!(Jne64K, op),
            Code::Jne64X => part!(Jne64X, op),
            Code::Jset64K => jump!(regs.dst(op) & op.imm != 0, op),
            Code::Jset64X => jump!(regs.dst(op) & regs.src(op) != 0, op),
            Code::Jgt64K => k!(u64, u64::gt),
            Code::Jgt64X => x!(u64, u64::gt),
            Code::Jge64K => k!(u64, u64::ge),
            Code::Jge64X => x!(u64, u64::ge),
            Code::Jlt64K => k!(u64, u64::lt),
            Code::Jlt64X => x!(u64, u64::lt),
            Code::Jle64K => k!(u64, u64::le),
            Code::Jle64X => x!(u64, u64::le),
            Code::Jsgt64K => k!(i64, i64::gt),
            Code::Jsgt64X => x!(i64, i64::gt),
            Code::Jsge64K => k!(i64, i64::ge),
            Code::Jsge64X => x!(i64, i64::ge),
            Code::Jslt64K => k!(i64, i64::lt),
            Code::Jslt64X => x!(i64, i64::lt),
            Code::Jsle64K => k!(i64, i64::le),
            Code::Jsle64X => x!(i64, i64::le),
            Code::Jeq32K => k!(u32, u32::eq),
            Code::Jeq32X => x!(u32, u32::eq),
            Code::Jne32K => k!(u32, u32::ne),
            Code::Jne32X => x!(u32, u32::ne),
            Code::Jset32K => jump!(regs.dst(op) as u32 & op.imm as u32 != 0, op),
            Code::Jset32X => jump!(regs.dst(op) as u32 & regs.src(op) as u32 != 0, op),
            Code::Jgt32K => k!(u32, u32::gt),
            Code::Jgt32X => x!(u32, u32::gt),
            Code::Jge32K => k!(u32, u32::ge),
            Code::Jge32X => x!(u32, u32::ge),
            Code::Jlt32K => k!(u32, u32::lt),
            Code::Jlt32X => x!(u32, u32::lt),
            Code::Jle32K => k!(u32, u32::le),
            Code::Jle32X => x!(u32, u32::le),
            Code::Jsgt32K => k!(i32, i32::gt),
            Code::Jsgt32X => x!(i32, i32::gt),
            Code::Jsge32K => k!(i32, i32::ge),
            Code::Jsge32X => x!(i32, i32::ge),
            Code::Jslt32K => k!(i32, i32::lt),
            Code::Jslt32X => x!(i32, i32::lt),
            Code::Jsle32K => k!(i32, i32::le),
            Code::Jsle32X => x!(i32, i32::le),

            Code::CallFact => regs.set(Reg::R0, env.fact(helper!())),
            Code::CallHelper => {
                // Helpers charge for their work, so that they need to know what is left.
                settle!();
                since = rest.len();
                let helper = helper!();
                let [a, b, c, d, e] = regs.arguments();
                match call(env, helper, a, b, c, d, e) {
                    Ok(result) => regs.set(Reg::R0, result),
                    Err(fault) => stop!(Cause::Helper(helper, fault)),
                }
            }
            Code::CallSteer => {
                settle!();
                since = rest.len();
                let helper = helper!();
                match env.steer(helper, regs.arguments()) {
                    Ok(Flow::Return(result)) => regs.set(Reg::R0, result),
                    Ok(Flow::Call { pending, args }) => {
                        enter!(function!(pending.function), Some(pending));
                        regs.set_arguments(args);
                    }
                    Ok(Flow::Tail(next)) => {
                        image = next;
                        env.memory.ready_frame(image.used);
                        regs.set(Reg::R1, context[0]);
                        regs.set(Reg::R2, context[1]);
                        rest = image.ops.iter();
                        since = rest.len();
                    }
                    Err(fault) => stop!(Cause::Helper(helper, fault)),
                }
            }
            Code::CallLocal => enter!(op.target(), None),
            Code::CallReg => enter!(function!(regs.dst(op)), None),
            Code::Exit => {
                settle!();
                let Some(frame) = calls.caller() else {
                    return Ok(regs.get(Reg::R0));
                };
                since = rest.len();
                let Frame { pc, saved, pending } = *frame;
                if let Some(pending) = pending {
                    match env.resume(pending, regs.get(Reg::R0)) {
                        Ok(Flow::Call { pending, args }) => {
                            frame.pending = Some(pending);
                            regs.set_arguments(args);
                            go!(function!(pending.function));
                            continue;
                        }
                        Ok(Flow::Return(result)) => regs.set(Reg::R0, result),
                        // Nothing goes on in another program from here.
                        Ok(Flow::Tail(_)) => stop!(Cause::FellOff),
                        Err(fault) => stop!(Cause::Helper(pending.helper, fault)),
                    }
                }
                calls.leave();
                regs.restore(saved);
                env.memory.pop_frame();
                regs.set(Reg::R10, env.memory.frame_pointer());
                go!(pc);
            }

            Code::Load8 => part!(Load8, op),
            Code::Load16 => load!(u16, u16, op),
            Code::Load32 => part!(Load32, op),
            Code::Load64 => part!(Load64, op),
            Code::LoadSx8 => load!(u8, i8, op),
            Code::LoadSx16 => load!(u16, i16, op),
            Code::LoadSx32 => load!(u32, i32, op),
            Code::StoreK8 => store!(u8, op.imm, op),
            Code::StoreK16 => store!(u16, op.imm, op),
            Code::StoreK32 => store!(u32, op.imm, op),
            Code::StoreK64 => store!(u64, op.imm, op),
            Code::StoreX8 => store!(u8, regs.src(op), op),
            Code::StoreX16 => store!(u16, regs.src(op), op),
            Code::StoreX32 => store!(u32, regs.src(op), op),
            Code::StoreX64 => part!(StoreX64, op),
            Code::Imm64 | Code::Function => {
                regs.set_dst(op, op.imm);
                rest.next();
            }

            Code::LoadFrame8 => regs.set_dst(op, env.memory.load_frame::<u8>(op.off)),
            Code::LoadFrame16 => regs.set_dst(op, env.memory.load_frame::<u16>(op.off)),
            Code::LoadFrame32 => regs.set_dst(op, env.memory.load_frame::<u32>(op.off)),
            Code::LoadFrame64 => part!(LoadFrame64, op),
            Code::StoreFrameK8 => env.memory.store_frame(op.off, op.imm as u8),
            Code::StoreFrameK16 => env.memory.store_frame(op.off, op.imm as u16),
            Code::StoreFrameK32 => env.memory.store_frame(op.off, op.imm as u32),
            Code::StoreFrameK64 => env.memory.store_frame(op.off, op.imm),
            Code::StoreFrameX8 => env.memory.store_frame(op.off, regs.src(op) as u8),
            Code::StoreFrameX16 => env.memory.store_frame(op.off, regs.src(op) as u16),
            Code::StoreFrameX32 => env.memory.store_frame(op.off, regs.src(op) as u32),
            Code::StoreFrameX64 => part!(StoreFrameX64, op),

            Code::Add32 => plain!(u32, atomic32, fetch_add),
            Code::Or32 => plain!(u32, atomic32, fetch_or),
            Code::And32 => plain!(u32, atomic32, fetch_and),
            Code::Xor32 => plain!(u32, atomic32, fetch_xor),
            Code::FetchAdd32 => fetch!(u32, atomic32, fetch_add),
            Code::FetchOr32 => fetch!(u32, atomic32, fetch_or),
            Code::FetchAnd32 => fetch!(u32, atomic32, fetch_and),
            Code::FetchXor32 => fetch!(u32, atomic32, fetch_xor),
            Code::Xchg32 => fetch!(u32, atomic32, swap),
            Code::CmpXchg32 => exchange!(u32, atomic32),
            Code::Add64 => plain!(u64, atomic64, fetch_add),
            Code::Or64 => plain!(u64, atomic64, fetch_or),
            Code::And64 => plain!(u64, atomic64, fetch_and),
            Code::Xor64 => plain!(u64, atomic64, fetch_xor),
            Code::FetchAdd64 => fetch!(u64, atomic64, fetch_add),
            Code::FetchOr64 => fetch!(u64, atomic64, fetch_or),
            Code::FetchAnd64 => fetch!(u64, atomic64, fetch_and),
            Code::FetchXor64 => fetch!(u64, atomic64, fetch_xor),
            Code::Xchg64 => fetch!(u64, atomic64, swap),
            Code::CmpXchg64 => exchange!(u64, atomic64),

            Code::Mov64XAdd64K => pair!(Mov64X, Add64K),
            Code::Mov64XLsh64K => pair!(Mov64X, Lsh64K),
            Code::Mov64XAnd64K => pair!(Mov64X, And64K),
            Code::Mov64XMov64X => pair!(Mov64X, Mov64X),
            Code::Load64Load64 => pair!(Load64, Load64),
            Code::Load64Add64X => pair!(Load64, Add64X),
            Code::Load32Load32 => pair!(Load32, Load32),
            Code::Load8Add64X => pair!(Load8, Add64X),
            Code::StoreX64StoreX64 => pair!(StoreX64, StoreX64),
            Code::Add64XLoad64 => pair!(Add64X, Load64),
            Code::Add64XStoreX64 => pair!(Add64X, StoreX64),
            Code::Add64KJne64X => pair!(Add64K, Jne64X),
            Code::Add64KStoreX64 => pair!(Add64K, StoreX64),
            Code::Sub64KJne64K => pair!(Sub64K, Jne64K),
            Code::And64KJeq64K => pair!(And64K, Jeq64K),
            Code::Xor64XAnd64K => pair!(Xor64X, And64K),
            Code::Or64XStoreX64 => pair!(Or64X, StoreX64),
            Code::Rsh64KAdd64X => pair!(Rsh64K, Add64X),
            Code::LoadFrame64LoadFrame64 => pair!(LoadFrame64, LoadFrame64),
            Code::LoadFrame64Add64X => pair!(LoadFrame64, Add64X),
            Code::StoreFrameX64StoreFrameX64 => pair!(StoreFrameX64, StoreFrameX64),
            Code::Add64XStoreFrameX64 => pair!(Add64X, StoreFrameX64),
            Code::Or64XStoreFrameX64 => pair!(Or64X, StoreFrameX64),
            Code::Add64KStoreFrameX64 => pair!(Add64K, StoreFrameX64),

            Code::Hole => stop!(Cause::FellOff),
        }
    }
}

/// Calls a helper with arguments in the machine's registers, see above.
#[inline(never)]
fn call(
    env: &mut Helpers<'_>,
    helper: Helper,
    a: u64,
    b: u64,
    c: u64,
    d: u64,
    e: u64,
) -> Result<u64, HelperFault> {
    env.call(helper, [a, b, c, d, e])
}
