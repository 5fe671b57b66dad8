//! eBPF objects and programs: ELF loading, checking, execution, helpers.
#![no_std]
#![deny(unsafe_code)]

extern crate alloc;

#[cfg(target_endian = "big")]
compile_error!("axebpf-vm runs little-endian programs on little-endian machines only");

mod bound_map;
mod check;
mod check_error;
mod context;
mod counters;
mod decode;
mod elf;
mod engine;
mod env;
mod errno;
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
mod target;

pub use check::MAX_FRAMES;
pub use check_error::CheckError;
pub use context::Context;
pub use counters::ProgramStats;
pub use decode::MAX_INSNS;
pub use engine::EngineKind;
pub use env::RunEnv;
pub use helper::{ArgKind, Helper};
pub use insn::Insn;
pub use load_error::LoadError;
pub use memory::FRAME_BYTES;
pub use object::{
    LoadOptions, MAX_MAPS, MAX_OBJECT_BYTES, MAX_PROGRAMS, MapDefinition, Object, ObjectFile,
    Pinning, ProgramDefinition, ReuseMap,
};
pub use printk::{
    MAX_PRINTK_ARGS, MAX_PRINTK_FORMAT, MAX_PRINTK_STRING, PrintkFull, PrintkRecord, PrintkSink,
};
pub use program::{DEFAULT_BUDGET, Program};
pub use run_error::{Access, RunError};
pub use section_error::SectionError;
pub use target::{AttachTarget, ProgramKind};
