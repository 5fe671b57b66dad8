//! `vm`: the commands of the virtual machines.

use alloc::sync::Arc;

use axebpf::platform::VmId;

use super::{
    config,
    console::println,
    sched, timer,
    vm::Vm,
    vm_error::VmError,
    vm_state::{StopReason, VmState},
    vms,
};

/// How long a VM may take to shut down.
const PATIENCE_NS: u64 = 2_000_000_000;

/// Runs one command and tells whether it succeeded. `words` are those behind `vm`.
pub(crate) fn run<'a>(mut words: impl Iterator<Item = &'a str>) -> bool {
    let verb = words.next();
    let id = words.next().and_then(|id| id.parse().ok()).map(VmId::new);
    let result = match (verb, id) {
        (Some("list"), None) => {
            list();
            Ok(())
        }
        (Some("create"), None) => create(),
        (Some("boot"), Some(id)) => boot(id),
        (Some("shutdown"), Some(id)) => shut_down(id),
        (Some("destroy"), Some(id)) => vms::destroy(id),
        _ => {
            println!("usage: vm list | create | boot ID | shutdown ID | destroy ID");
            return false;
        }
    };
    if let Err(error) = &result {
        println!("error: {error}");
    }
    result.is_ok()
}

fn find(id: VmId) -> Result<Arc<Vm>, VmError> {
    vms::find(id).ok_or(VmError::NoVm { vm: id })
}

fn create() -> Result<(), VmError> {
    let vm = vms::create(config::BUILT_IN)?;
    println!("created VM {}", vm.id());
    Ok(())
}

fn boot(id: VmId) -> Result<(), VmError> {
    find(id)?.boot(config::GUEST_IMAGE)
}

/// Stops the VM and waits until all its vCPUs have ended.
fn shut_down(id: VmId) -> Result<(), VmError> {
    let vm = find(id)?;
    vm.stop(StopReason::Operator);
    let end = timer::now_ns() + PATIENCE_NS;
    while vm.state() != VmState::Stopped {
        if timer::now_ns() > end {
            return Err(VmError::NotStopped {
                vm: id,
                state: vm.state(),
            });
        }
        sched::sleep(1_000_000);
    }
    Ok(())
}

fn list() {
    println!(
        "{:>4}  {:<16} {:<9} {:>5} {:>7} {:>12} {:>6}",
        "ID", "NAME", "STATE", "VCPUS", "PAGES", "CHECKS", "WRONG"
    );
    for vm in vms::all() {
        println!(
            "{:>4}  {:<16} {:<9} {:>5} {:>7} {:>12} {:>6}",
            vm.id().get(),
            vm.name(),
            vm.state().name(),
            vm.vcpus().len(),
            vm.pages(),
            vm.checks().right(),
            vm.checks().wrong()
        );
    }
}
