//! The hypercalls of the testbed: SMCCC fast calls in the vendor-specific hypervisor range.

use axebpf::platform::GuestPhys;
use axebpf::tracepoint::{trace, vmm};

use super::{
    bench,
    console::println,
    psci::{self, Answer},
    translation_check,
    vcpu::Vcpu,
    vm::Vm,
};

const REPORT: u64 = 0xc600_0001;
const RELEASE_PAGE: u64 = 0xc600_0002;
const NOTE: u64 = 0xc600_0003;
const CHECK_TRANSLATION: u64 = 0xc600_0004;

/// What SMCCC answers to a call that there is not.
const NOT_SUPPORTED: u64 = u64::MAX;
const INVALID_PARAMETERS: u64 = -2_i64 as u64;
const SUCCESS: u64 = 0;

/// Handles the call that `vcpu` made: its number is in x0, its arguments in x1 to x3, its result goes to x0.
pub(crate) fn handle(vm: &Vm, vcpu: &Vcpu) {
    let function = vcpu.register(0);
    let args = [vcpu.register(1), vcpu.register(2), vcpu.register(3)];
    trace!(vmm::hypercall {
        vm_id: vcpu.vm_id().get(),
        vcpu_id: vcpu.id().get(),
        function,
        arg0: args[0],
        arg1: args[1],
        arg2: args[2],
    });
    let result = match function & 0xffff_ffff {
        REPORT => {
            vm.take_report(vcpu, args[0], args[1]);
            SUCCESS
        }
        RELEASE_PAGE => release_page(vm, args[0]),
        NOTE => {
            note(vm, vcpu, args[0]);
            SUCCESS
        }
        CHECK_TRANSLATION => check_translation(vm, vcpu, args[0], args[1]),
        bench::NEXT => bench::next(vm, vcpu).unwrap_or(NOT_SUPPORTED),
        other => match psci::handle(vm, vcpu, other, args) {
            Answer::Result(result) => result,
            Answer::Nothing => return,
            Answer::NotPsci => NOT_SUPPORTED,
        },
    };
    vcpu.set_register(0, result);
}

fn release_page(vm: &Vm, at: u64) -> u64 {
    if at.is_multiple_of(4096) && vm.unmap(GuestPhys::new(at)) {
        SUCCESS
    } else {
        INVALID_PARAMETERS
    }
}

fn note(vm: &Vm, vcpu: &Vcpu, code: u64) {
    let text = match code {
        1 => "has a single vCPU",
        2 => "panicked",
        3 => "got a wrong answer from its device",
        4 => "lost what it wrote to memory",
        _ => "made an unknown note",
    };
    println!("vm {} vcpu {}: the guest {text}", vm.id(), vcpu.id());
}

/// Compares the walker with the processor, and returns what came of it: in x1 to x6 how many addresses were checked,
/// how many of them are mapped, for how many the tables lie outside of memory, on how many the two disagree, how many
/// programs could read if their range were not closed, and how many were not checked.
fn check_translation(vm: &Vm, vcpu: &Vcpu, at: u64, count: u64) -> u64 {
    let Some(tally) = translation_check::request(vm, vcpu, at, count) else {
        return INVALID_PARAMETERS;
    };
    let results = [
        tally.checked,
        tally.mapped,
        tally.outside,
        tally.wrong,
        tally.closed,
        tally.undecided,
    ];
    for (register, result) in (1..).zip(results) {
        vcpu.set_register(register, result);
    }
    SUCCESS
}
