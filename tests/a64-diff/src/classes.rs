//! The classes of instructions that the decoder accepts (ARM ARM C4).

use crate::Aim::{Anything, Base, BaseAndImmediate, BaseAndRegister, Branch, Literal};
use crate::Native::{Lacks, Runs};
use crate::{Aim, Class, Native};

/// Makes a row of a table.
const fn row(name: &'static str, mask: u32, value: u32, aim: Aim, native: Native) -> Class {
    Class {
        name,
        mask,
        value,
        aim,
        native,
    }
}

/// Returns the classes that are simulated.
#[must_use]
pub fn simulated() -> &'static [Class] {
    SIMULATED
}

/// Returns the classes of the base instruction set that go out of line.
#[must_use]
pub fn out_of_line() -> &'static [Class] {
    OUT_OF_LINE
}

/// Returns the classes that work on vector and floating-point registers, which go out of line.
#[must_use]
pub fn vectors() -> &'static [Class] {
    VECTORS
}

#[rustfmt::skip]
const SIMULATED: &[Class] = &[
    row("B", 0xfc00_0000, 0x1400_0000, Branch, Runs),
    row("BL", 0xfc00_0000, 0x9400_0000, Branch, Runs),
    row("B.cond", 0xff00_0010, 0x5400_0000, Branch, Runs),
    row("CBZ", 0x7f00_0000, 0x3400_0000, Branch, Runs),
    row("CBNZ", 0x7f00_0000, 0x3500_0000, Branch, Runs),
    row("TBZ", 0x7f00_0000, 0x3600_0000, Branch, Runs),
    row("TBNZ", 0x7f00_0000, 0x3700_0000, Branch, Runs),
    row("BR", 0xffff_fc1f, 0xd61f_0000, Branch, Runs),
    row("BLR", 0xffff_fc1f, 0xd63f_0000, Branch, Runs),
    row("RET", 0xffff_fc1f, 0xd65f_0000, Branch, Runs),
    row("ADR", 0x9f00_0000, 0x1000_0000, Anything, Runs),
    row("ADRP", 0x9f00_0000, 0x9000_0000, Anything, Runs),
    row("LDR literal W", 0xff00_0000, 0x1800_0000, Literal, Runs),
    row("LDR literal X", 0xff00_0000, 0x5800_0000, Literal, Runs),
    row("LDRSW literal", 0xff00_0000, 0x9800_0000, Literal, Runs),
    row("PRFM literal", 0xff00_0000, 0xd800_0000, Literal, Runs),
    row("ADD immediate", 0x7f80_0000, 0x1100_0000, Anything, Runs),
    row("ADDS immediate", 0x7f80_0000, 0x3100_0000, Anything, Runs),
    row("SUB immediate", 0x7f80_0000, 0x5100_0000, Anything, Runs),
    row("SUBS immediate", 0x7f80_0000, 0x7100_0000, Anything, Runs),
    row("MOVN", 0x7f80_0000, 0x1280_0000, Anything, Runs),
    row("MOVZ", 0x7f80_0000, 0x5280_0000, Anything, Runs),
    row("MOVK", 0x7f80_0000, 0x7280_0000, Anything, Runs),
    row("STR pre-indexed", 0xbfe0_0c00, 0xb800_0c00, Base, Runs),
    row("STP pre-indexed", 0x7fc0_0000, 0x2980_0000, Base, Runs),
    row("NOP", 0xffff_ffff, 0xd503_201f, Anything, Runs),
    row("YIELD", 0xffff_ffff, 0xd503_203f, Anything, Runs),
    row("DGH", 0xffff_ffff, 0xd503_20df, Anything, Runs),
    row("BTI", 0xffff_ff3f, 0xd503_241f, Anything, Runs),
];

#[rustfmt::skip]
const OUT_OF_LINE: &[Class] = &[
    row("AND, ORR, EOR, ANDS immediate", 0x1f80_0000, 0x1200_0000, Anything, Runs),
    row("BFM, SBFM, UBFM", 0x1f80_0000, 0x1300_0000, Anything, Runs),
    row("EXTR", 0x7fa0_0000, 0x1380_0000, Anything, Runs),
    row("AND to BICS, shifted register", 0x1f00_0000, 0x0a00_0000, Anything, Runs),
    row("ADD to SUBS, shifted register", 0x1f20_0000, 0x0b00_0000, Anything, Runs),
    row("ADD to SUBS, extended register", 0x1fe0_0000, 0x0b20_0000, Anything, Runs),
    row("ADC to SBCS", 0x1fe0_fc00, 0x1a00_0000, Anything, Runs),
    row("CCMN, CCMP", 0x3fe0_0410, 0x3a40_0000, Anything, Runs),
    row("CSEL to CSNEG", 0x3fe0_0800, 0x1a80_0000, Anything, Runs),
    row("RBIT to CLS", 0x7fff_0000, 0x5ac0_0000, Anything, Runs),
    row("SDIV to CRC32CX", 0x7fe0_0000, 0x1ac0_0000, Anything, Runs),
    row("MADD to UMULH", 0x7f00_0000, 0x1b00_0000, Anything, Runs),
    row("LDNP, STNP", 0x3f80_0000, 0x2800_0000, Base, Runs),
    row("LDP, STP post-indexed", 0x3f80_0000, 0x2880_0000, Base, Runs),
    row("LDP, STP", 0x3f80_0000, 0x2900_0000, Base, Runs),
    row("LDP pre-indexed", 0x3fc0_0000, 0x29c0_0000, Base, Runs),
    row("LDUR to STUR", 0x3f20_0c00, 0x3800_0000, Base, Runs),
    row("LDR, STR post-indexed", 0x3f20_0c00, 0x3800_0400, Base, Runs),
    row("LDTR to STTR", 0x3f20_0c00, 0x3800_0800, Base, Runs),
    row("LDR, STR pre-indexed", 0x3f20_0c00, 0x3800_0c00, Base, Runs),
    row("LDR, STR of a register offset", 0x3f20_0c00, 0x3820_0800, BaseAndRegister, Runs),
    row("LDR, STR, PRFM of an unsigned offset", 0x3f00_0000, 0x3900_0000, BaseAndImmediate, Runs),
    row("LDADD to LDAPR", 0x3f20_0c00, 0x3820_0000, Base, Runs),
    row("LDAR, LDLAR, STLR, STLLR", 0x3fa0_0000, 0x0880_0000, Base, Runs),
    row("CAS", 0x3fa0_0000, 0x08a0_0000, Base, Runs),
    row("CASP", 0xbfa0_0000, 0x0820_0000, Base, Runs),
    row("DSB, DMB, ISB, SB, CLREX", 0xffff_f01f, 0xd503_301f, Anything, Runs),
    row("PACIASP to AUTIBZ, XPACLRI", 0xffff_f01f, 0xd503_201f, Anything, Runs),
    row("system registers", 0xffd0_0000, 0xd510_0000, Anything, Lacks),
];

#[rustfmt::skip]
const VECTORS: &[Class] = &[
];
