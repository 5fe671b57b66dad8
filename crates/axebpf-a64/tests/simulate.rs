//! What the simulated instructions do. The words were assembled with LLVM.

use std::collections::BTreeMap;

use axebpf_a64::{
    BranchTargets, Cond, Execution, Flags, Memory, MemoryFault, PtRegs, SimulateError, classify,
    simulate,
};
use proptest::prelude::*;

const PC: u64 = 0xffff_8000_1234_5678 & !3;

/// Memory in which every byte below the limit can be accessed.
#[derive(Default)]
struct Bytes(BTreeMap<u64, u8>);

const LIMIT: u64 = 0xffff_8000_2000_0000;

impl Memory for Bytes {
    fn read(&mut self, addr: u64, bytes: &mut [u8]) -> Result<(), MemoryFault> {
        for (at, byte) in (addr..).zip(bytes) {
            *byte = *self.0.get(&at).ok_or(MemoryFault { addr })?;
        }
        Ok(())
    }

    fn write(&mut self, addr: u64, bytes: &[u8]) -> Result<(), MemoryFault> {
        if addr + bytes.len() as u64 > LIMIT {
            return Err(MemoryFault { addr });
        }
        self.0.extend((addr..).zip(bytes.iter().copied()));
        Ok(())
    }
}

impl Bytes {
    fn doubleword(&self, addr: u64) -> u64 {
        let bytes: Vec<u8> = (addr..addr + 8).map(|a| self.0[&a]).collect();
        u64::from_le_bytes(bytes.try_into().unwrap())
    }
}

/// Returns registers of which each has a value of its own.
fn regs() -> PtRegs {
    let mut regs = PtRegs {
        sp: 0xffff_8000_1000_0000,
        pc: PC,
        pstate: 0x3c9,
        ..PtRegs::default()
    };
    for (n, reg) in (1..).zip(&mut regs.regs) {
        *reg = 0x0101_0101_0101_0101 * n;
    }
    regs
}

fn step(word: u32, regs: &mut PtRegs, memory: &mut Bytes) -> Result<(), SimulateError> {
    match classify(word) {
        Ok(Execution::Simulate(insn)) => simulate(insn, regs, memory, BranchTargets::Unimplemented),
        other => panic!("{word:#010x} is {other:?}"),
    }
}

/// Executes `word` on registers that `change` prepared, and returns them.
fn run_with(word: u32, change: impl FnOnce(&mut PtRegs)) -> PtRegs {
    let mut regs = regs();
    change(&mut regs);
    step(word, &mut regs, &mut Bytes::default()).unwrap();
    regs
}

fn run(word: u32) -> PtRegs {
    run_with(word, |_| {})
}

/// Returns what remains of the registers after `word` if only the program counter has moved on.
fn only_next() -> PtRegs {
    PtRegs {
        pc: PC + 4,
        ..regs()
    }
}

#[test]
fn hints_change_nothing() {
    for word in [0xd503_201f, 0xd503_203f, 0xd503_245f, 0xd880_0000] {
        assert_eq!(run(word), only_next());
    }
}

#[test]
fn branches_go_forwards_backwards_and_round() {
    assert_eq!(run(0x1400_0002).pc, PC + 8); // b .+8
    assert_eq!(run(0x17ff_ffff).pc, PC - 4); // b .-4
    assert_eq!(run(0x15ff_ffff).pc, PC + 0x7ff_fffc); // b .+0x7fffffc
    assert_eq!(run(0x1600_0000).pc, PC - 0x800_0000); // b .-0x8000000
    assert_eq!(run_with(0x17ff_ffff, |r| r.pc = 0).pc, u64::MAX - 3);
    let linked = run(0x97ff_fffe); // bl .-8
    assert_eq!((linked.pc, linked.regs[30]), (PC - 8, PC + 4));
}

