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
    row("BC.cond", 0xff00_0010, 0x5400_0010, Branch, Lacks),
    row("CB<cc>", 0x7e00_0000, 0x7400_0000, Branch, Lacks),
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
    row("MOV register", 0x7fe0_ffe0, 0x2a00_03e0, Anything, Runs),
    row("MOVN", 0x7f80_0000, 0x1280_0000, Anything, Runs),
    row("MOVZ", 0x7f80_0000, 0x5280_0000, Anything, Runs),
    row("MOVK", 0x7f80_0000, 0x7280_0000, Anything, Runs),
    row("STR pre-indexed", 0xbfe0_0c00, 0xb800_0c00, Base, Runs),
    row("STP pre-indexed", 0x7fc0_0000, 0x2980_0000, Base, Runs),
    row("NOP", 0xffff_ffff, 0xd503_201f, Anything, Runs),
    row("YIELD", 0xffff_ffff, 0xd503_203f, Anything, Runs),
    row("DGH", 0xffff_ffff, 0xd503_20df, Anything, Runs),
    row("MRS NZCV", 0xffff_ffe0, 0xd53b_4200, Anything, Runs),
    row("MSR NZCV", 0xffff_ffe0, 0xd51b_4200, Anything, Runs),
    row("MRS DAIF", 0xffff_ffe0, 0xd53b_4220, Anything, Runs),
    row("MRS DIT", 0xffff_ffe0, 0xd53b_42a0, Anything, Runs),
    row("MRS SSBS", 0xffff_ffe0, 0xd53b_42c0, Anything, Runs),
    row("MRS TCO", 0xffff_ffe0, 0xd53b_42e0, Anything, Runs),
    row("MRS SPSel, CurrentEL", 0xffff_ffa0, 0xd538_4200, Anything, Runs),
    row("MRS PAN", 0xffff_ffe0, 0xd538_4260, Anything, Runs),
    row("MRS UAO", 0xffff_ffe0, 0xd538_4280, Anything, Runs),
    row("MRS ALLINT", 0xffff_ffe0, 0xd538_4300, Anything, Runs),
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
    row("RMIF", 0xffe0_7c10, 0xba00_0400, Anything, Runs),
    row("SETF8, SETF16", 0xffff_bc1f, 0x3a00_080d, Anything, Runs),
    row("CFINV, XAFLAG, AXFLAG", 0xffff_ff1f, 0xd500_401f, Anything, Runs),
    row("RBIT to CLS", 0x7fff_0000, 0x5ac0_0000, Anything, Runs),
    row("PACIA to XPACD", 0xffff_0000, 0xdac1_0000, Anything, Runs),
    row("SDIV to PACGA", 0x7fe0_0000, 0x1ac0_0000, Anything, Runs),
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
    row("LDRAA, LDRAB", 0xff20_0400, 0xf820_0400, Base, Runs),
    row("LDAPUR to STLUR", 0x3f20_0c00, 0x1900_0000, Base, Runs),
    row("LDAR, LDLAR, STLR, STLLR", 0x3fa0_0000, 0x0880_0000, Base, Runs),
    row("CAS", 0x3fa0_0000, 0x08a0_0000, Base, Runs),
    row("CASP", 0xbfa0_0000, 0x0820_0000, Base, Runs),
    row("DSB, DMB, ISB, SB, CLREX", 0xffff_f01f, 0xd503_301f, Anything, Runs),
    row("PACIASP to AUTIBZ, XPACLRI", 0xffff_f01f, 0xd503_201f, Anything, Runs),
    row("MRS, MSR TPIDR_EL0", 0xffdf_ffe0, 0xd51b_d040, Anything, Runs),
    row("MRS TPIDRRO_EL0", 0xffff_ffe0, 0xd53b_d060, Anything, Runs),
    row("MRS, MSR FPCR, FPSR", 0xffdf_ffc0, 0xd51b_4400, Anything, Runs),
    row("MRS CTR_EL0", 0xffff_ffe0, 0xd53b_0020, Anything, Runs),
    row("MRS DCZID_EL0", 0xffff_ffe0, 0xd53b_00e0, Anything, Runs),
    row("MRS MIDR_EL1, MPIDR_EL1, REVIDR_EL1", 0xffff_ff00, 0xd538_0000, Anything, Runs),
    row("MRS ID_*_EL1", 0xffff_fc00, 0xd538_0400, Anything, Runs),
    row("MRS CNTFRQ_EL0", 0xffff_ffe0, 0xd53b_e000, Anything, Runs),
    row("other system registers", 0xffd0_0000, 0xd510_0000, Anything, Lacks),
];

