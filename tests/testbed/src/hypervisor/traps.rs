//! What guests may do by themselves, and what takes them to EL2.

use core::arch::asm;

use aarch64_cpu::registers::{
    CPTR_EL2, HCR_EL2, HDFGRTR_EL2, HDFGWTR_EL2, HFGITR_EL2, HFGRTR_EL2, HFGWTR_EL2,
    ID_AA64MMFR0_EL1, ID_AA64MMFR1_EL1, ID_AA64PFR0_EL1, MDCR_EL2, MIDR_EL1, ReadWriteable,
    Readable, Writeable,
};

use super::{debug_registers, id_registers, pmu, sysreg};

/// Sets up what all vCPUs have in common on the executing CPU.
pub(crate) fn init_cpu() {
    HCR_EL2.write(
        HCR_EL2::RW::EL1IsAarch64
            + HCR_EL2::VM::Enable
            + HCR_EL2::IMO::EnableVirtualIRQ
            + HCR_EL2::FMO::EnableVirtualFIQ
            + HCR_EL2::AMO::SET
            + HCR_EL2::TWI::SET
            + HCR_EL2::TID3::SET
            + HCR_EL2::TACR::SET
            + HCR_EL2::TSC::EnableTrapEl1SmcToEl2,
    );
    if id_registers::has_pointer_authentication() {
        HCR_EL2.modify(HCR_EL2::API::SET + HCR_EL2::APK::SET);
    }
    // All reserved ones, which also traps SVE and SME, and trace and activity monitors; advanced SIMD is the guest's.
    CPTR_EL2.set(0x33ff | 1 << 20 | 1 << 30);
    // Performance monitors are for EL2; all counters are in the range that PMCR_EL0 switches on. Debug is shared out by
    // `debug_registers`.
    MDCR_EL2.write(
        MDCR_EL2::TPM::SET
            + MDCR_EL2::TPMCR::SET
            + MDCR_EL2::TDA::SET
            + MDCR_EL2::TDOSA::SET
            + MDCR_EL2::TDRA::SET
            + MDCR_EL2::HPMN.val(pmu::counters()),
    );
    debug_registers::init_cpu();
    trap_nothing_finer();
    sysreg::set_virtual_processor_id(MIDR_EL1.get());
    sysreg::context_barrier();
}

/// Tells whether guests sign pointers, with keys of their own.
pub(crate) fn gives_keys() -> bool {
    HCR_EL2.is_set(HCR_EL2::APK)
}

/// Clears the fine-grained traps, and the extended controls, whose values after a reset are unknown, where the
/// processor has them.
fn trap_nothing_finer() {
    const FGT: u32 = 56;
    const HCX: u32 = 40;
    const AMU: u32 = 44;
    if ID_AA64MMFR0_EL1.get() >> FGT & 0xf != 0 {
        HFGRTR_EL2.set(0);
        HFGWTR_EL2.set(0);
        HFGITR_EL2.set(0);
        HDFGRTR_EL2.set(0);
        HDFGWTR_EL2.set(0);
        if ID_AA64PFR0_EL1.get() >> AMU & 0xf != 0 {
            // SAFETY: the processor has the register, HAFGRTR_EL2, which only says what of the guest's is trapped.
            unsafe { asm!("msr s3_4_c3_c1_6, xzr", options(nostack, preserves_flags)) };
        }
    }
    if ID_AA64MMFR1_EL1.get() >> HCX & 0xf != 0 {
        // SAFETY: the processor has the register, HCRX_EL2, which only says what guests may do.
        unsafe { asm!("msr s3_4_c1_c2_2, xzr", options(nostack, preserves_flags)) };
    }
}