#[test]
fn conditions_follow_the_flags() {
    // In the order of the encoding, with one set of flags for which each holds.
    for (field, nzcv) in [
        (0, 4),
        (1, 0),
        (2, 2),
        (3, 0),
        (4, 8),
        (5, 0),
        (6, 1),
        (7, 0),
    ] {
        assert!(Cond::from_field(field).holds(Flags::from_nzcv(nzcv)));
        assert!(!Cond::from_field(field ^ 1).holds(Flags::from_nzcv(nzcv)));
    }
    for nzcv in 0..16_u8 {
        let flags = Flags::from_nzcv(nzcv);
        let [n, z, c, v] = [nzcv & 8 != 0, nzcv & 4 != 0, nzcv & 2 != 0, nzcv & 1 != 0];
        assert_eq!(Cond::from_field(8).holds(flags), c && !z);
        assert_eq!(Cond::from_field(9).holds(flags), !c || z);
        assert_eq!(Cond::from_field(10).holds(flags), n == v);
        assert_eq!(Cond::from_field(11).holds(flags), n != v);
        assert_eq!(Cond::from_field(12).holds(flags), !z && n == v);
        assert_eq!(Cond::from_field(13).holds(flags), z || n != v);
        assert!(Cond::from_field(14).holds(flags) && Cond::from_field(15).holds(flags));
        let set = |r: &mut PtRegs| r.set_flags(flags);
        let taken = run_with(0x5400_0080, set).pc; // b.eq .+16
        assert_eq!(taken, if z { PC + 16 } else { PC + 4 });
    }
}

#[test]
fn compare_and_test_branches_look_at_their_width_and_bit() {
    let high = |r: &mut PtRegs| r.regs[3] = 1 << 40;
    assert_eq!(run_with(0x3400_0043, high).pc, PC + 8); // cbz w3, .+8
    assert_eq!(run_with(0xb400_0043, high).pc, PC + 4); // cbz x3, .+8
    assert_eq!(run_with(0xb500_0043, high).pc, PC + 8); // cbnz x3, .+8
    assert_eq!(run(0xb400_005f).pc, PC + 8); // cbz xzr, .+8
    assert_eq!(run_with(0xb740_0043, high).pc, PC + 8); // tbnz x3, #40, .+8
    assert_eq!(run_with(0xb640_0043, high).pc, PC + 4); // tbz x3, #40, .+8
    assert_eq!(run_with(0xb648_0043, high).pc, PC + 8); // tbz x3, #41, .+8
}

#[test]
fn branches_to_registers_read_before_they_link() {
    let to = |r: &mut PtRegs| r.regs[30] = 0x4000;
    let linked = run_with(0xd63f_03c0, to); // blr x30
    assert_eq!((linked.pc, linked.regs[30]), (0x4000, PC + 4));
    let returned = run_with(0xd65f_03c0, to); // ret
    assert_eq!((returned.pc, returned.regs[30]), (0x4000, 0x4000));
    assert_eq!(run(0xd61f_0020).pc, 0x0202_0202_0202_0202); // br x1
}

#[test]
fn addresses_are_relative_to_the_instruction_or_its_page() {
    assert_eq!(run(0x1000_0020).regs[0], PC + 4); // adr x0, .+4
    assert_eq!(run(0x70ff_ffe0).regs[0], PC - 1); // adr x0, .-1
    assert_eq!(run(0xb000_0000).regs[0], (PC & !0xfff) + 0x1000); // adrp x0, .+0x1000
    assert_eq!(run(0xf0ff_ffe0).regs[0], (PC & !0xfff) - 0x1000); // adrp x0, .-0x1000
    assert_eq!(run(0xb000_001f), only_next()); // adrp xzr, .+0x1000
}

