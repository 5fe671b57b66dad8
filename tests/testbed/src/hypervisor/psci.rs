//! PSCI for guests: switching vCPUs and the VM on and off (ARM DEN0022).

use super::{vcpu::Vcpu, vm::Vm, vm_error::VmError, vm_state::StopReason};

const VERSION: u64 = 0x8400_0000;
const CPU_OFF: u64 = 0x8400_0002;
const CPU_ON: u64 = 0xc400_0003;
const AFFINITY_INFO: u64 = 0xc400_0004;
const SYSTEM_OFF: u64 = 0x8400_0008;
const SYSTEM_RESET: u64 = 0x8400_0009;
const FEATURES: u64 = 0x8400_000a;

const SUCCESS: u64 = 0;
const NOT_SUPPORTED: u64 = u64::MAX;
const INVALID_PARAMETERS: u64 = -2_i64 as u64;
const ALREADY_ON: u64 = -4_i64 as u64;
const INTERNAL_FAILURE: u64 = -6_i64 as u64;
const VERSION_1_1: u64 = 0x1_0001;

/// What becomes of a PSCI call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The caller gets this result.
    Result(u64),
    /// The call does not return.
    Nothing,
    /// It is no PSCI call.
    NotPsci,
}

/// Handles PSCI call `function` of `vcpu`.
pub(crate) fn handle(vm: &Vm, vcpu: &Vcpu, function: u64, args: [u64; 3]) -> Answer {
    match function {
        VERSION => Answer::Result(VERSION_1_1),
        CPU_ON => Answer::Result(cpu_on(vm, args)),
        AFFINITY_INFO => Answer::Result(affinity_info(vm, args[0])),
        FEATURES => Answer::Result(features(args[0])),
        CPU_OFF => {
            vcpu.end();
            Answer::Nothing
        }
        SYSTEM_OFF => {
            vm.stop(StopReason::GuestOff);
            Answer::Nothing
        }
        SYSTEM_RESET => {
            vm.stop(StopReason::GuestReset);
            Answer::Nothing
        }
        _ => Answer::NotPsci,
    }
}

fn cpu_on(vm: &Vm, args: [u64; 3]) -> u64 {
    let [target, entry, context] = args;
    match vm.start_vcpu(target, entry, context) {
        Ok(()) => SUCCESS,
        Err(VmError::AlreadyOn { .. }) => ALREADY_ON,
        Err(VmError::NoVcpu { .. }) => INVALID_PARAMETERS,
        Err(_) => INTERNAL_FAILURE,
    }
}

fn affinity_info(vm: &Vm, target: u64) -> u64 {
    const ON: u64 = 0;
    const OFF: u64 = 1;
    match vm.vcpu(target) {
        Some(vcpu) if vcpu.state().is_on() => ON,
        Some(_) => OFF,
        None => INVALID_PARAMETERS,
    }
}

fn features(function: u64) -> u64 {
    match function {
        VERSION | CPU_OFF | CPU_ON | AFFINITY_INFO | SYSTEM_OFF | SYSTEM_RESET | FEATURES => {
            SUCCESS
        }
        _ => NOT_SUPPORTED,
    }
}
