//! One eBPF instruction as it lies in an object file (RFC 9669, section 3).

/// The bytes of one instruction slot.
pub const INSN_BYTES: usize = 8;

/// The number of registers, `r0` to `r10`.
pub const REGISTERS: u8 = 11;

/// The instruction classes, the low three bits of the opcode.
pub mod class {
    /// Loads of 64-bit immediates and the legacy packet loads.
    pub const LD: u8 = 0x00;
    /// Loads from memory.
    pub const LDX: u8 = 0x01;
    /// Stores of immediates.
    pub const ST: u8 = 0x02;
    /// Stores of registers, and atomic operations.
    pub const STX: u8 = 0x03;
    /// 32-bit arithmetic.
    pub const ALU: u8 = 0x04;
    /// 64-bit jumps, calls and exit.
    pub const JMP: u8 = 0x05;
    /// 32-bit jumps.
    pub const JMP32: u8 = 0x06;
    /// 64-bit arithmetic.
    pub const ALU64: u8 = 0x07;
}

/// The opcode of a 64-bit immediate load, the only instruction of two slots.
pub const LDDW: u8 = 0x18;
/// The opcode of a call of a helper, a function or by BTF id.
pub const CALL: u8 = 0x85;
/// The opcode of a call by register.
pub const CALLX: u8 = 0x8d;
/// The opcode of `exit`.
pub const EXIT: u8 = 0x95;
/// The opcode of an unconditional jump with a 16-bit distance.
pub const JA: u8 = 0x05;
/// The opcode of an unconditional jump with a 32-bit distance.
pub const GOTOL: u8 = 0x06;

/// What the source register field of an [`LDDW`] says about its immediate (RFC 9669, section 5.4).
pub mod lddw {
    /// A plain 64-bit number.
    pub const IMM64: u8 = 0;
    /// A map by file descriptor.
    pub const MAP_FD: u8 = 1;
    /// An address in the first value of a map, by file descriptor.
    pub const MAP_FD_VALUE: u8 = 2;
    /// The address of a variable of the platform.
    pub const VARIABLE: u8 = 3;
    /// The address of a function of the program.
    pub const CODE: u8 = 4;
    /// A map by its index in the object.
    pub const MAP_INDEX: u8 = 5;
    /// An address in the first value of a map, by its index in the object.
    pub const MAP_INDEX_VALUE: u8 = 6;
}

/// What the source register field of a [`CALL`] says about its immediate (RFC 9669, section 4.3.1).
pub mod call {
    /// A helper by its number.
    pub const HELPER: u8 = 0;
    /// A function of the program by its distance.
    pub const LOCAL: u8 = 1;
    /// A helper by its BTF id.
    pub const BTF: u8 = 2;
}

/// One instruction slot, its fields taken apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Insn {
    /// What to do.
    pub opcode: u8,
    /// The destination register, 0 to 15 (only 0 to 10 exist).
    pub dst: u8,
    /// The source register, 0 to 15, or a modifier.
    pub src: u8,
    /// The offset: bytes for memory, slots for jumps, a modifier for arithmetic.
    pub off: i16,
    /// The immediate value.
    pub imm: i32,
}

impl Insn {
    /// Takes the little-endian bytes of a slot apart.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; INSN_BYTES]) -> Self {
        Self {
            opcode: bytes[0],
            dst: bytes[1] & 0xf,
            src: bytes[1] >> 4,
            off: i16::from_le_bytes([bytes[2], bytes[3]]),
            imm: i32::from_le_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
        }
    }

    /// Returns the little-endian bytes of the slot. Register fields above 15 lose their high bits.
    #[must_use]
    pub const fn to_bytes(self) -> [u8; INSN_BYTES] {
        let off = self.off.to_le_bytes();
        let imm = self.imm.to_le_bytes();
        let registers = (self.src & 0xf) << 4 | self.dst & 0xf;
        [
            self.opcode,
            registers,
            off[0],
            off[1],
            imm[0],
            imm[1],
            imm[2],
            imm[3],
        ]
    }

    /// Returns the instruction class, one of [`class`].
    #[must_use]
    pub const fn class(self) -> u8 {
        self.opcode & 0x07
    }

    /// Tells whether the instruction has a second slot.
    #[must_use]
    pub const fn is_wide(self) -> bool {
        self.opcode == LDDW
    }
}
