//! What a vCPU can be doing.

/// What a vCPU is doing.
///
/// The numbers are those of the tracepoint `vmm:vcpu_state_change`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub(crate) enum VcpuState {
    /// Belongs to a VM that was never booted.
    Created = 0,
    /// Waits to be switched on.
    Off = 1,
    /// Waits for its CPU.
    Ready = 2,
    /// Is loaded on its CPU.
    Running = 3,
    /// Waits for an interrupt.
    Halted = 4,
    /// Belongs to a VM that was shut down.
    Stopped = 5,
    /// Waits for its VM to be resumed.
    Paused = 6,
}

impl VcpuState {
    /// Returns the state of this number.
    pub(crate) fn from_number(number: u32) -> Self {
        match number {
            0 => Self::Created,
            1 => Self::Off,
            2 => Self::Ready,
            3 => Self::Running,
            4 => Self::Halted,
            6 => Self::Paused,
            _ => Self::Stopped,
        }
    }

    /// Tells whether the vCPU has been switched on.
    pub(crate) fn is_on(self) -> bool {
        matches!(
            self,
            Self::Ready | Self::Running | Self::Halted | Self::Paused
        )
    }
}
