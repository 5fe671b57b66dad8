//! The decoded form of a program: what the interpreter runs.
//!
//! One [`Op`] per instruction slot, so that an index here is an index in the object, 16 bytes each: operation and
//! operand form are one dense number, immediates are extended to 64 bits, jumps name their target.

/// A register number, which needs no check as an index into eleven registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[rustfmt::skip]
pub(crate) enum Reg { R0, R1, R2, R3, R4, R5, R6, R7, R8, R9, R10 }

impl Reg {
    /// The registers of a call's arguments.
    pub(crate) const ARGUMENTS: [Self; 5] = [Self::R1, Self::R2, Self::R3, Self::R4, Self::R5];

    const ALL: [Self; 11] = [
        Self::R0,
        Self::R1,
        Self::R2,
        Self::R3,
        Self::R4,
        Self::R5,
        Self::R6,
        Self::R7,
        Self::R8,
        Self::R9,
        Self::R10,
    ];

    /// Returns register `number`, unless there is none.
    pub(crate) fn new(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// One decoded instruction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Op {
    /// What to do.
    pub(crate) code: Code,
    /// The destination register.
    pub(crate) dst: Reg,
    /// The source register.
    pub(crate) src: Reg,
    /// The offset of a memory access, or the absolute target of a jump or call.
    pub(crate) off: i32,
    /// The immediate, already extended to 64 bits.
    pub(crate) imm: u64,
}

impl Op {
    /// The second slot of a 64-bit immediate load, which nothing may execute.
    pub(crate) const HOLE: Self = Self::new(Code::Hole);

    /// Makes an operation whose fields are all zero but the code.
    pub(crate) const fn new(code: Code) -> Self {
        Self {
            code,
            dst: Reg::R0,
            src: Reg::R0,
            off: 0,
            imm: 0,
        }
    }

    /// The target of a jump or call as an index.
    #[inline(always)]
    pub(crate) fn target(&self) -> usize {
        self.off as u32 as usize
    }
}

/// Every operation in every operand form; `K` takes the immediate, `X` the source register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[rustfmt::skip]
pub(crate) enum Code {
    // 64-bit arithmetic.
    Add64K, Add64X, Sub64K, Sub64X, Mul64K, Mul64X, Div64K, Div64X, Sdiv64K, Sdiv64X, Mod64K, Mod64X,
    Smod64K, Smod64X, Or64K, Or64X, And64K, And64X, Xor64K, Xor64X, Lsh64K, Lsh64X, Rsh64K, Rsh64X,
    Arsh64K, Arsh64X, Mov64K, Mov64X, Neg64, Movsx8To64, Movsx16To64, Movsx32To64,
    // 32-bit arithmetic.
    Add32K, Add32X, Sub32K, Sub32X, Mul32K, Mul32X, Div32K, Div32X, Sdiv32K, Sdiv32X, Mod32K, Mod32X,
    Smod32K, Smod32X, Or32K, Or32X, And32K, And32X, Xor32K, Xor32X, Lsh32K, Lsh32X, Rsh32K, Rsh32X,
    Arsh32K, Arsh32X, Mov32K, Mov32X, Neg32, Movsx8To32, Movsx16To32,
    // Byte order.
    Le16, Le32, Le64, Be16, Be32, Be64, Swap16, Swap32, Swap64,
    // Jumps.
    Ja,
    Jeq64K, Jeq64X, Jne64K, Jne64X, Jset64K, Jset64X, Jgt64K, Jgt64X, Jge64K, Jge64X, Jlt64K, Jlt64X,
    Jle64K, Jle64X, Jsgt64K, Jsgt64X, Jsge64K, Jsge64X, Jslt64K, Jslt64X, Jsle64K, Jsle64X,
    Jeq32K, Jeq32X, Jne32K, Jne32X, Jset32K, Jset32X, Jgt32K, Jgt32X, Jge32K, Jge32X, Jlt32K, Jlt32X,
    Jle32K, Jle32X, Jsgt32K, Jsgt32X, Jsge32K, Jsge32X, Jslt32K, Jslt32X, Jsle32K, Jsle32X,
    // Calls.
    CallHelper, CallSteer, CallLocal, CallReg, Exit,
    // Memory.
    Load8, Load16, Load32, Load64, LoadSx8, LoadSx16, LoadSx32,
    StoreK8, StoreK16, StoreK32, StoreK64, StoreX8, StoreX16, StoreX32, StoreX64,
    Imm64,
    // The address of a function: an immediate whose offset field names the function.
    Function,
    // Atomics.
    Add32, Or32, And32, Xor32, FetchAdd32, FetchOr32, FetchAnd32, FetchXor32, Xchg32, CmpXchg32,
    Add64, Or64, And64, Xor64, FetchAdd64, FetchOr64, FetchAnd64, FetchXor64, Xchg64, CmpXchg64,
    // Narrower forms of the above; see `specialize`.
    CallFact,
    LoadFrame8, LoadFrame16, LoadFrame32, LoadFrame64,
    StoreFrameK8, StoreFrameK16, StoreFrameK32, StoreFrameK64,
    StoreFrameX8, StoreFrameX16, StoreFrameX32, StoreFrameX64,
    // Two operations in one step; see `fuse`.
    Mov64XAdd64K, Mov64XLsh64K, Mov64XAnd64K, Mov64XMov64X, Load64Load64, Load64Add64X, Load32Load32,
    Load8Add64X, StoreX64StoreX64, Add64XLoad64, Add64XStoreX64, Add64KJne64X, Add64KStoreX64, Sub64KJne64K,
    And64KJeq64K, Xor64XAnd64K, Or64XStoreX64, Rsh64KAdd64X, LoadFrame64LoadFrame64, LoadFrame64Add64X,
    StoreFrameX64StoreFrameX64, Add64XStoreFrameX64, Or64XStoreFrameX64, Add64KStoreFrameX64,
    // Never executed.
    Hole,
}