#[test]
fn moves_write_sixteen_bits_and_their_surroundings() {
    assert_eq!(run(0xd282_4680).regs[0], 0x1234); // mov x0, #0x1234
    assert_eq!(run(0xd2e2_4680).regs[0], 0x1234 << 48); // mov x0, #0x1234000000000000
    assert_eq!(run(0x9282_4680).regs[0], !0x1234); // mov x0, #-0x1235
    assert_eq!(run(0x1282_4680).regs[0], 0xffff_edcb); // mov w0, #-0x1235
    assert_eq!(run(0xf2c2_4680).regs[0], 0x0101_1234_0101_0101); // movk x0, #0x1234, lsl #32
    assert_eq!(run(0x72a2_4680).regs[0], 0x1234_0101); // movk w0, #0x1234, lsl #16
}

#[test]
fn moves_between_registers_know_their_width_and_the_zero_register() {
    let moved = |to: usize, value: u64| {
        let mut regs = only_next();
        regs.regs[to] = value;
        regs
    };
    assert_eq!(run(0xaa1e_03e9), moved(9, regs().regs[30])); // mov x9, x30
    assert_eq!(run(0x2a04_03e3), moved(3, 0x0505_0505)); // mov w3, w4
    assert_eq!(run(0x2a04_03e4), moved(4, 0x0505_0505)); // mov w4, w4
    assert_eq!(run(0xaa1f_03e5), moved(5, 0)); // mov x5, xzr
    assert_eq!(run(0xaa02_03ff), only_next()); // mov xzr, x2
}

#[test]
fn additions_know_the_stack_pointer_the_zero_register_and_the_flags() {
    let sp = regs().sp;
    assert_eq!(run(0x9100_43fd).regs[29], sp + 16); // add x29, sp, #16
    assert_eq!(run(0xd100_83ff).sp, sp - 32); // sub sp, sp, #32
    assert_eq!(run(0x9140_07e0).regs[0], sp + 0x1000); // add x0, sp, #1, lsl #12
    assert_eq!(run(0x1100_0420).regs[0], 0x0202_0203); // add w0, w1, #1
    let compared = run_with(0xf100_043f, |r| r.regs[1] = 1); // cmp x1, #1
    assert_eq!(compared.flags().nzcv(), 0b0110);
    assert_eq!(compared.sp, sp);
    for (word, left, value, nzcv) in [
        (0xb100_0420_u32, u64::MAX, 0, 0b0110), // adds x0, x1, #1
        (0xb100_0420, i64::MAX as u64, 1 << 63, 0b1001), // adds x0, x1, #1
        (0xf100_0420, 0, u64::MAX, 0b1000),     // subs x0, x1, #1
        (0xf100_0420, 1 << 63, i64::MAX as u64, 0b0011), // subs x0, x1, #1
        (0x3100_0420, 0xffff_ffff_ffff_ffff, 0, 0b0110), // adds w0, w1, #1
        (0x7100_0420, 0x1_0000_0000, 0xffff_ffff, 0b1000), // subs w0, w1, #1
        (0x3100_0420, 0x7fff_ffff, 0x8000_0000, 0b1001), // adds w0, w1, #1
    ] {
        let regs = run_with(word, |r| r.regs[1] = left);
        assert_eq!(
            (regs.regs[0], regs.flags().nzcv()),
            (value, nzcv),
            "{word:#x} {left:#x}"
        );
        assert_eq!(regs.pstate & !(0xf << 28), 0x3c9);
    }
}

#[test]
fn literals_are_loaded_from_near_the_instruction() {
    let mut memory = Bytes::default();
    memory
        .write(PC + 8, &0x8877_6655_f433_2211_u64.to_le_bytes())
        .unwrap();
    for (word, value) in [
        (0x5800_0040, 0x8877_6655_f433_2211), // ldr x0, .+8
        (0x1800_0040, 0xf433_2211),           // ldr w0, .+8
        (0x9800_0040, 0xffff_ffff_f433_2211), // ldrsw x0, .+8
    ] {
        let mut after = regs();
        step(word, &mut after, &mut memory).unwrap();
        assert_eq!((after.regs[0], after.pc), (value, PC + 4));
    }
    let mut after = regs();
    let error = step(0x5800_0060, &mut after, &mut memory).unwrap_err(); // ldr x0, .+12
    assert_eq!(error, MemoryFault { addr: PC + 12 }.into());
    assert_eq!(after, regs());
}

