//! What a CPU holds of a vCPU while it is loaded, and memory holds while it is not.

use core::arch::{asm, global_asm};

use aarch64_cpu::registers::*;

use super::{traps, vgic::Vgic};

/// All registers of a vCPU that EL2 does not use itself, and that therefore change hands only with the vCPU.
#[derive(Default)]
pub(crate) struct Banked {
    system: SystemRegisters,
    keys: PointerKeys,
    vectors: VectorRegisters,
    vgic: Vgic,
    timer_control: u64,
    timer_compare: u64,
    /// Why the vCPU left the guest last.
    pub(crate) exit_reason: Option<u32>,
}

impl Banked {
    /// Returns what a vCPU starts with.
    pub(crate) fn at_reset() -> Self {
        Self {
            system: SystemRegisters::at_reset(),
            ..Self::default()
        }
    }

    /// Puts the values into this CPU's registers.
    pub(crate) fn load(&self) {
        self.system.load();
        self.keys.load();
        self.vectors.load();
        self.vgic.load();
        CNTV_CVAL_EL0.set(self.timer_compare);
        CNTV_CTL_EL0.set(self.timer_control);
    }

    /// Takes the values out of this CPU's registers.
    pub(crate) fn unload(&mut self) {
        self.timer_control = CNTV_CTL_EL0.get();
        self.timer_compare = CNTV_CVAL_EL0.get();
        CNTV_CTL_EL0.set(0);
        self.vgic.unload();
        self.vectors.unload();
        self.keys.unload();
        self.system.unload();
    }
}

macro_rules! guest_registers {
    ($($register:ident),* $(,)?) => {
        /// The EL1 and EL0 system registers of a vCPU.
        #[derive(Default)]
        #[allow(non_snake_case, reason = "the fields are named like the registers")]
        struct SystemRegisters {
            $($register: u64,)*
        }

        impl SystemRegisters {
            /// Puts the values into this CPU's registers.
            fn load(&self) {
                $($register.set(self.$register);)*
            }

            /// Takes the values out of this CPU's registers.
            fn unload(&mut self) {
                $(self.$register = $register.get();)*
            }
        }
    };
}

guest_registers! {
    ACTLR_EL1, AFSR0_EL1, AFSR1_EL1, AMAIR_EL1, CNTKCTL_EL1, CONTEXTIDR_EL1, CPACR_EL1,
    CSSELR_EL1, ELR_EL1, ESR_EL1, FAR_EL1, MAIR_EL1, PAR_EL1, SCTLR_EL1, SP_EL0, SP_EL1,
    SPSR_EL1, TCR_EL1, TPIDR_EL0, TPIDR_EL1, TPIDRRO_EL0, TTBR0_EL1, TTBR1_EL1, VBAR_EL1,
}

impl SystemRegisters {
    /// Returns what a vCPU starts with: translation and caches off, all else zero.
    fn at_reset() -> Self {
        const SCTLR_RES1: u64 = 0x30d0_0800;
        Self {
            SCTLR_EL1: SCTLR_RES1,
            ..Self::default()
        }
    }
}

/// The keys with which a vCPU signs pointers, where the processor does that. EL2 itself does not sign.
#[derive(Default)]
struct PointerKeys([u64; 10]);

macro_rules! for_each_key {
    ($visit:ident) => {
        $visit! {
            0 "s3_0_c2_c1_0", 1 "s3_0_c2_c1_1", 2 "s3_0_c2_c1_2", 3 "s3_0_c2_c1_3",
            4 "s3_0_c2_c2_0", 5 "s3_0_c2_c2_1", 6 "s3_0_c2_c2_2", 7 "s3_0_c2_c2_3",
            8 "s3_0_c2_c3_0", 9 "s3_0_c2_c3_1",
        }
    };
}

impl PointerKeys {
    /// Puts the values into this CPU's registers.
    fn load(&self) {
        macro_rules! write {
            ($($index:literal $name:literal,)*) => {$(
                // SAFETY: the processor has the register, and EL2 does not sign with it.
                unsafe {
                    asm!(concat!("msr ", $name, ", {}"), in(reg) self.0[$index], options(nomem, nostack, preserves_flags))
                }
            )*};
        }
        if traps::gives_keys() {
            for_each_key!(write);
        }
    }

    /// Takes the values out of this CPU's registers.
    fn unload(&mut self) {
        macro_rules! read {
            ($($index:literal $name:literal,)*) => {$(
                // SAFETY: the processor has the register, and reading it has no effect.
                unsafe {
                    asm!(concat!("mrs {}, ", $name), out(reg) self.0[$index], options(nomem, nostack, preserves_flags))
                }
            )*};
        }
        if traps::gives_keys() {
            for_each_key!(read);
        }
    }
}

/// The vector registers of a vCPU. The hypervisor itself is compiled not to use them.
#[derive(Default)]
#[repr(C, align(16))]
struct VectorRegisters {
    v: [u128; 32],
    control: u64,
    status: u64,
}

unsafe extern "C" {
    fn load_vectors(from: *const VectorRegisters);
    fn unload_vectors(to: *mut VectorRegisters);
}

impl VectorRegisters {
    /// Puts the values into this CPU's registers.
    fn load(&self) {
        // SAFETY: the pointer is to a whole structure of the layout that the assembly expects, and EL2 keeps nothing in
        // vector registers.
        unsafe { load_vectors(self) }
    }

    /// Takes the values out of this CPU's registers.
    fn unload(&mut self) {
        // SAFETY: as in `load`; the structure is borrowed mutably.
        unsafe { unload_vectors(self) }
    }
}

macro_rules! for_each_pair {
    ($op:literal) => {
        concat!(
            $op,
            " q0, q1, [x0]\n",
            $op,
            " q2, q3, [x0, #32]\n",
            $op,
            " q4, q5, [x0, #64]\n",
            $op,
            " q6, q7, [x0, #96]\n",
            $op,
            " q8, q9, [x0, #128]\n",
            $op,
            " q10, q11, [x0, #160]\n",
            $op,
            " q12, q13, [x0, #192]\n",
            $op,
            " q14, q15, [x0, #224]\n",
            $op,
            " q16, q17, [x0, #256]\n",
            $op,
            " q18, q19, [x0, #288]\n",
            $op,
            " q20, q21, [x0, #320]\n",
            $op,
            " q22, q23, [x0, #352]\n",
            $op,
            " q24, q25, [x0, #384]\n",
            $op,
            " q26, q27, [x0, #416]\n",
            $op,
            " q28, q29, [x0, #448]\n",
            $op,
            " q30, q31, [x0, #480]\n",
        )
    };
}

global_asm!(
    ".section .text.vector_registers, \"ax\"",
    ".arch_extension fp",
    ".arch_extension simd",
    ".global load_vectors",
    "load_vectors:",
    for_each_pair!("ldp"),
    "ldr x1, [x0, #512]",
    "ldr x2, [x0, #520]",
    "msr fpcr, x1",
    "msr fpsr, x2",
    "ret",
    ".global unload_vectors",
    "unload_vectors:",
    for_each_pair!("stp"),
    "mrs x1, fpcr",
    "mrs x2, fpsr",
    "str x1, [x0, #512]",
    "str x2, [x0, #520]",
    "ret",
);
