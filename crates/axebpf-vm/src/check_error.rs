//! Why a program is refused before it ever runs.

use axebpf_maps::MapKind;
use thiserror::Error;

use crate::helper::ArgKind;
use crate::target::ProgramKind;

/// The first thing in a program that cannot be allowed to run.
///
/// `insn` is always the index of the instruction slot in the linked program, counted from 0; the second slot of a
/// 64-bit immediate load counts too, as in `llvm-objdump -d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum CheckError {
    /// The program has no instruction.
    #[error("the program is empty")]
    Empty,
    /// The program's length is not a multiple of eight bytes.
    #[error("{len} bytes are no whole number of 8-byte instructions")]
    Ragged {
        /// The length in bytes.
        len: usize,
    },
    /// The program is longer than any program may be.
    #[error("{len} instructions are too many; the limit is {limit}")]
    TooLong {
        /// The number of instruction slots.
        len: usize,
        /// The largest number allowed.
        limit: usize,
    },
    /// RFC 9669 does not know the opcode.
    #[error("instruction {insn}: unknown opcode {opcode:#04x}")]
    UnknownOpcode {
        /// The instruction.
        insn: usize,
        /// Its opcode.
        opcode: u8,
    },
    /// A legacy packet load, for which there is no packet.
    #[error("instruction {insn}: legacy packet access (opcode {opcode:#04x}) is not supported")]
    LegacyPacketAccess {
        /// The instruction.
        insn: usize,
        /// Its opcode.
        opcode: u8,
    },
    /// A modifier that the operation does not have.
    #[error("instruction {insn}: opcode {opcode:#04x} has no variant {value:#x}")]
    UnknownVariant {
        /// The instruction.
        insn: usize,
        /// Its opcode.
        opcode: u8,
        /// The modifier, from the offset, source or immediate field.
        value: i32,
    },
    /// A field that the instruction does not use is not zero.
    #[error("instruction {insn}: opcode {opcode:#04x} uses a reserved field")]
    ReservedField {
        /// The instruction.
        insn: usize,
        /// Its opcode.
        opcode: u8,
    },
    /// A register that does not exist.
    #[error("instruction {insn}: there is no register r{register}")]
    UnknownRegister {
        /// The instruction.
        insn: usize,
        /// The register's number.
        register: u8,
    },
    /// A write to the frame pointer, which is read-only.
    #[error("instruction {insn}: r10 is read-only")]
    FramePointerWrite {
        /// The instruction.
        insn: usize,
    },
    /// The program ends between the two slots of a 64-bit immediate load.
    #[error("instruction {insn}: the second half of the 64-bit immediate is missing")]
    SplitImmediate {
        /// The instruction.
        insn: usize,
    },
    /// A jump out of the program, or from one function into another.
    #[error("instruction {insn}: the jump to {target} leaves its function")]
    JumpOutOfRange {
        /// The instruction.
        insn: usize,
        /// Where it jumps.
        target: i64,
    },
    /// A jump or call to the second slot of a 64-bit immediate load.
    #[error("instruction {insn}: {target} is the middle of a 64-bit immediate")]
    JumpIntoImmediate {
        /// The instruction.
        insn: usize,
        /// Where it jumps.
        target: usize,
    },
    /// A call to something outside the program.
    #[error("instruction {insn}: the call to {target} leaves the program")]
    CallOutOfRange {
        /// The instruction.
        insn: usize,
        /// What it calls.
        target: i64,
    },
    /// A helper that does not exist here.
    #[error("instruction {insn}: there is no helper {id}")]
    UnknownHelper {
        /// The instruction.
        insn: usize,
        /// The helper's number.
        id: i32,
    },
    /// A helper that Linux has and that cannot be here.
    #[error("instruction {insn}: helper {id}, bpf_{name}, is not supported: {reason}")]
    RefusedHelper {
        /// The instruction.
        insn: usize,
        /// The helper's number.
        id: i32,
        /// The helper's name, without `bpf_`.
        name: &'static str,
        /// Why it is not here.
        reason: &'static str,
    },
    /// Code that nothing reaches.
    #[error("instruction {insn}: nothing reaches this code")]
    Unreachable {
        /// The first instruction that nothing reaches.
        insn: usize,
    },
    /// A register that is read before it is written, on one path at least.
    ///
    /// A call leaves nothing in `r1` to `r5`.
    #[error("instruction {insn}: r{register} is read before it is written")]
    UninitializedRegister {
        /// The instruction that reads it.
        insn: usize,
        /// The register's number.
        register: u8,
    },
    /// An access relative to `r10` that is not in the stack frame.
    #[error("instruction {insn}: {len} bytes at r10{offset:+} are outside of the stack frame")]
    OutsideFrame {
        /// The instruction.
        insn: usize,
        /// The offset from `r10`.
        offset: i32,
        /// The number of bytes.
        len: u64,
    },
    /// An access that the program makes in any case, of something that the target's types do not have (CO-RE).
    #[error(
        "instruction {insn}: CO-RE relocation failed: what it accesses is not in the target's types"
    )]
    MissingInTarget {
        /// The instruction.
        insn: usize,
    },
    /// A helper that programs of this kind cannot call.
    #[error("instruction {insn}: programs of kind {kind:?} cannot call bpf_{helper}")]
    HelperNotForKind {
        /// The call.
        insn: usize,
        /// The helper's name.
        helper: &'static str,
        /// What the program is for.
        kind: ProgramKind,
    },
    /// An argument that cannot be what the helper takes.
    #[error("instruction {insn}: argument {arg} of bpf_{helper} is {found}, not {expected}")]
    WrongArgument {
        /// The call.
        insn: usize,
        /// The helper's name.
        helper: &'static str,
        /// The argument, counted from 1.
        arg: u8,
        /// What the helper takes.
        expected: ArgKind,
        /// What the register holds.
        found: &'static str,
    },
    /// A map of a kind that the helper is not for.
    #[error("instruction {insn}: bpf_{helper} is not for maps of kind {kind:?}")]
    WrongMapKind {
        /// The call.
        insn: usize,
        /// The helper's name.
        helper: &'static str,
        /// The map's kind.
        kind: MapKind,
    },
    /// A tail call in a function that is called, which would not return to its caller.
    #[error("instruction {insn}: a tail call is possible in the main function only")]
    TailCallInFunction {
        /// The call.
        insn: usize,
    },
    /// A call by BTF id, of which there are none.
    #[error("instruction {insn}: calls by BTF id are not supported (id {id})")]
    BtfCall {
        /// The instruction.
        insn: usize,
        /// The BTF id.
        id: i32,
    },
    /// A 64-bit immediate that only a kernel or another platform can resolve.
    #[error("instruction {insn}: 64-bit immediate of kind {kind} cannot be resolved here")]
    UnresolvedImmediate {
        /// The instruction.
        insn: usize,
        /// The kind, the source register field (RFC 9669, section 5.4).
        kind: u8,
    },
    /// A map that the program does not have.
    #[error("instruction {insn}: the program has no map {index}")]
    UnknownMap {
        /// The instruction.
        insn: usize,
        /// The index.
        index: i32,
    },
    /// An address outside the first value of a map, or in a map that has no first value.
    #[error("instruction {insn}: map {index} has no byte {offset} of global data")]
    OutsideMapValue {
        /// The instruction.
        insn: usize,
        /// The map's index.
        index: i32,
        /// The offset in its first value.
        offset: u32,
    },
    /// A function runs on past its last instruction.
    #[error("instruction {insn}: execution falls off the end of the function")]
    FallsOff {
        /// The function's last instruction.
        insn: usize,
    },
    /// No instruction ends the program.
    #[error("the program has no exit instruction")]
    NoExit,
    /// A function that calls itself, through others or not.
    #[error("instruction {insn}: the call to {target} is recursive")]
    Recursion {
        /// The call.
        insn: usize,
        /// The function that it calls.
        target: usize,
    },
    /// Calls nested deeper than there are stack frames.
    #[error("instruction {insn}: the call needs more than {limit} stack frames")]
    TooDeep {
        /// The call.
        insn: usize,
        /// The number of frames there are.
        limit: usize,
    },
    /// The engine cannot run the instruction correctly.
    #[error("instruction {insn}: engine {engine} cannot run opcode {opcode:#04x} correctly")]
    EngineLimit {
        /// The instruction.
        insn: usize,
        /// Its opcode.
        opcode: u8,
        /// The engine's name.
        engine: &'static str,
    },
}

