//! Which vector instructions exist (ARM ARM C4.1.97).
//!
//! Each row has an opcode, and the sizes that it has with bit 29 clear and with bit 29 set, as a set of bits: bit 0
//! for a size of `00`, bit 3 for one of `11`.

/// An opcode, its sizes with bit 29 clear, and its sizes with bit 29 set.
pub(crate) type Row = [u8; 3];

/// The sizes of elements: none, bytes, halves, words, doublewords.
const NONE: u8 = 0b0000;
const B: u8 = 0b0001;
const BH: u8 = 0b0011;
pub(crate) const HS: u8 = 0b0110;
const BHS: u8 = 0b0111;
const D: u8 = 0b1000;
const BD: u8 = 0b1001;
const ALL: u8 = 0b1111;
/// The floating-point sizes, single and double: with the high bit clear, with it set, and with either.
const F_LOW: u8 = 0b0011;
const F_HIGH: u8 = 0b1100;
/// Only single.
const F_LOW_S: u8 = 0b0001;
const F_HIGH_S: u8 = 0b0100;
/// Only double.
const F_LOW_D: u8 = 0b0010;
/// Only single, with either.
const F_S: u8 = 0b0101;
/// An element of an index: a half, a single or a double.
const F_INDEXED: u8 = 0b1101;
const S: u8 = 0b0100;

/// `SHADD` to `FDIV`.
pub(crate) const THREE_SAME: &[Row] = &[
    [0b00000, BHS, BHS],
    [0b00001, ALL, ALL],
    [0b00010, BHS, BHS],
    [0b00011, ALL, ALL],
    [0b00100, BHS, BHS],
    [0b00101, ALL, ALL],
    [0b00110, ALL, ALL],
    [0b00111, ALL, ALL],
    [0b01000, ALL, ALL],
    [0b01001, ALL, ALL],
    [0b01010, ALL, ALL],
    [0b01011, ALL, ALL],
    [0b01100, BHS, BHS],
    [0b01101, BHS, BHS],
    [0b01110, BHS, BHS],
    [0b01111, BHS, BHS],
    [0b10000, ALL, ALL],
    [0b10001, ALL, ALL],
    [0b10010, BHS, BHS],
    [0b10011, BHS, B],
    [0b10100, BHS, BHS],
    [0b10101, BHS, BHS],
    [0b10110, HS, HS],
    [0b10111, ALL, NONE],
    [0b11000, ALL, ALL],
    [0b11001, ALL, F_S],
    [0b11010, ALL, ALL],
    [0b11011, F_LOW, F_LOW],
    [0b11100, F_LOW, ALL],
    [0b11101, F_S, ALL],
    [0b11110, ALL, ALL],
    [0b11111, ALL, F_LOW],
];

/// `REV64` to `FSQRT`.
pub(crate) const TWO_REGISTERS: &[Row] = &[
    [0b00000, BHS, BH],
    [0b00001, B, NONE],
    [0b00010, BHS, BHS],
    [0b00011, ALL, ALL],
    [0b00100, BHS, BHS],
    [0b00101, B, BH],
    [0b00110, BHS, BHS],
    [0b00111, ALL, ALL],
    [0b01000, ALL, ALL],
    [0b01001, ALL, ALL],
    [0b01010, ALL, NONE],
    [0b01011, ALL, ALL],
    [0b01100, F_HIGH, F_HIGH],
    [0b01101, F_HIGH, F_HIGH],
    [0b01110, F_HIGH, NONE],
    [0b01111, F_HIGH, F_HIGH],
    [0b10010, BHS, BHS],
    [0b10011, NONE, BHS],
    [0b10100, BHS, BHS],
    [0b10110, F_LOW, F_LOW_D],
    [0b10111, F_LOW, NONE],
    [0b11000, ALL, F_LOW],
    [0b11001, ALL, ALL],
    [0b11010, ALL, ALL],
    [0b11011, ALL, ALL],
    [0b11100, F_LOW | F_HIGH_S, F_LOW | F_HIGH_S],
    [0b11101, ALL, ALL],
    [0b11110, F_LOW, F_LOW],
    [0b11111, F_LOW, ALL],
];

/// `SADDLV` to `FMINV`.
pub(crate) const ACROSS_LANES: &[Row] = &[
    [0b00011, BHS, BHS],
    [0b01010, BHS, BHS],
    [0b11010, BHS, BHS],
    [0b11011, BHS, NONE],
    [0b01100, F_S, F_S],
    [0b01111, F_S, F_S],
];