#[rustfmt::skip]
const VECTORS: &[Class] = &[
    row("LD1 to LD4, ST1 to ST4", 0xbfbf_0000, 0x0c00_0000, Base, Runs),
    row("LD1 to ST4 post-indexed", 0xbfa0_0000, 0x0c80_0000, Base, Runs),
    row("LD1 to ST4 of one structure", 0xbf9f_0000, 0x0d00_0000, Base, Runs),
    row("LD1 to ST4 of one structure, post-indexed", 0xbf80_0000, 0x0d80_0000, Base, Runs),
    row("LDNP, STNP", 0x3f80_0000, 0x2c00_0000, Base, Runs),
    row("LDP, STP post-indexed", 0x3f80_0000, 0x2c80_0000, Base, Runs),
    row("LDP, STP", 0x3f80_0000, 0x2d00_0000, Base, Runs),
    row("LDP, STP pre-indexed", 0x3f80_0000, 0x2d80_0000, Base, Runs),
    row("LDUR, STUR", 0x3f20_0c00, 0x3c00_0000, Base, Runs),
    row("LDR, STR post-indexed", 0x3f20_0c00, 0x3c00_0400, Base, Runs),
    row("LDR, STR pre-indexed", 0x3f20_0c00, 0x3c00_0c00, Base, Runs),
    row("LDR, STR of a register offset", 0x3f20_0c00, 0x3c20_0800, BaseAndRegister, Runs),
    row("LDR, STR of an unsigned offset", 0x3f00_0000, 0x3d00_0000, BaseAndImmediate, Runs),
    row("SCVTF to FCVTZU of fixed point", 0x7f20_0000, 0x1e00_0000, Anything, Runs),
    row("FCVTNS to FMOV, general registers", 0x7f20_fc00, 0x1e20_0000, Anything, Runs),
    row("FMOV to FRINT64X", 0xff20_7c00, 0x1e20_4000, Anything, Runs),
    row("FCMP", 0xff20_fc00, 0x1e20_2000, Anything, Runs),
    row("FMOV immediate", 0xff20_1c00, 0x1e20_1000, Anything, Runs),
    row("FCCMP", 0xff20_0c00, 0x1e20_0400, Anything, Runs),
    row("FMUL to FNMUL", 0xff20_0c00, 0x1e20_0800, Anything, Runs),
    row("FCSEL", 0xff20_0c00, 0x1e20_0c00, Anything, Runs),
    row("FMADD to FNMSUB", 0xff00_0000, 0x1f00_0000, Anything, Runs),
    row("SHADD to FDIV", 0x9f20_0400, 0x0e20_0400, Anything, Runs),
    row("SADDL to PMULL", 0x9f20_0c00, 0x0e20_0000, Anything, Runs),
    row("REV64 to FSQRT", 0x9f3e_0c00, 0x0e20_0800, Anything, Runs),
    row("SADDLV to FMINV", 0x9f3e_0c00, 0x0e30_0800, Anything, Runs),
    row("AESE to AESIMC", 0xff3e_0c00, 0x4e28_0800, Anything, Runs),
    row("UZP1 to ZIP2", 0xbf20_8c00, 0x0e00_0800, Anything, Runs),
    row("TBL, TBX", 0xbfe0_8c00, 0x0e00_0000, Anything, Runs),
    row("EXT", 0xbfe0_8400, 0x2e00_0000, Anything, Runs),
    row("DUP to INS", 0x9fe0_8400, 0x0e00_0400, Anything, Runs),
    row("MOVI to FMOV", 0x9ff8_0400, 0x0f00_0400, Anything, Runs),
    row("SSHR to FCVTZU", 0x9f80_0400, 0x0f00_0400, Anything, Runs),
    row("MLA to FMULX by an element", 0x9f00_0400, 0x0f00_0000, Anything, Runs),
    row("scalar SQADD to FABD", 0xdf20_0400, 0x5e20_0400, Anything, Runs),
    row("scalar SQDMLAL to SQDMULL", 0xff20_0c00, 0x5e20_0000, Anything, Runs),
    row("scalar SUQADD to FRECPX", 0xdf3e_0c00, 0x5e20_0800, Anything, Runs),
    row("scalar ADDP to FMINP", 0xdf3e_0c00, 0x5e30_0800, Anything, Runs),
    row("scalar DUP", 0xffe0_fc00, 0x5e00_0400, Anything, Runs),
    row("scalar SSHR to FCVTZU", 0xdf80_0400, 0x5f00_0400, Anything, Runs),
    row("scalar FMLA to FMULX by an element", 0xdf00_0400, 0x5f00_0000, Anything, Runs),
    row("SHA1H to SHA256SU0", 0xff3e_0c00, 0x5e28_0800, Anything, Runs),
    row("SHA1C to SHA256SU1", 0xffe0_8c00, 0x5e00_0000, Anything, Runs),
];
