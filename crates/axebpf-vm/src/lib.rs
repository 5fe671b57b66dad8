//! eBPF objects and programs: ELF loading, checking, execution, helpers.
//!
//! An [`ObjectFile`] is what an ELF object made by clang or bpf-linker defines. Loading it makes an [`Object`]: maps, and
//! [`Program`]s that are linked, checked and decoded. A program runs in a hit, with a
//! [`HitGuard`](axebpf_hit::HitGuard) as proof; running allocates nothing, looks nothing up by name, and ends within a
//! budget. The instruction set is that of RFC 9669 (groups base32, base64, divmul32, divmul64, atomic32, atomic64).
//!
//! # From file to result
//!
//! 1. `elf` reads sections, symbols, map definitions (BTF and legacy) and relocations, links each program with the
//!    functions that it calls, adapts it to the types of its target (CO-RE), and notes the lines of its source.
//! 2. `decode` turns each instruction into one operation, and refuses what the instruction set does not define.
//! 3. `check` is a pass over the decoded program: jumps, functions, call depth. `verify` follows the flow of control and of
//!    values through it ([`Checks`] says what of this a program has to pass).
//! 4. `specialize` and `fuse` give operations forms that run faster.
//! 5. `interp` is the loop, `flow` how helpers steer it, `memory` the check that every access passes, `helper` what programs can call.
//!
//! Invariant: a program reaches its stack, its context, values of its own maps, and the ring-buffer records that it has
//! reserved, and nothing else. `unsafe` is in `memory` and in the places that hand it memory (the default engine, and the
//! helpers for ring buffers and for visiting maps), each marked.
//!
//! # Examples
//!
//! Sums the bytes of its context, here under the mock platform:
//!
//! ```
//! use axebpf_platform::mock::MOCK;
//! use axebpf_vm::{Context, Program, RunEnv};
//!
//! let code = [
//!     [0xb7, 0x00, 0, 0, 0, 0, 0, 0],       // r0 = 0
//!     [0x0f, 0x12, 0, 0, 0, 0, 0, 0],       // r2 += r1
//!     [0x1d, 0x21, 4, 0, 0, 0, 0, 0],       // if r1 == r2 goto the end
//!     [0x71, 0x13, 0, 0, 0, 0, 0, 0],       // r3 = *(u8 *)r1
//!     [0x0f, 0x30, 0, 0, 0, 0, 0, 0],       // r0 += r3
//!     [0x07, 0x01, 0, 0, 1, 0, 0, 0],       // r1 += 1
//!     [0x05, 0x00, 0xfb, 0xff, 0, 0, 0, 0], // goto the comparison
//!     [0x95, 0x00, 0, 0, 0, 0, 0, 0],       // exit
//! ];
//! let program = Program::from_insns(code.as_flattened(), &[])?;
//!
//! axebpf_hit::install(&MOCK)?;
//! let guard = axebpf_hit::enter()?;
//! let sum = program.run(&guard, Context::new(&[1, 2, 3, 4]), &RunEnv::new())?;
//! assert_eq!(sum, 10);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

#[cfg(target_endian = "big")]
compile_error!("axebpf-vm runs little-endian programs on little-endian machines only");

mod arith;
mod bound_map;
mod call_stack;
mod check;
mod check_error;
mod context;
mod counters;
mod decode;
mod elf;
mod engine;
mod env;
mod errno;
mod flow;
mod fuse;
mod guest;
mod helper;
pub mod insn;
mod interp;
mod load_error;
mod memory;
mod object;
mod op;
mod printk;
mod program;
mod run_error;
mod section_error;
mod source;
mod specialize;
mod target;
mod verify;

pub use call_stack::{CallStack, DEFAULT_ADDRESS_BITS, StackStart};
pub use check::{Checks, MAX_FRAMES};
pub use check_error::CheckError;
pub use context::Context;
pub use counters::ProgramStats;
pub use decode::MAX_INSNS;
pub use engine::EngineKind;
pub use env::RunEnv;
pub use flow::MAX_TAIL_CALLS;
pub use guest::{GuestTask, GuestUnreadable, TASK_NAME_BYTES};
pub use helper::{ArgKind, Helper, MAX_STACK_DEPTH, RefusedHelper};
pub use insn::Insn;
pub use load_error::LoadError;
pub use memory::FRAME_BYTES;
pub use object::{
    LoadOptions, MAX_MAPS, MAX_OBJECT_BYTES, MAX_PROGRAMS, MapDefinition, Object, ObjectFile,
    Pinning, ProgramDefinition, ReuseMap, SelectProgram,
};
pub use printk::{
    AddressForm, AddressNames, MAX_PRINTK_ARGS, MAX_PRINTK_FORMAT, MAX_PRINTK_STRING, NamedPrintk,
    PrintkFull, PrintkRecord, PrintkSink,
};
pub use program::{DEFAULT_BUDGET, Program};
pub use run_error::{Access, RunError};
pub use section_error::SectionError;
pub use source::SourceLine;
pub use target::{AttachTarget, ProgramKind};
