//! Which emulated device lies where in a VM's physical memory, and the accesses to them.

use core::ops::Range;

use super::{
    device,
    distributor::{self, FIRST_SHARED},
    mmio::Access,
    pl011,
    redistributor::{self, Place},
    vcpu::Vcpu,
    vm::Vm,
};

/// A device of a VM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Target {
    /// The device that only tests know.
    Test,
    /// The interrupt controller's distributor.
    Distributor,
    /// The interrupt controller's redistributors.
    Redistributors,
    /// The serial line.
    Uart,
}

/// Returns which device of `vm` lies at `at`.
pub(crate) fn target(vm: &Vm, at: u64) -> Option<Target> {
    let devices = [
        (device::WINDOW, Target::Test),
        (distributor::WINDOW, Target::Distributor),
        (
            redistributor::window(vm.vcpus().len()),
            Target::Redistributors,
        ),
        (pl011::WINDOW, Target::Uart),
    ];
    let there = |(window, _): &(Range<u64>, Target)| window.contains(&at);
    devices.into_iter().find(there).map(|(_, target)| target)
}

/// Reads the register of `target` at `at`, as `access` says.
pub(crate) fn read(vm: &Vm, target: Target, at: u64, access: Access) -> u64 {
    match target {
        Target::Test => vm.device().lock().read(at - device::WINDOW.start),
        Target::Distributor => vm
            .distributor()
            .read(at - distributor::WINDOW.start, access),
        Target::Redistributors => {
            let (number, offset) = redistributor::locate(at);
            let place = Place {
                vcpu: number as u32,
                count: vm.vcpus().len(),
            };
            vm.vcpu(number)
                .map_or(0, |vcpu| vcpu.interrupts().read(offset, access, place))
        }
        Target::Uart => {
            let mut uart = vm.uart().lock();
            let value = uart.read(at - pl011::WINDOW.start);
            vm.set_line(pl011::INTERRUPT, uart.line());
            value
        }
    }
}

/// Writes `value` to the register of `target` at `at`, for `vcpu`.
pub(crate) fn write(vm: &Vm, vcpu: &Vcpu, target: Target, at: u64, access: Access, value: u64) {
    match target {
        Target::Test => {
            let effect = vm.device().lock().write(at - device::WINDOW.start, value);
            if effect == device::Effect::Interrupt {
                vcpu.inject(device::INTERRUPT);
            }
        }
        Target::Distributor => write_distributor(vm, at, access, value),
        Target::Redistributors => {
            let (number, offset) = redistributor::locate(at);
            if let Some(target) = vm.vcpu(number)
                && target.interrupts().write(offset, access, value)
            {
                target.kick();
            }
        }
        Target::Uart => write_uart(vm, at, value),
    }
}

fn write_distributor(vm: &Vm, at: u64, access: Access, value: u64) {
    let effect = vm
        .distributor()
        .write(at - distributor::WINDOW.start, access, value);
    match effect {
        distributor::Effect::None => {}
        distributor::Effect::Changed => vm.vcpus().iter().for_each(|vcpu| vcpu.kick()),
        distributor::Effect::Pending(bits) => {
            for number in (0..32).filter(|number| bits >> number & 1 != 0) {
                let number = FIRST_SHARED + number;
                let route = vm.distributor().route(number);
                if let Some(vcpu) = vm.vcpu(route.into()) {
                    vcpu.inject(number);
                }
            }
        }
        distributor::Effect::NotPending(bits) => {
            for vcpu in vm.vcpus() {
                vcpu.interrupts()
                    .take_pending(u64::from(bits) << FIRST_SHARED);
            }
        }
    }
}

fn write_uart(vm: &Vm, at: u64, value: u64) {
    let mut uart = vm.uart().lock();
    let effect = uart.write(at - pl011::WINDOW.start, value);
    vm.set_line(pl011::INTERRUPT, uart.line());
    drop(uart);
    if let pl011::Effect::Send(byte) = effect {
        vm.console().lock().put(vm.id(), byte);
    }
}
