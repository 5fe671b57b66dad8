//! What a VM can be doing, and why it can stop.

/// How long a VM may take to shut down, or to pause.
pub(crate) const PATIENCE_NS: u64 = 2_000_000_000;

/// What a VM is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum VmState {
    /// Was never booted, or was shut down.
    Stopped = 0,
    /// Runs.
    Running = 1,
    /// Runs until each vCPU has noticed that it should not.
    Stopping = 2,
    /// Runs, but its vCPUs stay out of the guest.
    Paused = 3,
}

impl VmState {
    /// Returns the state's name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Paused => "paused",
        }
    }
}

/// Why a VM stops, as the tracepoint `vmm:vm_shutdown` numbers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum StopReason {
    /// The guest switched itself off.
    GuestOff = 0,
    /// The guest asked for a reset, which the testbed does not do by itself.
    GuestReset = 1,
    /// The operator asked for it.
    Operator = 2,
    /// The guest did what it must not.
    GuestFailed = 3,
}