#[test]
fn stores_with_pre_indexing_write_and_move_the_base() {
    let mut memory = Bytes::default();
    let mut after = regs();
    step(0xa9be_7bfd, &mut after, &mut memory).unwrap(); // stp x29, x30, [sp, #-32]!
    assert_eq!(after.sp, regs().sp - 32);
    assert_eq!(memory.doubleword(after.sp), regs().regs[29]);
    assert_eq!(memory.doubleword(after.sp + 8), regs().regs[30]);
    step(0xf81f_0ffe, &mut after, &mut memory).unwrap(); // str x30, [sp, #-16]!
    assert_eq!(after.sp, regs().sp - 48);
    assert_eq!(memory.doubleword(after.sp), regs().regs[30]);
    assert_eq!(after.pc, PC + 8);
    after.regs[2] = 0x1000;
    step(0xb800_4c5f, &mut after, &mut memory).unwrap(); // str wzr, [x2, #4]!
    assert_eq!(after.regs[2], 0x1004);
    assert_eq!(memory.0.range(0x1000..0x1100).count(), 4);
    step(0x2981_0440, &mut after, &mut memory).unwrap(); // stp w0, w1, [x2, #8]!
    assert_eq!(memory.doubleword(0x100c), 0x0202_0202_0101_0101);
}

#[test]
fn a_store_that_faults_changes_nothing() {
    for (sp, error) in [
        (LIMIT + 16, MemoryFault { addr: LIMIT }.into()),
        (0x1008, SimulateError::StackAlignment { sp: 0x1008 }),
    ] {
        let mut memory = Bytes::default();
        let before = PtRegs { sp, ..regs() };
        let mut after = before;
        // stp x29, x30, [sp, #-16]!
        assert_eq!(step(0xa9bf_7bfd, &mut after, &mut memory), Err(error));
        assert_eq!(after, before);
        assert!(memory.0.is_empty());
    }
}

#[test]
fn landing_pads_and_branch_types_are_kept() {
    let go = |word: u32, btype: u64, targets: BranchTargets| {
        let mut regs = regs();
        regs.pstate |= btype << 10;
        let Ok(Execution::Simulate(insn)) = classify(word) else {
            panic!("{word:#010x}");
        };
        simulate(insn, &mut regs, &mut Bytes::default(), targets).map(|()| regs.btype())
    };
    use BranchTargets::{Guarded, Unguarded, Unimplemented};
    let (nop, bti, bti_c, bti_j, bti_jc) = (
        0xd503_201f,
        0xd503_241f,
        0xd503_245f,
        0xd503_249f,
        0xd503_24df,
    );
    for (btype, accepting) in [
        (1, &[bti_c, bti_j, bti_jc][..]),
        (2, &[bti_c, bti_jc]),
        (3, &[bti_j, bti_jc]),
    ] {
        for word in [nop, bti, bti_c, bti_j, bti_jc] {
            let expected = if accepting.contains(&word) {
                Ok(0)
            } else {
                Err(SimulateError::BranchTarget { btype: btype as u8 })
            };
            assert_eq!(go(word, btype, Guarded), expected);
            assert_eq!(go(word, btype, Unguarded), Ok(0));
        }
    }
    let (br_x1, br_x16, blr_x1, ret) = (0xd61f_0020, 0xd61f_0200, 0xd63f_0020, 0xd65f_03c0);
    for (word, unguarded, guarded) in [(br_x1, 1, 3), (br_x16, 1, 1), (blr_x1, 2, 2), (ret, 0, 0)] {
        assert_eq!(go(word, 0, Unguarded), Ok(unguarded));
        assert_eq!(go(word, 0, Guarded), Ok(guarded));
        assert_eq!(go(word, 0, Unimplemented), Ok(0));
    }
}

