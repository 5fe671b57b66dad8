//! Why a guest was left, and what became of it.

use axebpf_platform::{GuestPhys, GuestVirt};

/// The registers that say why a guest was left, as they were right after the exit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Syndrome {
    /// `ESR_EL2`.
    pub esr: u64,
    /// `FAR_EL2`.
    pub far: u64,
    /// `HPFAR_EL2`.
    pub hpfar: u64,
}

/// What probes have to say to an exit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "an exit that is not the probes' is still to be handled"]
pub enum Outcome {
    /// It was theirs. The guest goes on as the vCPU's registers now say.
    Handled,
    /// It is the hypervisor's, or the guest's: see [`deliver_brk`](crate::deliver_brk) for `BRK` and steps that come
    /// to EL2 only because of `MDCR_EL2.TDE`.
    NotOurs,
}

/// The exits that probes can have caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GuestExit {
    /// `BRK`, and the guest goes on at it.
    Brk {
        /// Its immediate.
        immediate: u16,
    },
    /// `HVC`, and the guest goes on behind it.
    Hvc {
        /// Its immediate.
        immediate: u16,
    },
    /// A step has ended, or was to begin at the wrong place.
    Step,
    /// A stage-2 fault.
    Abort(Abort),
}

/// What was attempted at a stage-2 fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AccessKind {
    /// An instruction was fetched.
    Fetch,
    /// Data was read, or a cache was maintained.
    Read,
    /// Data was written.
    Write,
}

/// A stage-2 fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Abort {
    /// What was attempted.
    pub kind: AccessKind,
    /// The virtual address, which is not valid when `FnV` is set.
    pub virt: Option<GuestVirt>,
    /// The guest-physical page, where the processor says it: not for most permission faults (ARM ARM
    /// D24.2.62).
    pub page: Option<GuestPhys>,
    /// Whether it was an access of the table walker of stage 1.
    pub on_walk: bool,
}

impl Abort {
    /// Tells whether the guest has fetched an instruction, rather than its processor a table on the way to one.
    pub(crate) fn is_fetch(&self) -> bool {
        self.kind == AccessKind::Fetch && !self.on_walk
    }
}

// Exception classes (ARM ARM D24.2.40).
const HVC: u64 = 0x16;
const INSTRUCTION_ABORT: u64 = 0x20;
const DATA_ABORT: u64 = 0x24;
const STEP: u64 = 0x32;
const BRK: u64 = 0x3c;

impl Syndrome {
    /// Tells whether it is a `BRK` or an `HVC` with this immediate.
    #[inline]
    pub(crate) fn is_trap(&self, immediate: u16) -> bool {
        matches!(self.class(), BRK | HVC) && self.esr as u16 == immediate
    }

    /// Tells whether it may be the end of a step, or because of what stage 2 allows: for data in pages for which
    /// `is_changed` is true.
    #[inline]
    pub(crate) fn concerns_pages(&self, is_changed: impl FnOnce(GuestPhys) -> bool) -> bool {
        match self.class() {
            STEP | INSTRUCTION_ABORT => true,
            DATA_ABORT => self.page().is_none_or(is_changed),
            _ => false,
        }
    }

    /// Returns the exception class.
    #[inline]
    fn class(&self) -> u64 {
        self.esr >> 26 & 0x3f
    }

    /// Returns the exit if probes can have caused it.
    #[must_use]
    pub fn exit(&self) -> Option<GuestExit> {
        let immediate = self.esr as u16;
        match self.class() {
            BRK => Some(GuestExit::Brk { immediate }),
            HVC => Some(GuestExit::Hvc { immediate }),
            STEP => Some(GuestExit::Step),
            INSTRUCTION_ABORT | DATA_ABORT if !self.is_of_mapping() => None,
            INSTRUCTION_ABORT => Some(GuestExit::Abort(self.abort(AccessKind::Fetch))),
            // Maintaining a cache counts as a write there, but changes nothing.
            DATA_ABORT if self.bit(6) && !self.bit(8) => {
                Some(GuestExit::Abort(self.abort(AccessKind::Write)))
            }
            DATA_ABORT => Some(GuestExit::Abort(self.abort(AccessKind::Read))),
            _ => None,
        }
    }

    /// Tells whether an abort is one that a mapping can cause: of the address size, the translation, the access flag or
    /// permissions, and not an external one, say.
    fn is_of_mapping(&self) -> bool {
        matches!(self.esr & 0x3f, 0..=0b00_1111 | 0b10_1001 | 0b10_1011)
    }

    /// Tells whether bit `n` of the syndrome is set.
    fn bit(&self, n: u32) -> bool {
        self.esr >> n & 1 != 0
    }

    /// Returns the guest-physical page of an abort, where the processor promises it.
    #[inline]
    fn page(&self) -> Option<GuestPhys> {
        const PERMISSION: u64 = 0b0011;
        let is_permission = self.esr >> 2 & 0xf == PERMISSION;
        // `FIPA` starts at bit 4 and lacks the low 12 bits.
        (!is_permission || self.bit(7))
            .then(|| GuestPhys::new((self.hpfar >> 4 & 0xff_ffff_ffff) << 12))
    }

    fn abort(&self, kind: AccessKind) -> Abort {
        let on_walk = self.bit(7);
        let page = self.page();
        let virt = (!self.bit(10)).then(|| GuestVirt::new(self.far));
        Abort {
            kind,
            virt,
            page,
            on_walk,
        }
    }
}
