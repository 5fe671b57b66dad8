//! The self-hosted debug of a vCPU: what its guest reads and writes, and what of it the processor gets.
//!
//! EL2 keeps the processor's debug for itself and traps the guest's accesses (`MDCR_EL2.TDA`). While the guest has
//! switched on debugging of its own, single steps, breakpoints or watchpoints, the processor has the guest's values,
//! and the exceptions go to the guest.

use core::arch::asm;

use aarch64_cpu::registers::{MDCR_EL2, MDSCR_EL1, Readable, Writeable};

use super::id_registers;

/// How many breakpoints or watchpoints a processor can have.
const LIMIT: usize = 16;

const SINGLE_STEP: u64 = 1;
const KERNEL_DEBUG: u64 = 1 << 13;
const MONITOR_DEBUG: u64 = 1 << 15;
/// `MDCR_EL2.TDE`: debug exceptions of the guest go to EL2.
const ROUTE_TO_EL2: u64 = 1 << 8;

/// Who gets the debug exceptions of a vCPU while its guest has switched on no debugging of its own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Route {
    /// EL2, whose breakpoint instructions may be in the guest, and which hands on those that are not its own.
    #[default]
    Hypervisor,
    /// EL2, which has the guest execute one instruction.
    Step,
}

/// The debug registers of a vCPU, as its guest sees them.
#[derive(Clone, Debug, Default)]
pub(crate) struct DebugRegisters {
    control: u64,
    lock: u64,
    claims: u64,
    breakpoints: [Point; LIMIT],
    watchpoints: [Point; LIMIT],
    route: Route,
}

/// One breakpoint or watchpoint.
#[derive(Clone, Copy, Debug, Default)]
struct Point {
    value: u64,
    control: u64,
}

/// A debug register, by the numbers of its name `S2_0_C<n>_C<m>_<op2>`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Name {
    /// The number behind the first C.
    pub(crate) crn: u32,
    /// The number behind the second C.
    pub(crate) crm: u32,
    /// The last number.
    pub(crate) op2: u32,
}

impl DebugRegisters {
    /// Returns what the vCPU starts with: as at reset, the OS lock is held.
    pub(crate) fn at_reset() -> Self {
        Self {
            lock: 1,
            ..Self::default()
        }
    }

    /// Tells whether the guest has switched on debugging of its own, and does not hold it back with the OS lock (ARM
    /// ARM D2.4, the OS Lock masks all debug exceptions but breakpoint instructions). The processor's lock is EL2's.
    pub(crate) fn is_in_use(&self) -> bool {
        self.lock == 0 && self.control & (SINGLE_STEP | KERNEL_DEBUG | MONITOR_DEBUG) != 0
    }

    /// Returns the guest's `MDSCR_EL1`.
    pub(crate) fn control(&self) -> u64 {
        self.control
    }

    /// Sets the guest's `MDSCR_EL1`. Takes effect with the next [`load`](Self::load).
    pub(crate) fn set_control(&mut self, value: u64) {
        self.control = value;
    }

    /// Says who gets the debug exceptions from now on. Takes effect with the next [`load`](Self::load).
    pub(crate) fn set_route(&mut self, route: Route) {
        self.route = route;
    }

    /// Returns what the register reads as.
    pub(crate) fn read(&self, name: Name) -> u64 {
        // The lock is there, and it is held or not.
        const LOCK_STATUS: u64 = 1 << 3;
        const ALL_CLAIMS: u64 = 0xff;
        match (name.crn, name.crm, name.op2) {
            (0, 2, 2) => self.control,
            (0, index, 4) => self.breakpoints[index as usize % LIMIT].value,
            (0, index, 5) => self.breakpoints[index as usize % LIMIT].control,
            (0, index, 6) => self.watchpoints[index as usize % LIMIT].value,
            (0, index, 7) => self.watchpoints[index as usize % LIMIT].control,
            (1, 1, 4) => LOCK_STATUS | self.lock << 1,
            (7, 8, 6) => ALL_CLAIMS,
            (7, 9, 6) => self.claims,
            _ => 0,
        }
    }