#[test]
fn comparisons_branch_on_what_they_compare() {
    // FEAT_CMPBR, from the pseudocode of ARM ARM C6.2: no oracle executes it yet. Each branches 8 bytes ahead.
    let taken = |word: u32, left: u64, right: u64| {
        let after = run_with(word, |r| (r.regs[1], r.regs[2]) = (left, right));
        assert!(after.pc == PC + 8 || after.pc == PC + 4);
        after.pc == PC + 8
    };
    let minus_one = u64::MAX;
    for (word, text, left, right, expected) in [
        (0xf402_0041, "cbgt x1, x2", 1, minus_one, true),
        (0xf402_0041, "cbgt x1, x2", 1, 1, false),
        (0xf422_0041, "cbge x1, x2", 1, 1, true),
        (0xf442_0041, "cbhi x1, x2", 1, minus_one, false),
        (0xf462_0041, "cbhs x1, x2", minus_one, minus_one, true),
        (0xf4c2_0041, "cbeq x1, x2", 1 << 32, 0, false),
        (0x74c2_0041, "cbeq w1, w2", 1 << 32, 0, true),
        (0x74e2_0041, "cbne w1, w2", 1 << 31, 0, true),
        (0x7402_8041, "cbbgt w1, w2", 0x7f, 0x80, true),
        (0x7442_8041, "cbbhi w1, w2", 0x7f, 0x80, false),
        (0x74c2_8041, "cbbeq w1, w2", 0x17f, 0x27f, true),
        (0x7402_c041, "cbhgt w1, w2", 0x8000, 0x7fff, false),
        (0x7442_c041, "cbhhi w1, w2", 0x8000, 0x7fff, true),
        (0xf500_8041, "cbgt x1, #1", 2, 0, true),
        (0xf520_8041, "cblt x1, #1", minus_one, 0, true),
        (0x7540_8041, "cbhi w1, #1", 1 << 32, 0, false),
        (0x7560_8041, "cblo w1, #1", 1 << 32, 0, true),
        (0x75df_8041, "cbeq w1, #63", 63, 0, true),
        (0x75ff_8041, "cbne w1, #63", 63, 0, false),
    ] {
        assert_eq!(taken(word, left, right), expected, "{text}");
    }
    assert_eq!(run_with(0x7462_3fc1, |r| r.regs[2] = 0).pc, PC - 8); // cbhs w1, w2, .-8
    let consistent = run_with(0x5400_0050, |r| r.set_flags(Flags::from_nzcv(4))); // bc.eq .+8
    assert_eq!(consistent.pc, PC + 8);
    assert_eq!(run(0x5400_0050).pc, PC + 4);
}

#[test]
fn the_processor_state_is_that_of_the_interrupted_code() {
    let pstate = 0xa3c0_3365;
    for (word, value, text) in [
        (0xd53b_4200_u32, 0xa000_0000, "mrs x0, nzcv"),
        (0xd53b_4220, 0x340, "mrs x0, daif"),
        (0xd538_4240, 0x4, "mrs x0, currentel"),
        (0xd538_4200, 1, "mrs x0, spsel"),
        (0xd538_4260, 1 << 22, "mrs x0, pan"),
        (0xd538_4280, 1 << 23, "mrs x0, uao"),
        (0xd53b_42a0, 1 << 24, "mrs x0, dit"),
        (0xd53b_42c0, 1 << 12, "mrs x0, ssbs"),
        (0xd53b_42e0, 1 << 25, "mrs x0, tco"),
        (0xd538_4300, 1 << 13, "mrs x0, allint"),
    ] {
        let after = run_with(word, |r| r.pstate = pstate);
        assert_eq!(after.regs[0], value, "{text}");
        assert_eq!(after.pstate, pstate);
    }
    let at_el0 = PtRegs {
        pstate: 0,
        ..regs()
    };
    let mut after = at_el0;
    let error = step(0xd53b_4220, &mut after, &mut Bytes::default()).unwrap_err(); // mrs x0, daif
    assert_eq!((error, after), (SimulateError::Privileged, at_el0));
    let flagged = run_with(0xd51b_4200, |r| r.regs[0] = 0x9fff_ffff); // msr nzcv, x0
    assert_eq!(
        (flagged.flags().nzcv(), flagged.pstate & 0xfff_ffff),
        (9, 0x3c9)
    );
}

