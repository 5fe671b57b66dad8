//! Pages with points in them.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use axebpf_platform::GuestPhys;

use crate::ProbeMode;
use crate::integration::ShadowPage;

/// The size of a page of stage 2, whatever the guest's granule.
pub(super) const PAGE_SIZE: u64 = 4096;

/// Returns the page of `at`.
pub(super) fn page_of(at: GuestPhys) -> GuestPhys {
    GuestPhys::new(at.get() & !(PAGE_SIZE - 1))
}

/// A page with at least one point. All of them have one mode.
pub(super) struct Page {
    pub(super) at: GuestPhys,
    pub(super) mode: ProbeMode,
    /// What is executed instead of a hidden page; what is executed without traps instead of a patched one.
    pub(super) shadow: Option<ShadowPage>,
    /// Whether the guest may write the page now, so that the shadow may not be what it should be, and nobody executes
    /// that. Changed under the text lock.
    open: AtomicBool,
    /// How often a vCPU has begun to run instructions of the page where its points are not seen.
    pub(super) windows: AtomicU64,
}

impl Page {
    pub(super) fn new(at: GuestPhys, mode: ProbeMode, shadow: Option<ShadowPage>) -> Self {
        Self {
            at,
            mode,
            shadow,
            open: AtomicBool::new(false),
            windows: AtomicU64::new(0),
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// Tells whether what the guest writes to the page has to be noticed.
    pub(super) fn is_closed(&self) -> bool {
        self.shadow.is_some() && !self.is_open()
    }

    /// Says whether the guest may write the page. The caller holds the text lock.
    pub(super) fn set_open(&self, is_open: bool) {
        self.open.store(is_open, Ordering::Release);
    }

    pub(super) fn is_hidden(&self) -> bool {
        self.mode == ProbeMode::HiddenBrk
    }
}

/// Returns the instruction that traps.
pub(super) fn trap_word(mode: ProbeMode) -> u32 {
    match mode {
        ProbeMode::Hvc => 0xd400_0002 | u32::from(IMMEDIATE) << 5,
        _ => 0xd420_0000 | u32::from(IMMEDIATE) << 5,
    }
}

/// The immediate of our `BRK` and `HVC`: not one of Linux's, of the SMC calling convention, or of hypervisors that
/// are known.
pub(super) const IMMEDIATE: u16 = 0xebbf;
