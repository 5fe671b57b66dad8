//! One virtual machine and its probes.

use alloc::sync::Arc;

use crate::integration::{Capabilities, GuestMachine, GuestVcpu, Outcome, Syndrome};

/// The probes of one virtual machine. The hypervisor keeps one beside each VM, and calls it at exits and entries.
pub struct ProbedGuest {
    machine: Arc<dyn GuestMachine>,
    capabilities: Capabilities,
}

impl ProbedGuest {
    /// Takes a virtual machine. Nothing is changed in it until a probe is attached.
    #[must_use]
    pub fn new(machine: Arc<dyn GuestMachine>) -> Self {
        let capabilities = Capabilities::of(&*machine);
        Self {
            machine,
            capabilities,
        }
    }

    /// Returns the virtual machine.
    #[must_use]
    pub fn machine(&self) -> &Arc<dyn GuestMachine> {
        &self.machine
    }

    /// Returns what the hypervisor offers for this VM.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        self.capabilities
    }

    /// Handles a synchronous exit of `vcpu`, before the hypervisor looks at it.
    ///
    /// Called on the CPU that has the vCPU loaded, with interrupts masked, for every synchronous exit, or at least for those of
    /// the exception classes 0x16, 0x20, 0x24, 0x32 and 0x3c.
    pub fn handle_exit(&self, vcpu: &mut dyn GuestVcpu, syndrome: &Syndrome) -> Outcome {
        let _ = (vcpu, syndrome);
        Outcome::NotOurs
    }

    /// Makes `vcpu` ready to enter the guest. Called before each entry, after all handling of the exit, on the CPU that has the
    /// vCPU loaded, with interrupts masked.
    pub fn prepare_entry(&self, vcpu: &mut dyn GuestVcpu) {
        let _ = vcpu;
    }
}

impl core::fmt::Debug for ProbedGuest {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("ProbedGuest")
            .field("vm", &self.machine.vm())
            .field("capabilities", &self.capabilities)
            .finish_non_exhaustive()
    }
}
