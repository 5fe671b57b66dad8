//! The operator at a guest's console.

use super::{
    console::{Console, println},
    guest_console::{Show, harmless},
    sched, uart,
    vm::Vm,
    vm_state::VmState,
};

/// Control and `]`, as with telnet.
const LEAVE: u8 = 0x1d;
/// How long to wait for more.
const PAUSE_NS: u64 = 2_000_000;

/// Prints what is kept of the guest's output, without what would do something to the operator's terminal.
pub(crate) fn print_log(vm: &Vm) {
    let kept = vm.console().lock().kept_from(0);
    let mut console = Console::new();
    for byte in kept.into_iter().filter(|&byte| byte != b'\r') {
        let shown = if byte == b'\n' { byte } else { harmless(byte) };
        console.write(&[shown]);
    }
    console.write(b"\n");
}

/// Connects the operator's terminal with the guest's console until Ctrl-] is typed or the VM stops.
pub(crate) fn talk(vm: &Vm) {
    println!("VM {}'s console; Ctrl-] leaves it", vm.id());
    vm.console().lock().set_show(Show::Raw);
    while vm.state() != VmState::Stopped {
        match uart::read() {
            Some(LEAVE) => break,
            Some(byte) => vm.type_in(&[byte]),
            None => sched::sleep(PAUSE_NS),
        }
    }
    vm.console().lock().set_show(Show::Lines);
    println!();
}
