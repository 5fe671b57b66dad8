//! What a guest reads as the features of its processor (ARM ARM D24.2, the ID registers).
//!
//! It gets what the processor has, less what the testbed does not keep apart between guests: SVE, SME, memory tags, the
//! performance monitors, trace, error records, AArch32, and all that only a hypervisor uses.

use core::arch::asm;

/// Returns what `ID_*_EL1` with these last two numbers of its name in `S3_0_C0_C<m>_<op2>` reads as.
pub(crate) fn read(crm: u32, op2: u32) -> u64 {
    let value = processor(crm, op2);
    let kept = |fields: &[u32]| {
        fields
            .iter()
            .fold(0, |kept, &lowest| kept | value & 0xf << lowest)
    };
    let without =
        |fields: &[u32]| value & !fields.iter().fold(0, |all, &lowest| all | 0xf << lowest);
    match (crm, op2) {
        // AA64PFR0: both levels are AArch64 only. FP, AdvSIMD, GIC, DIT, CSV2 and CSV3 are the processor's.
        (4, 0) => 0x11 | kept(&[16, 20, 24, 48, 56, 60]),
        // AA64PFR1: BT and SSBS.
        (4, 1) => kept(&[0, 4]),
        // AA64DFR0: the debug architecture and how many breakpoints, watchpoints and contexts there are.
        (5, 0) => kept(&[0, 12, 20, 28, 36]),
        // AA64ISAR0: all but transactions.
        (6, 0) => without(&[24]),
        // AA64ISAR1: all but the loads and stores of 64 bytes.
        (6, 1) => without(&[60]),
        // AA64ISAR2: all but waiting with a limit, and copying memory.
        (6, 2) => without(&[0, 16]),
        // AA64MMFR0: all but what hypervisors control, with 36 bits of physical address, which stage 2 can map.
        (7, 0) => without(&[0, 56, 60]) | 1,
        // AA64MMFR1: all but the host extensions, limited ordering regions and what goes with them.
        (7, 1) => without(&[8, 16, 28, 32, 40]),
        // AA64MMFR2: all but nesting, stage 2 and finer traps.
        (7, 2) => without(&[24, 40, 56]),
        _ => 0,
    }
}

/// Tells whether the processor signs pointers, by whichever algorithm.
pub(crate) fn has_pointer_authentication() -> bool {
    const ISAR1_ALGORITHMS: u64 = 0xf << 4 | 0xf << 8;
    const ISAR2_ALGORITHM: u64 = 0xf << 12;
    processor(6, 1) & ISAR1_ALGORITHMS != 0 || processor(6, 2) & ISAR2_ALGORITHM != 0
}

/// Tells whether the processor has branch target identification.
pub(crate) fn has_branch_targets() -> bool {
    processor(4, 1) & 0xf != 0
}

/// Tells whether the processor has random numbers.
pub(crate) fn has_random_numbers() -> bool {
    processor(6, 0) >> 60 != 0
}

/// Returns how many breakpoints the processor has.
pub(crate) fn breakpoints() -> usize {
    (processor(5, 0) >> 12 & 0xf) as usize + 1
}

/// Returns how many watchpoints the processor has.
pub(crate) fn watchpoints() -> usize {
    (processor(5, 0) >> 20 & 0xf) as usize + 1
}

/// Reads an ID register of the processor.
fn processor(crm: u32, op2: u32) -> u64 {
    macro_rules! read_one {
        ($($crm:literal, $op2:literal;)*) => {
            match (crm, op2) {
                $(($crm, $op2) => {
                    let value: u64;
                    // SAFETY: reading an ID register, or one reserved for that, has no effect.
                    unsafe {
                        asm!(
                            concat!("mrs {}, s3_0_c0_c", $crm, "_", $op2),
                            out(reg) value,
                            options(nomem, nostack, preserves_flags)
                        )
                    };
                    value
                })*
                _ => 0,
            }
        };
    }
    read_one! {
        4, 0; 4, 1;
        5, 0;
        6, 0; 6, 1; 6, 2;
        7, 0; 7, 1; 7, 2;
    }
}
