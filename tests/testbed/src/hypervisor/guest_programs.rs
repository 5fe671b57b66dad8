//! Programs at the functions of guests: which guests there are, told to axebpf.

use axebpf::{
    GuestSetup,
    platform::{GuestPhys, VmId},
};

use super::{console::println, guest_probes, tracing, vm::Vm};

/// Opens the guest of `vm` to programs. It need not have been booted.
pub(crate) fn open(vm: &Vm) {
    let Some(axebpf) = tracing::axebpf() else {
        return;
    };
    let memory = vm.memory();
    let memory = GuestPhys::new(memory.start)..GuestPhys::new(memory.end);
    let setup = GuestSetup::new(vm.probes().clone(), memory);
    match axebpf.open_guest(setup) {
        Ok(()) => guest_probes::start_deferred(),
        Err(error) => println!("vm {}: no programs on its guest: {error}", vm.id()),
    }
}

/// Detaches the programs from the guest of VM `id`, which is about to go.
pub(crate) fn close(id: VmId) {
    let closed = tracing::axebpf().map(|axebpf| axebpf.close_guest(id));
    if let Some(Err(error)) = closed {
        println!("vm {id}: {error}");
    }
}
