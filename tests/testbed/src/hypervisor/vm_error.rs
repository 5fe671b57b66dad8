//! What can go wrong with a VM.

use axebpf::platform::{GuestPhys, VcpuId, VmId};
use axebpf::probe::kprobe::GuestProbeError;
use thiserror::Error;

use super::{
    config::ConfigError,
    stage2::{NoVmid, Stage2Error},
    vm_state::VmState,
};

/// What can go wrong with a VM.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub(crate) enum VmError {
    /// There is no such VM.
    #[error("there is no VM {vm}")]
    NoVm {
        /// The VM.
        vm: VmId,
    },
    /// There is no such vCPU.
    #[error("VM {vm} has no vCPU {vcpu}")]
    NoVcpu {
        /// The VM.
        vm: VmId,
        /// The vCPU's number.
        vcpu: u64,
    },
    /// The vCPU is on already.
    #[error("vCPU {vcpu} of VM {vm} is on already")]
    AlreadyOn {
        /// The VM.
        vm: VmId,
        /// The vCPU.
        vcpu: VcpuId,
    },
    /// The VM is not in the state that the operation needs.
    #[error("VM {vm} is {}; shut it down first", state.name())]
    NotStopped {
        /// The VM.
        vm: VmId,
        /// What it is doing.
        state: VmState,
    },
    /// The VM does not do what the operation needs it to do.
    #[error("VM {vm} is {}, not {}", state.name(), needed.name())]
    WrongState {
        /// The VM.
        vm: VmId,
        /// What it is doing.
        state: VmState,
        /// What it has to do.
        needed: VmState,
    },
    /// A vCPU has not left the guest in time.
    #[error("a vCPU of VM {vm} is still in the guest")]
    StillInside {
        /// The VM.
        vm: VmId,
    },
    /// The image does not fit.
    #[error("an image of {len} bytes at {at} does not fit the memory of the VM")]
    BadImage {
        /// Where it should go.
        at: GuestPhys,
        /// Its length.
        len: usize,
    },
    /// Nothing was loaded where the description says.
    #[error("the machine has no memory at {at:#x}, where a part of the guest should be")]
    NoPayload {
        /// Where it should be, in the machine's memory.
        at: u64,
    },
    /// What was loaded is no kernel.
    #[error("what lies at {at:#x} is no image of an arm64 Linux kernel")]
    NotAKernel {
        /// Where it lies in the machine's memory.
        at: u64,
    },
    /// There is no memory left.
    #[error("no memory left for a vCPU's stack")]
    NoMemory,
    /// There are too many VMs.
    #[error(transparent)]
    Vmid(#[from] NoVmid),
    /// There is no memory left for a page of the VM.
    #[error(transparent)]
    Stage2(#[from] Stage2Error),
    /// The probes of the VM's last guest cannot be taken out.
    #[error(transparent)]
    Probe(#[from] GuestProbeError),
    /// No kernel was loaded beside the hypervisor.
    #[error("no kernel was loaded beside the hypervisor; `cargo xtask linux` does that")]
    NoKernel,
    /// The description of the VM is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
}
