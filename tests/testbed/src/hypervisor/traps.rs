//! What guests may do by themselves, and what takes them to EL2.

use aarch64_cpu::registers::{CPTR_EL2, HCR_EL2, MDCR_EL2, MIDR_EL1, Readable, Writeable};

use super::{pmu, sysreg};

/// Sets up what all vCPUs have in common on the executing CPU.
pub(crate) fn init_cpu() {
    HCR_EL2.write(
        HCR_EL2::RW::EL1IsAarch64
            + HCR_EL2::VM::Enable
            + HCR_EL2::IMO::EnableVirtualIRQ
            + HCR_EL2::FMO::EnableVirtualFIQ
            + HCR_EL2::AMO::SET
            + HCR_EL2::TWI::SET
            + HCR_EL2::TSC::EnableTrapEl1SmcToEl2,
    );
    // All reserved ones, which also traps SVE; advanced SIMD is the guest's.
    CPTR_EL2.set(0x33ff);
    // Performance monitors are for EL2; all counters are in the range that PMCR_EL0 switches on.
    MDCR_EL2.write(MDCR_EL2::TPM::SET + MDCR_EL2::TPMCR::SET + MDCR_EL2::HPMN.val(pmu::counters()));
    sysreg::set_virtual_processor_id(MIDR_EL1.get());
    sysreg::context_barrier();
}