    /// Writes `value` to the register.
    pub(crate) fn write(&mut self, name: Name, value: u64) {
        match (name.crn, name.crm, name.op2) {
            (0, 2, 2) => self.control = value,
            (0, index, 4) => self.breakpoints[index as usize % LIMIT].value = value,
            (0, index, 5) => self.breakpoints[index as usize % LIMIT].control = value,
            (0, index, 6) => self.watchpoints[index as usize % LIMIT].value = value,
            (0, index, 7) => self.watchpoints[index as usize % LIMIT].control = value,
            (1, 0, 4) => self.lock = value & 1,
            (7, 8, 6) => self.claims |= value & 0xff,
            (7, 9, 6) => self.claims &= !value,
            _ => {}
        }
    }

    /// Gives the executing CPU what the vCPU needs.
    pub(crate) fn load(&self) {
        let common = MDCR_EL2.get() & !ROUTE_TO_EL2;
        if self.is_in_use() {
            self.load_points();
            MDSCR_EL1.set(self.control);
            MDCR_EL2.set(common);
            return;
        }
        match self.route {
            Route::Hypervisor => {
                MDSCR_EL1.set(0);
                MDCR_EL2.set(common | ROUTE_TO_EL2);
            }
            Route::Step => {
                MDSCR_EL1.set(SINGLE_STEP);
                MDCR_EL2.set(common | ROUTE_TO_EL2);
            }
        }
    }

    fn load_points(&self) {
        for (index, point) in self.breakpoints[..id_registers::breakpoints()]
            .iter()
            .enumerate()
        {
            write_breakpoint(index, *point);
        }
        for (index, point) in self.watchpoints[..id_registers::watchpoints()]
            .iter()
            .enumerate()
        {
            write_watchpoint(index, *point);
        }
    }
}

/// Takes the locks off the executing CPU's debug, which hold since reset.
pub(crate) fn init_cpu() {
    // SAFETY: the locks only keep debug exceptions back; none is enabled yet.
    unsafe {
        asm!(
            "msr oslar_el1, xzr",
            "msr osdlr_el1, xzr",
            "msr mdscr_el1, xzr",
            "isb",
            options(nostack, preserves_flags)
        )
    }
}

macro_rules! point_writer {
    ($name:ident, $value:literal, $control:literal, $what:literal) => {
        #[doc = concat!("Puts a ", $what, " into the executing CPU's register `index`, which it has.")]
        fn $name(index: usize, point: Point) {
            macro_rules! write_one {
                                        ($index:literal) => {
                                            // SAFETY: the processor has the register; at EL2 no debug exception is
                                            // enabled by it, and what it does to the guest is what the guest asked
                                            // for.
                                            unsafe {
                                                asm!(
                                                    concat!("msr ", $value, $index, "_el1, {}"),
                                                    concat!("msr ", $control, $index, "_el1, {}"),
                                                    in(reg) point.value,
                                                    in(reg) point.control,
                                                    options(nostack, preserves_flags)
                                                )
                                            }
                                        };
                                    }
            match index {
                0 => write_one!("0"),
                1 => write_one!("1"),
                2 => write_one!("2"),
                3 => write_one!("3"),
                4 => write_one!("4"),
                5 => write_one!("5"),
                6 => write_one!("6"),
                7 => write_one!("7"),
                8 => write_one!("8"),
                9 => write_one!("9"),
                10 => write_one!("10"),
                11 => write_one!("11"),
                12 => write_one!("12"),
                13 => write_one!("13"),
                14 => write_one!("14"),
                _ => write_one!("15"),
            }
        }
    };
}

point_writer!(write_breakpoint, "dbgbvr", "dbgbcr", "breakpoint");
point_writer!(write_watchpoint, "dbgwvr", "dbgwcr", "watchpoint");
