//! The interpreter: one loop over decoded operations.
//!
//! What makes it fast: everything that can be found out at load is (see [`op`](crate::op)); an operation and its operand
//! form are one dense number, so that each costs one jump through a table; register numbers are an enum of eleven values, so
//! that indexing needs no check; the budget is settled at jumps only, from the distance covered since the
//! last one; pairs of operations that often follow each other are one step (see [`fuse`](crate::fuse)); an access to memory costs a few comparisons, one of them for the stack (see [`memory`](crate::memory)).
//!
//! Starting costs little, too: only the part of the stack that the program is known to use is made ready, runs are counted
//! without an atomic operation, and the arguments of the program and of helpers travel in the machine's registers, since wide
//! loads of what narrow stores left just before make many processors wait. `benches/interp` compares all that with other
//! interpreters.

use crate::arith::{div32, div64, mod32, mod64, sdiv32, sdiv64, smod32, smod64};
use crate::check::MAX_FRAMES;
use crate::decode::CODE_TAG;
use crate::flow::Flow;
use crate::helper::{Helper, HelperFault, Helpers};
use crate::memory::{Frame, Violation};
use crate::op::{Code, Op, Reg};

/// The program as the loop needs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Image<'p> {
    pub(crate) ops: &'p [Op],
    /// The first instruction of each function, ascending.
    pub(crate) functions: &'p [u32],
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
    [context, len]: [u64; 2],
) -> Result<u64, Stop> {
    let mut regs = [0u64; 11];
    regs[Reg::R1 as usize] = context;
    regs[Reg::R2 as usize] = len;
    regs[Reg::R10 as usize] = env.memory.frame_pointer();
    let mut ops = image.ops;
    let mut pc = 0usize;
    // Where the program came to by a jump last, from where on the budget is not settled yet.
    let mut since = 0usize;
    let mut depth = 0usize;

    loop {
        let Some(op) = ops.get(pc) else {
            return Err(Stop {
                insn: pc,
                cause: Cause::FellOff,
            });
        };
        pc += 1;

        macro_rules! stop {
            ($cause:expr) => {
                return Err(Stop {
                    insn: pc - 1,
                    cause: $cause,
                })
            };
        }
        macro_rules! settle {
            () => {
                match env.left.checked_sub((pc - since) as u64) {
                    Some(left) => env.left = left,
                    None => stop!(Cause::Budget),
                }
            };
        }
        macro_rules! go {
            ($target:expr) => {{
                let target = $target;
                settle!();
                pc = target;
                since = target;
            }};
        }
        macro_rules! dst {
            () => {
                regs[op.dst as usize]
            };
        }
        macro_rules! src {
            () => {
                regs[op.src as usize]
            };
        }
        // Arithmetic: of a 64-bit or 32-bit destination and the immediate or source register.
        macro_rules! k64 {
            ($f:expr) => {
                dst!() = $f(dst!(), op.imm)
            };
        }
        macro_rules! x64 {
            ($f:expr) => {
                dst!() = $f(dst!(), src!())
            };
        }
        macro_rules! k32 {
            ($f:expr) => {
                dst!() = u64::from($f(dst!() as u32, op.imm as u32))
            };
        }
        macro_rules! x32 {
            ($f:expr) => {
                dst!() = u64::from($f(dst!() as u32, src!() as u32))
            };
        }
        // Jumps: when the destination compares so with the immediate or source register.
        macro_rules! jump {
            ($condition:expr) => {
                if $condition {
                    go!(op.target())
                }
            };
        }
        macro_rules! k {
            ($type:ty, $f:expr) => {
                jump!($f(&(dst!() as $type), &(op.imm as $type)))
            };
        }
        macro_rules! x {
            ($type:ty, $f:expr) => {
                jump!($f(&(dst!() as $type), &(src!() as $type)))
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
            ($word:ty, $as:ty) => {{
                let addr = src!().wrapping_add(i64::from(op.off) as u64);
                dst!() = memory!(env.memory.load::<$word>(addr)) as $as as u64;
            }};
        }
        macro_rules! store {
            ($word:ty, $value:expr) => {{
                let addr = dst!().wrapping_add(i64::from(op.off) as u64);
                memory!(env.memory.store(addr, $value as $word));
            }};
        }
        macro_rules! atomic {
            ($word:ty, $cell:ident, |$at:ident, $value:ident| $update:expr) => {{
                let addr = dst!().wrapping_add(i64::from(op.off) as u64);
                let $value = src!() as $word;
                let $at = memory!(env.memory.$cell(addr));
                $update
            }};
        }
        macro_rules! fetch {
            ($word:ty, $cell:ident, $update:ident) => {
                src!() = u64::from(atomic!($word, $cell, |at, value| at.$update(value, SeqCst)))
            };
        }

        // Two operations in one step; see `fuse`.
        macro_rules! part {
            (Add64K, $o:expr) => {
                regs[$o.dst as usize] = regs[$o.dst as usize].wrapping_add($o.imm)
            };
            (Sub64K, $o:expr) => {
                regs[$o.dst as usize] = regs[$o.dst as usize].wrapping_sub($o.imm)
            };
            (Lsh64K, $o:expr) => {
                regs[$o.dst as usize] = regs[$o.dst as usize].wrapping_shl($o.imm as u32)
            };
            (Rsh64K, $o:expr) => {
                regs[$o.dst as usize] = regs[$o.dst as usize].wrapping_shr($o.imm as u32)
            };
            (Add64X, $o:expr) => {
                regs[$o.dst as usize] = regs[$o.dst as usize].wrapping_add(regs[$o.src as usize])
            };
            (Jne64X, $o:expr) => {
                if regs[$o.dst as usize] != regs[$o.src as usize] {
                    go!($o.target())
                }
            };
            (Jne64K, $o:expr) => {
                if regs[$o.dst as usize] != $o.imm {
                    go!($o.target())
                }
            };
            (Jeq64K, $o:expr) => {
                if regs[$o.dst as usize] == $o.imm {
                    go!($o.target())
                }
            };
            (Load8, $o:expr) => {
                part!(load u8, $o)
            };
            (Load32, $o:expr) => {
                part!(load u32, $o)
            };
            (Load64, $o:expr) => {
                part!(load u64, $o)
            };
            (Mov64X, $o:expr) => {
                regs[$o.dst as usize] = regs[$o.src as usize]
            };
            (And64K, $o:expr) => {
                regs[$o.dst as usize] &= $o.imm
            };
            (Or64X, $o:expr) => {
                regs[$o.dst as usize] |= regs[$o.src as usize]
            };
            (Xor64X, $o:expr) => {
                regs[$o.dst as usize] ^= regs[$o.src as usize]
            };
            (load $word:ty, $o:expr) => {{
                let addr = regs[$o.src as usize].wrapping_add(i64::from($o.off) as u64);
                regs[$o.dst as usize] = u64::from(memory!(env.memory.load::<$word>(addr)));
            }};
            (StoreX64, $o:expr) => {{
                let addr = regs[$o.dst as usize].wrapping_add(i64::from($o.off) as u64);
                memory!(env.memory.store(addr, regs[$o.src as usize]));
            }};
        }
        macro_rules! pair {
            ($first:ident, $second:ident) => {{
                part!($first, op);
                let Some(next) = ops.get(pc) else {
                    stop!(Cause::FellOff)
                };
                pc += 1;
                part!($second, next);
            }};
        }

        use core::sync::atomic::Ordering::{Relaxed, SeqCst};
        match op.code {
            Code::Add64K => k64!(u64::wrapping_add),
            Code::Add64X => x64!(u64::wrapping_add),
            Code::Sub64K => k64!(u64::wrapping_sub),
            Code::Sub64X => x64!(u64::wrapping_sub),
            Code::Mul64K => k64!(u64::wrapping_mul),
            Code::Mul64X => x64!(u64::wrapping_mul),
            Code::Div64K => k64!(div64),
            Code::Div64X => x64!(div64),
            Code::Sdiv64K => k64!(sdiv64),
            Code::Sdiv64X => x64!(sdiv64),
            Code::Mod64K => k64!(mod64),
            Code::Mod64X => x64!(mod64),
            Code::Smod64K => k64!(smod64),
            Code::Smod64X => x64!(smod64),
            Code::Or64K => k64!(|a, b| a | b),
            Code::Or64X => x64!(|a, b| a | b),
            Code::And64K => k64!(|a, b| a & b),
            Code::And64X => x64!(|a, b| a & b),
            Code::Xor64K => k64!(|a, b| a ^ b),
            Code::Xor64X => x64!(|a, b| a ^ b),
            Code::Lsh64K => k64!(|a: u64, b| a.wrapping_shl(b as u32)),
            Code::Lsh64X => x64!(|a: u64, b| a.wrapping_shl(b as u32)),
            Code::Rsh64K => k64!(|a: u64, b| a.wrapping_shr(b as u32)),
            Code::Rsh64X => x64!(|a: u64, b| a.wrapping_shr(b as u32)),
            Code::Arsh64K => k64!(|a, b| (a as i64).wrapping_shr(b as u32) as u64),
            Code::Arsh64X => x64!(|a, b| (a as i64).wrapping_shr(b as u32) as u64),
            Code::Mov64K => dst!() = op.imm,
            Code::Mov64X => dst!() = src!(),
            Code::Neg64 => dst!() = dst!().wrapping_neg(),
            Code::Movsx8To64 => dst!() = src!() as i8 as u64,
            Code::Movsx16To64 => dst!() = src!() as i16 as u64,
            Code::Movsx32To64 => dst!() = src!() as i32 as u64,

            Code::Add32K => k32!(u32::wrapping_add),
            Code::Add32X => x32!(u32::wrapping_add),
            Code::Sub32K => k32!(u32::wrapping_sub),
            Code::Sub32X => x32!(u32::wrapping_sub),
            Code::Mul32K => k32!(u32::wrapping_mul),
            Code::Mul32X => x32!(u32::wrapping_mul),
            Code::Div32K => k32!(div32),
            Code::Div32X => x32!(div32),
            Code::Sdiv32K => k32!(sdiv32),
            Code::Sdiv32X => x32!(sdiv32),
            Code::Mod32K => k32!(mod32),
            Code::Mod32X => x32!(mod32),
            Code::Smod32K => k32!(smod32),
            Code::Smod32X => x32!(smod32),
            Code::Or32K => k32!(|a, b| a | b),
            Code::Or32X => x32!(|a, b| a | b),
            Code::And32K => k32!(|a, b| a & b),
            Code::And32X => x32!(|a, b| a & b),
            Code::Xor32K => k32!(|a, b| a ^ b),
            Code::Xor32X => x32!(|a, b| a ^ b),
            Code::Lsh32K => k32!(u32::wrapping_shl),
            Code::Lsh32X => x32!(u32::wrapping_shl),
            Code::Rsh32K => k32!(u32::wrapping_shr),
            Code::Rsh32X => x32!(u32::wrapping_shr),
            Code::Arsh32K => k32!(|a, b| (a as i32).wrapping_shr(b) as u32),
            Code::Arsh32X => x32!(|a, b| (a as i32).wrapping_shr(b) as u32),
            Code::Mov32K => dst!() = u64::from(op.imm as u32),
            Code::Mov32X => dst!() = u64::from(src!() as u32),
            Code::Neg32 => dst!() = u64::from((dst!() as u32).wrapping_neg()),
            Code::Movsx8To32 => dst!() = u64::from(src!() as i8 as u32),
            Code::Movsx16To32 => dst!() = u64::from(src!() as i16 as u32),

            Code::Le16 => dst!() = u64::from((dst!() as u16).to_le()),
            Code::Le32 => dst!() = u64::from((dst!() as u32).to_le()),
            Code::Le64 => dst!() = dst!().to_le(),
            Code::Be16 => dst!() = u64::from((dst!() as u16).to_be()),
            Code::Be32 => dst!() = u64::from((dst!() as u32).to_be()),
            Code::Be64 => dst!() = dst!().to_be(),
            Code::Swap16 => dst!() = u64::from((dst!() as u16).swap_bytes()),
            Code::Swap32 => dst!() = u64::from((dst!() as u32).swap_bytes()),
            Code::Swap64 => dst!() = dst!().swap_bytes(),

            Code::Ja => go!(op.target()),
            Code::Jeq64K => k!(u64, u64::eq),
            Code::Jeq64X => x!(u64, u64::eq),
            Code::Jne64K => k!(u64, u64::ne),
            Code::Jne64X => x!(u64, u64::ne),
            Code::Jset64K => jump!(dst!() & op.imm != 0),
            Code::Jset64X => jump!(dst!() & src!() != 0),
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
            Code::Jset32K => jump!(dst!() as u32 & op.imm as u32 != 0),
            Code::Jset32X => jump!(dst!() as u32 & src!() as u32 != 0),
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

            Code::CallHelper => {
                // Helpers charge for their work, so that they need to know what is left.
                go!(pc);
                let Some(helper) = Helper::ALL.get(op.imm as usize).copied() else {
                    stop!(Cause::FellOff)
                };
                match call(env, helper, regs[1], regs[2], regs[3], regs[4], regs[5]) {
                    Ok(result) => regs[Reg::R0 as usize] = result,
                    Err(fault) => stop!(Cause::Helper(helper, fault)),
                }
            }
            Code::CallSteer => {
                go!(pc);
                let Some(helper) = Helper::ALL.get(op.imm as usize).copied() else {
                    stop!(Cause::FellOff)
                };
                let args = [regs[1], regs[2], regs[3], regs[4], regs[5]];
                match env.steer(helper, args) {
                    Ok(Flow::Return(result)) => regs[Reg::R0 as usize] = result,
                    Ok(Flow::Call { pending, args }) => {
                        let Some(target) = function_at(image.functions, pending.function) else {
                            stop!(Cause::NotAFunction(pending.function))
                        };
                        if depth + 1 >= MAX_FRAMES {
                            stop!(Cause::CallDepth);
                        }
                        frames[depth] = Frame {
                            pc,
                            saved: [regs[6], regs[7], regs[8], regs[9]],
                            pending: Some(pending),
                        };
                        depth += 1;
                        env.memory.push_frame();
                        regs[Reg::R10 as usize] = env.memory.frame_pointer();
                        regs[1..=5].copy_from_slice(&args);
                        pc = target;
                        since = target;
                    }
                    Ok(Flow::Tail(next)) => {
                        image = next;
                        ops = image.ops;
                        regs[Reg::R1 as usize] = context;
                        regs[Reg::R2 as usize] = len;
                        pc = 0;
                        since = 0;
                    }
                    Err(fault) => stop!(Cause::Helper(helper, fault)),
                }
            }
            Code::CallLocal | Code::CallReg => {
                let target = if op.code == Code::CallLocal {
                    op.target()
                } else {
                    match function_at(image.functions, dst!()) {
                        Some(target) => target,
                        None => stop!(Cause::NotAFunction(dst!())),
                    }
                };
                if depth + 1 >= MAX_FRAMES {
                    stop!(Cause::CallDepth);
                }
                frames[depth] = Frame {
                    pc,
                    saved: [regs[6], regs[7], regs[8], regs[9]],
                    pending: None,
                };
                depth += 1;
                env.memory.push_frame();
                regs[Reg::R10 as usize] = env.memory.frame_pointer();
                go!(target);
            }
            Code::Exit => {
                settle!();
                if depth == 0 {
                    return Ok(regs[Reg::R0 as usize]);
                }
                let frame = frames[depth - 1];
                if let Some(pending) = frame.pending {
                    match env.resume(pending, regs[Reg::R0 as usize]) {
                        Ok(Flow::Call { pending, args }) => {
                            let Some(target) = function_at(image.functions, pending.function)
                            else {
                                stop!(Cause::NotAFunction(pending.function))
                            };
                            frames[depth - 1].pending = Some(pending);
                            regs[1..=5].copy_from_slice(&args);
                            pc = target;
                            since = target;
                            continue;
                        }
                        Ok(Flow::Return(result)) => regs[Reg::R0 as usize] = result,
                        // Nothing goes on in another program from here.
                        Ok(Flow::Tail(_)) => stop!(Cause::FellOff),
                        Err(fault) => stop!(Cause::Helper(pending.helper, fault)),
                    }
                }
                depth -= 1;
                regs[6..=9].copy_from_slice(&frame.saved);
                env.memory.pop_frame();
                regs[Reg::R10 as usize] = env.memory.frame_pointer();
                pc = frame.pc;
                since = frame.pc;
            }

            Code::Load8 => load!(u8, u8),
            Code::Load16 => load!(u16, u16),
            Code::Load32 => load!(u32, u32),
            Code::Load64 => load!(u64, u64),
            Code::LoadSx8 => load!(u8, i8),
            Code::LoadSx16 => load!(u16, i16),
            Code::LoadSx32 => load!(u32, i32),
            Code::StoreK8 => store!(u8, op.imm),
            Code::StoreK16 => store!(u16, op.imm),
            Code::StoreK32 => store!(u32, op.imm),
            Code::StoreK64 => store!(u64, op.imm),
            Code::StoreX8 => store!(u8, src!()),
            Code::StoreX16 => store!(u16, src!()),
            Code::StoreX32 => store!(u32, src!()),
            Code::StoreX64 => store!(u64, src!()),
            Code::Imm64 | Code::Function => {
                dst!() = op.imm;
                pc += 1;
            }

            Code::Add32 => {
                atomic!(u32, atomic32, |at, value| at.fetch_add(value, Relaxed));
            }
            Code::Or32 => {
                atomic!(u32, atomic32, |at, value| at.fetch_or(value, Relaxed));
            }
            Code::And32 => {
                atomic!(u32, atomic32, |at, value| at.fetch_and(value, Relaxed));
            }
            Code::Xor32 => {
                atomic!(u32, atomic32, |at, value| at.fetch_xor(value, Relaxed));
            }
            Code::FetchAdd32 => fetch!(u32, atomic32, fetch_add),
            Code::FetchOr32 => fetch!(u32, atomic32, fetch_or),
            Code::FetchAnd32 => fetch!(u32, atomic32, fetch_and),
            Code::FetchXor32 => fetch!(u32, atomic32, fetch_xor),
            Code::Xchg32 => fetch!(u32, atomic32, swap),
            Code::CmpXchg32 => {
                let expected = regs[Reg::R0 as usize] as u32;
                let old = atomic!(u32, atomic32, |at, value| {
                    at.compare_exchange(expected, value, SeqCst, SeqCst)
                        .unwrap_or_else(|old| old)
                });
                regs[Reg::R0 as usize] = u64::from(old);
            }
            Code::Add64 => {
                atomic!(u64, atomic64, |at, value| at.fetch_add(value, Relaxed));
            }
            Code::Or64 => {
                atomic!(u64, atomic64, |at, value| at.fetch_or(value, Relaxed));
            }
            Code::And64 => {
                atomic!(u64, atomic64, |at, value| at.fetch_and(value, Relaxed));
            }
            Code::Xor64 => {
                atomic!(u64, atomic64, |at, value| at.fetch_xor(value, Relaxed));
            }
            Code::FetchAdd64 => fetch!(u64, atomic64, fetch_add),
            Code::FetchOr64 => fetch!(u64, atomic64, fetch_or),
            Code::FetchAnd64 => fetch!(u64, atomic64, fetch_and),
            Code::FetchXor64 => fetch!(u64, atomic64, fetch_xor),
            Code::Xchg64 => fetch!(u64, atomic64, swap),
            Code::CmpXchg64 => {
                let expected = regs[Reg::R0 as usize];
                let old = atomic!(u64, atomic64, |at, value| {
                    at.compare_exchange(expected, value, SeqCst, SeqCst)
                        .unwrap_or_else(|old| old)
                });
                regs[Reg::R0 as usize] = old;
            }

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

            Code::Hole => stop!(Cause::FellOff),
        }
    }
}

/// Calls a helper. The arguments travel in the machine's registers: a copy of the array would be made by wide loads of what was
/// stored by narrow ones just before, for which many processors have to wait.
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

/// Returns the first instruction of the function whose address a register holds.
fn function_at(functions: &[u32], address: u64) -> Option<usize> {
    let start = u32::try_from(address ^ CODE_TAG).ok()?;
    functions.binary_search(&start).ok().map(|_| start as usize)
}