/// `SADDL` to `PMULL`.
pub(crate) const THREE_DIFFERENT: &[Row] = &[
    [0b0000, BHS, BHS],
    [0b0001, BHS, BHS],
    [0b0010, BHS, BHS],
    [0b0011, BHS, BHS],
    [0b0100, BHS, BHS],
    [0b0101, BHS, BHS],
    [0b0110, BHS, BHS],
    [0b0111, BHS, BHS],
    [0b1000, BHS, BHS],
    [0b1001, HS, NONE],
    [0b1010, BHS, BHS],
    [0b1011, HS, NONE],
    [0b1100, BHS, BHS],
    [0b1101, HS, NONE],
    [0b1110, BD, NONE],
];

/// `MLA` to `FMULX` by an element.
pub(crate) const INDEXED: &[Row] = &[
    [0b0000, S, HS],
    [0b0001, F_INDEXED, NONE],
    [0b0010, HS, HS],
    [0b0011, HS, NONE],
    [0b0100, S, HS],
    [0b0101, F_INDEXED, NONE],
    [0b0110, HS, HS],
    [0b0111, HS, NONE],
    [0b1000, HS, S],
    [0b1001, F_INDEXED, F_INDEXED],
    [0b1010, HS, HS],
    [0b1011, HS, NONE],
    [0b1100, HS, S],
    [0b1101, HS, HS],
    [0b1110, S, S],
    [0b1111, NONE, HS],
];

/// Shifts by an immediate: the sizes are those of the highest bit of `immh`.
pub(crate) const SHIFTS: &[Row] = &[
    [0b00000, ALL, ALL],
    [0b00010, ALL, ALL],
    [0b00100, ALL, ALL],
    [0b00110, ALL, ALL],
    [0b01000, NONE, ALL],
    [0b01010, ALL, ALL],
    [0b01100, NONE, ALL],
    [0b01110, ALL, ALL],
    [0b10000, BHS, BHS],
    [0b10001, BHS, BHS],
    [0b10010, BHS, BHS],
    [0b10011, BHS, BHS],
    [0b10100, BHS, BHS],
    [0b11100, HS | D, HS | D],
    [0b11111, HS | D, HS | D],
];

/// Scalar `SQADD` to `FABD`.
pub(crate) const SCALAR_THREE_SAME: &[Row] = &[
    [0b00001, ALL, ALL],
    [0b00101, ALL, ALL],
    [0b00110, D, D],
    [0b00111, D, D],
    [0b01000, D, D],
    [0b01001, ALL, ALL],
    [0b01010, D, D],
    [0b01011, ALL, ALL],
    [0b10000, D, D],
    [0b10001, D, D],
    [0b10110, HS, HS],
    [0b11010, NONE, F_HIGH],
    [0b11011, F_LOW, NONE],
    [0b11100, F_LOW, ALL],
    [0b11101, NONE, ALL],
    [0b11111, ALL, NONE],
];

/// Scalar `SUQADD` to `FRECPX`.
pub(crate) const SCALAR_TWO_REGISTERS: &[Row] = &[
    [0b00011, ALL, ALL],
    [0b00111, ALL, ALL],
    [0b01000, D, D],
    [0b01001, D, D],
    [0b01010, D, NONE],
    [0b01011, D, D],
    [0b01100, F_HIGH, F_HIGH],
    [0b01101, F_HIGH, F_HIGH],
    [0b01110, F_HIGH, NONE],
    [0b10010, NONE, BHS],
    [0b10100, BHS, BHS],
    [0b10110, NONE, F_LOW_D],
    [0b11010, ALL, ALL],
    [0b11011, ALL, ALL],
    [0b11100, F_LOW, F_LOW],
    [0b11101, ALL, ALL],
    [0b11111, F_HIGH, NONE],
];

/// Scalar `ADDP` to `FMINP`.
pub(crate) const SCALAR_PAIRWISE: &[Row] = &[
    [0b11011, D, NONE],
    [0b01100, F_S, ALL],
    [0b01101, F_LOW_S, F_LOW],
    [0b01111, F_S, ALL],
];

/// Scalar multiplications by an element.
pub(crate) const SCALAR_INDEXED: &[Row] = &[
    [0b0001, F_INDEXED, NONE],
    [0b0011, HS, NONE],
    [0b0101, F_INDEXED, NONE],
    [0b0111, HS, NONE],
    [0b1001, F_INDEXED, F_INDEXED],
    [0b1011, HS, NONE],
    [0b1100, HS, NONE],
    [0b1101, HS, HS],
    [0b1111, NONE, HS],
];

/// Scalar shifts by an immediate.
pub(crate) const SCALAR_SHIFTS: &[Row] = &[
    [0b00000, D, D],
    [0b00010, D, D],
    [0b00100, D, D],
    [0b00110, D, D],
    [0b01000, NONE, D],
    [0b01010, D, D],
    [0b01100, NONE, ALL],
    [0b01110, ALL, ALL],
    [0b10000, NONE, BHS],
    [0b10001, NONE, BHS],
    [0b10010, BHS, BHS],
    [0b10011, BHS, BHS],
    [0b11100, HS | D, HS | D],
    [0b11111, HS | D, HS | D],
];
