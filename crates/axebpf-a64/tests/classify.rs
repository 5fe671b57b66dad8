//! Which instructions may be displaced, and how. The words were assembled with LLVM.

use axebpf_a64::{Execution, Insn, LandingPad, Refusal, classify};
use proptest::prelude::*;

fn refusal(word: u32) -> Option<Refusal> {
    classify(word).err()
}

#[test]
fn position_independent_instructions_go_out_of_line() {
    for (word, text) in [
        (0xa93f_7bfd, "stp x29, x30, [sp, #-16]"),
        (0xa8c1_7bfd, "ldp x29, x30, [sp], #16"),
        (0xf940_0020, "ldr x0, [x1]"),
        (0x3840_1420, "ldrb w0, [x1], #1"),
        (0xf861_6840, "ldr x0, [x2, x1]"),
        (0x8b02_0020, "add x0, x1, x2"),
        (0xcb22_63ff, "sub sp, sp, x2"),
        (0xaa01_07e0, "orr x0, xzr, x1, lsl #1"),
        (0xaac1_03e0, "orr x0, xzr, x1, ror #0"),
        (0xaa21_03e0, "mvn x0, x1"),
        (0xaa01_0020, "orr x0, x1, x1"),
        (0xca01_03e0, "eor x0, xzr, x1"),
        (0xea01_03e0, "ands x0, xzr, x1"),
        (0xb240_03e0, "mov x0, #1, as orr"),
        (0x9240_0c00, "and x0, x0, #0xf"),
        (0xd344_fc00, "lsr x0, x0, #4"),
        (0x9ac2_0c20, "sdiv x0, x1, x2"),
        (0x9b02_7c20, "mul x0, x1, x2"),
        (0xdac0_1020, "clz x0, x1"),
        (0x9a82_0020, "csel x0, x1, x2, eq"),
        (0xfa42_0820, "ccmp x1, #2, #0, eq"),
        (0xc8df_fc20, "ldar x0, [x1]"),
        (0xf8e0_0041, "ldaddal x0, x1, [x2]"),
        (0xc8a0_7c41, "cas x0, x1, [x2]"),
        (0xd503_3fdf, "isb"),
        (0xd503_3b9f, "dsb ish"),
        (0xd503_233f, "paciasp"),
        (0xd503_23bf, "autiasp"),
        (0xd53b_d040, "mrs x0, tpidr_el0"),
        (0xd53c_d040, "mrs x0, tpidr_el2"),
        (0xd51b_d040, "msr tpidr_el0, x0"),
        (0xd538_00a0, "mrs x0, mpidr_el1"),
        (0xd53c_1100, "mrs x0, hcr_el2"),
        (0xd53c_c000, "mrs x0, vbar_el2"),
        (0xd538_cc00, "mrs x0, icc_iar1_el1"),
        (0xd518_cc20, "msr icc_eoir1_el1, x0"),
        (0xd51b_e320, "msr cntv_ctl_el0, x0"),
        (0xd538_7400, "mrs x0, par_el1"),
        (0xd51c_2100, "msr vttbr_el2, x0"),
        (0xd53d_5200, "mrs x0, esr_el12"),
        (0xdac1_0020, "pacia x0, x1"),
        (0xba00_0400, "rmif x0, #0, #0"),
        (0x3dc0_0020, "ldr q0, [x1]"),
        (0xad00_0400, "stp q0, q1, [x0]"),
        (0x4c40_2000, "ld1 { v0.16b, v1.16b, v2.16b, v3.16b }, [x0]"),
        (0x1e60_2800, "fadd d0, d0, d0"),
        (0x9e66_0020, "fmov x0, d1"),
        (0x4ea1_8420, "add v0.4s, v1.4s, v1.4s"),
        (0x4f00_e400, "movi v0.16b, #0"),
    ] {
        assert_eq!(classify(word), Ok(Execution::OutOfLine), "{text}");
    }
}