#[test]
fn the_registers_have_the_layout_of_linux() {
    assert_eq!(size_of::<PtRegs>(), 34 * 8);
    assert_eq!(core::mem::offset_of!(PtRegs, sp), 31 * 8);
    assert_eq!(core::mem::offset_of!(PtRegs, pc), 32 * 8);
    assert_eq!(core::mem::offset_of!(PtRegs, pstate), 33 * 8);
    let regs = regs();
    assert_eq!(regs.arg(0), Some(regs.regs[0]));
    assert_eq!(regs.arg(7), Some(regs.regs[7]));
    assert_eq!(regs.arg(8), None);
    assert_eq!(
        (regs.return_value(), regs.return_address()),
        (regs.regs[0], regs.regs[30])
    );
}

proptest! {
    #[test]
    fn additions_agree_with_plain_arithmetic(left: u64, imm in 0_u32..4096, minus: bool, wide: bool) {
        let word = 0x3100_0020 | u32::from(wide) << 31 | u32::from(minus) << 30 | imm << 10;
        let after = run_with(word, |r| r.regs[1] = left);
        let right = u64::from(imm);
        let (value, carry, overflow) = match (wide, minus) {
            (true, false) => {
                let (v, c) = left.overflowing_add(right);
                (v, c, left.cast_signed().overflowing_add(right.cast_signed()).1)
            }
            (true, true) => {
                let (v, borrow) = left.overflowing_sub(right);
                (v, !borrow, left.cast_signed().overflowing_sub(right.cast_signed()).1)
            }
            (false, false) => {
                let (v, c) = (left as u32).overflowing_add(imm);
                (v.into(), c, (left as i32).overflowing_add(imm as i32).1)
            }
            (false, true) => {
                let (v, borrow) = (left as u32).overflowing_sub(imm);
                (v.into(), !borrow, (left as i32).overflowing_sub(imm as i32).1)
            }
        };
        let sign = if wide { value >> 63 } else { value >> 31 } != 0;
        let nzcv = [sign, value == 0, carry, overflow]
            .iter()
            .fold(0, |flags, &flag| flags << 1 | u8::from(flag));
        prop_assert_eq!(after.regs[0], value);
        prop_assert_eq!(after.flags().nzcv(), nzcv);
    }

    #[test]
    fn every_word_can_be_tried(word: u32, values: [u64; 32], pc: u64, pstate: u64) {
        if let Ok(Execution::Simulate(insn)) = classify(word) {
            let mut regs = PtRegs { pc: pc & !3, pstate, sp: values[31], ..PtRegs::default() };
            regs.regs.copy_from_slice(&values[..31]);
            let before = regs;
            /// Memory that is nowhere.
            struct Nowhere;
            impl Memory for Nowhere {
                fn read(&mut self, addr: u64, _: &mut [u8]) -> Result<(), MemoryFault> {
                    Err(MemoryFault { addr })
                }
                fn write(&mut self, addr: u64, _: &[u8]) -> Result<(), MemoryFault> {
                    Err(MemoryFault { addr })
                }
            }
            if simulate(insn, &mut regs, &mut Nowhere, BranchTargets::Guarded).is_err() {
                prop_assert_eq!(regs, before);
            }
        }
    }
}