impl CheckError {
    /// Returns the index of the instruction slot that the error is about, if it is about one.
    #[must_use]
    pub const fn insn(&self) -> Option<usize> {
        match self {
            Self::UnknownOpcode { insn, .. }
            | Self::LegacyPacketAccess { insn, .. }
            | Self::UnknownVariant { insn, .. }
            | Self::ReservedField { insn, .. }
            | Self::UnknownRegister { insn, .. }
            | Self::FramePointerWrite { insn, .. }
            | Self::SplitImmediate { insn, .. }
            | Self::JumpOutOfRange { insn, .. }
            | Self::JumpIntoImmediate { insn, .. }
            | Self::CallOutOfRange { insn, .. }
            | Self::UnknownHelper { insn, .. }
            | Self::RefusedHelper { insn, .. }
            | Self::BtfCall { insn, .. }
            | Self::UnresolvedImmediate { insn, .. }
            | Self::UnknownMap { insn, .. }
            | Self::OutsideMapValue { insn, .. }
            | Self::FallsOff { insn, .. }
            | Self::Recursion { insn, .. }
            | Self::TooDeep { insn, .. }
            | Self::Unreachable { insn, .. }
            | Self::UninitializedRegister { insn, .. }
            | Self::OutsideFrame { insn, .. }
            | Self::MissingInTarget { insn }
            | Self::HelperNotForKind { insn, .. }
            | Self::WrongArgument { insn, .. }
            | Self::WrongMapKind { insn, .. }
            | Self::TailCallInFunction { insn, .. }
            | Self::EngineLimit { insn, .. } => Some(*insn),
            Self::Empty | Self::Ragged { .. } | Self::TooLong { .. } | Self::NoExit => None,
        }
    }
}
