//! The guest that a probe on its kernel interrupted.

use axebpf_platform::GuestVirt;

/// The length of the name of a task, with its terminating NUL (Linux: `TASK_COMM_LEN`).
pub const TASK_NAME_BYTES: usize = 16;

/// An address that the guest does not translate to its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the guest has no memory at {at}")]
pub struct GuestUnreadable {
    /// The address that was to be read from.
    pub at: GuestVirt,
}

/// The guest at a probe on its kernel, for the helpers that mean it there.
///
/// `probe_read`, `read_guest_kernel` and their kin read the guest's memory, its kernel's or the running program's, and
/// nothing else; `get_current_task`, `get_current_pid_tgid` and `get_current_comm` are about the guest's task. All
/// methods are called during a hit: they allocate nothing and wait for nothing.
pub trait GuestTask {
    /// Copies `bytes.len()` bytes from the guest's virtual address `at`.
    ///
    /// # Errors
    ///
    /// [`GuestUnreadable`] for anything but readable memory of the guest.
    fn read(&self, at: GuestVirt, bytes: &mut [u8]) -> Result<(), GuestUnreadable>;

    /// Returns where the guest's kernel keeps what it knows of the running task (`current`); `None` where that is not
    /// its kernel's memory: the kernel has just been entered, and what a program left is still there.
    fn task(&self) -> Option<GuestVirt>;

    /// Returns the process in the upper half and the thread in the lower one, as Linux numbers them; `None` where it is
    /// not known how the guest keeps them, or which task it is.
    fn pid_tgid(&self) -> Option<u64>;

    /// Returns the name of the task, filled up with zeroes; `None` as for [`pid_tgid`](Self::pid_tgid).
    fn name(&self) -> Option<[u8; TASK_NAME_BYTES]>;
}