#[test]
fn each_reason_to_refuse_has_its_instructions() {
    use Refusal::{
        AuthenticatedBranch, Exception, ExceptionReturn, Exclusive, MemoryOperation,
        ProcessorState, SystemInstruction, SystemRegister, TrapControl, TrapRegister, Unknown,
        Unpredictable, Vector, VectorLiteral,
    };
    for (word, expected, text) in [
        (0x0000_0000, Exception, "udf #0"),
        (0xd420_0000, Exception, "brk #0"),
        (0xd400_0002, Exception, "hvc #0"),
        (0xd400_0003, Exception, "smc #0"),
        (0xd440_0000, Exception, "hlt #0"),
        (0xd69f_03e0, ExceptionReturn, "eret"),
        (0xd69f_0bff, ExceptionReturn, "eretaa"),
        (0xd6bf_03e0, ExceptionReturn, "drps"),
        (0xc85f_7c20, Exclusive, "ldxr x0, [x1]"),
        (0xc802_fc20, Exclusive, "stlxr w2, x0, [x1]"),
        (0xc87f_0440, Exclusive, "ldxp x0, x1, [x2]"),
        (0xd65f_0bff, AuthenticatedBranch, "retaa"),
        (0xd71f_0801, AuthenticatedBranch, "braa x0, x1"),
        (0xd63f_081f, AuthenticatedBranch, "blraaz x0"),
        (0xd503_4fdf, ProcessorState, "msr daifset, #15"),
        (0xd500_41bf, ProcessorState, "msr spsel, #1"),
        (0xd51b_4220, ProcessorState, "msr daif, x0"),
        (0xd500_409f, ProcessorState, "msr pan, #0"),
        (0xd53c_4020, TrapRegister, "mrs x0, elr_el2"),
        (0xd53c_4000, TrapRegister, "mrs x0, spsr_el2"),
        (0xd53c_5200, TrapRegister, "mrs x0, esr_el2"),
        (0xd53c_6000, TrapRegister, "mrs x0, far_el2"),
        (0xd53c_6080, TrapRegister, "mrs x0, hpfar_el2"),
        (0xd51e_1000, TrapControl, "msr sctlr_el3, x0"),
        (0xd51c_c000, TrapControl, "msr vbar_el2, x0"),
        (0xd51c_d040, TrapControl, "msr tpidr_el2, x0"),
        (0xd51c_2000, TrapControl, "msr ttbr0_el2, x0"),
        (0xd51c_4100, TrapControl, "msr sp_el1, x0"),
        (0xd53b_9d00, SystemRegister, "mrs x0, pmccntr_el0"),
        (0xd530_0240, SystemRegister, "mrs x0, mdscr_el1"),
        (0xd508_8720, SystemInstruction, "tlbi vae1, x0"),
        (0xd50b_7b20, SystemInstruction, "dc cvau, x0"),
        (0xa940_0020, Unpredictable, "ldp x0, x0, [x1]"),
        (0xa981_0400, Unpredictable, "stp x0, x1, [x0, #16]!"),
        (0xf840_8421, Unpredictable, "ldr x1, [x1], #8"),
        (0x9c00_0040, VectorLiteral, "ldr q0, #8"),
        (0x0420_0000, Vector, "add z0.b, z0.b, z0.b"),
        (0xc080_0000, Unknown, "mov za0h.s[w12, 0], p0/m, z0.s"),
        (0x1901_0440, MemoryOperation, "cpyfp [x0]!, [x1]!, x2!"),
        (0x19c2_0420, MemoryOperation, "setp [x0]!, x1!, x2"),
        (0xd503_21ff, Unknown, "hint #15"),
        (0x7480_0000, Unknown, "a comparison without a condition"),
        (0x12c0_0000, Unknown, "movn w0, #0, lsl #32"),
        (0x9240_fc00, Unknown, "and with all ones"),
        (0x0200_0000, Unknown, "nothing"),
    ] {
        assert_eq!(refusal(word), Some(expected), "{text}");
    }
}

#[test]
fn hints_are_taken_apart() {
    for (word, insn) in [
        (0xd503_201f, Insn::Nop),
        (0xd503_203f, Insn::Nop),
        (0xd503_241f, Insn::Bti(LandingPad::None)),
        (0xd503_245f, Insn::Bti(LandingPad::Call)),
        (0xd503_249f, Insn::Bti(LandingPad::Jump)),
        (0xd503_24df, Insn::Bti(LandingPad::Both)),
    ] {
        assert_eq!(classify(word), Ok(Execution::Simulate(insn)));
    }
}

/// Tells whether `word` reads or writes the program counter, after the encodings of ARM ARM C4 and
/// independently of the decoder.
fn knows_pc(word: u32) -> bool {
    let is = |mask: u32, value: u32| word & mask == value;
    is(0x1f00_0000, 0x1000_0000)            // ADR, ADRP
        || is(0x7c00_0000, 0x1400_0000)     // B, BL
        || is(0xfe00_0000, 0x5400_0000)     // B.cond, BC.cond
        || is(0x7c00_0000, 0x3400_0000)     // CBZ, CBNZ, TBZ, TBNZ
        || is(0xfe00_0000, 0xd600_0000)     // branches to registers
        || is(0xff00_0000, 0xd400_0000)     // exceptions
        || is(0x3b00_0000, 0x1800_0000)     // loads of literals
        || is(0xfe00_0000, 0x7400_0000) // compare and branch
        || is(0xfe00_0000, 0xf400_0000)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100_000))]

    #[test]
    fn nothing_that_knows_its_address_goes_out_of_line(word in any::<u32>()) {
        if classify(word) == Ok(Execution::OutOfLine) {
            prop_assert!(!knows_pc(word), "{word:#010x}");
        }
    }

    #[test]
    fn no_exclusive_is_accepted(fields in 0_u32..1 << 24, size in 0_u32..4) {
        let word = size << 30 | 0x0800_0000 | fields & 0x005f_ffff;
        prop_assert_eq!(refusal(word), Some(Refusal::Exclusive), "{:#010x}", word);
    }
}
