//! What an operation does to the registers.

use crate::op::{Code, Op, Reg};

/// A set of registers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RegSet(u16);

impl RegSet {
    pub(crate) const EMPTY: Self = Self(0);

    pub(crate) const fn with(self, register: Reg) -> Self {
        Self(self.0 | 1 << register as u16)
    }

    /// Visits the registers, from `r0` on.
    pub(crate) fn iter(self) -> impl Iterator<Item = Reg> {
        (0..=10)
            .filter_map(Reg::new)
            .filter(move |register| self.0 & 1 << *register as u16 != 0)
    }
}

/// The registers that an operation reads and writes, calls left aside.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effect {
    pub(crate) reads: RegSet,
    pub(crate) writes: RegSet,
}

impl Effect {
    pub(crate) fn of(op: &Op) -> Self {
        let none = RegSet::EMPTY;
        let dst = none.with(op.dst);
        let src = none.with(op.src);
        let both = dst.with(op.src);
        let (reads, writes) = match Form::of(op.code) {
            Form::Nothing => (none, none),
            Form::Set => (none, dst),
            Form::Move => (src, dst),
            Form::Change => (dst, dst),
            Form::Combine => (both, dst),
            Form::Use => (dst, none),
            Form::UseBoth => (both, none),
            Form::Fetch => (both, src),
            Form::CompareExchange => (both.with(Reg::R0), none.with(Reg::R0)),
        };
        Self { reads, writes }
    }
}

/// How an operation uses its registers.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Nothing,
    /// Writes the destination.
    Set,
    /// Reads the source and writes the destination.
    Move,
    /// Reads and writes the destination.
    Change,
    /// Reads both and writes the destination.
    Combine,
    /// Reads the destination.
    Use,
    /// Reads both.
    UseBoth,
    /// Reads both and writes the source.
    Fetch,
    CompareExchange,
}

impl Form {
    #[rustfmt::skip]
    fn of(code: Code) -> Self {
        use Code::*;
        match code {
            Mov64K | Mov32K | Imm64 | Function => Self::Set,
            Mov64X | Mov32X | Movsx8To64 | Movsx16To64 | Movsx32To64 | Movsx8To32 | Movsx16To32
            | Load8 | Load16 | Load32 | Load64 | LoadSx8 | LoadSx16 | LoadSx32 => Self::Move,
            Add64X | Sub64X | Mul64X | Div64X | Sdiv64X | Mod64X | Smod64X | Or64X | And64X | Xor64X | Lsh64X
            | Rsh64X | Arsh64X | Add32X | Sub32X | Mul32X | Div32X | Sdiv32X | Mod32X | Smod32X | Or32X
            | And32X | Xor32X | Lsh32X | Rsh32X | Arsh32X => Self::Combine,
            Add64K | Sub64K | Mul64K | Div64K | Sdiv64K | Mod64K | Smod64K | Or64K | And64K | Xor64K | Lsh64K
            | Rsh64K | Arsh64K | Neg64 | Add32K | Sub32K | Mul32K | Div32K | Sdiv32K | Mod32K | Smod32K | Or32K
            | And32K | Xor32K | Lsh32K | Rsh32K | Arsh32K | Neg32 | Le16 | Le32 | Le64 | Be16 | Be32 | Be64
            | Swap16 | Swap32 | Swap64 => Self::Change,
            Jeq64K | Jne64K | Jset64K | Jgt64K | Jge64K | Jlt64K | Jle64K | Jsgt64K | Jsge64K | Jslt64K | Jsle64K
            | Jeq32K | Jne32K | Jset32K | Jgt32K | Jge32K | Jlt32K | Jle32K | Jsgt32K | Jsge32K | Jslt32K
            | Jsle32K | StoreK8 | StoreK16 | StoreK32 | StoreK64 | CallReg => Self::Use,
            Jeq64X | Jne64X | Jset64X | Jgt64X | Jge64X | Jlt64X | Jle64X | Jsgt64X | Jsge64X | Jslt64X | Jsle64X
            | Jeq32X | Jne32X | Jset32X | Jgt32X | Jge32X | Jlt32X | Jle32X | Jsgt32X | Jsge32X | Jslt32X
            | Jsle32X | StoreX8 | StoreX16 | StoreX32 | StoreX64 | Add32 | Or32 | And32 | Xor32 | Add64 | Or64
            | And64 | Xor64 => Self::UseBoth,
            FetchAdd32 | FetchOr32 | FetchAnd32 | FetchXor32 | Xchg32 | FetchAdd64 | FetchOr64 | FetchAnd64
            | FetchXor64 | Xchg64 => Self::Fetch,
            CmpXchg32 | CmpXchg64 => Self::CompareExchange,
            // Operations are put together after all checks only.
            _ => Self::Nothing,
        }
    }
}

/// Returns the number of bytes that the operation accesses relative to a register, and which one that is.
#[rustfmt::skip]
pub(crate) fn access(op: &Op) -> Option<(Reg, u64)> {
    use Code::*;
    Some(match op.code {
        Load8 | LoadSx8 => (op.src, 1),
        Load16 | LoadSx16 => (op.src, 2),
        Load32 | LoadSx32 => (op.src, 4),
        Load64 => (op.src, 8),
        StoreK8 | StoreX8 => (op.dst, 1),
        StoreK16 | StoreX16 => (op.dst, 2),
        StoreK32 | StoreX32 | Add32 | Or32 | And32 | Xor32 | FetchAdd32 | FetchOr32 | FetchAnd32 | FetchXor32
        | Xchg32 | CmpXchg32 => (op.dst, 4),
        StoreK64 | StoreX64 | Add64 | Or64 | And64 | Xor64 | FetchAdd64 | FetchOr64 | FetchAnd64 | FetchXor64
        | Xchg64 | CmpXchg64 => (op.dst, 8),
        _ => return None,
    })
}
