//! `vm`: the commands of the virtual machines.

use alloc::{sync::Arc, vec::Vec};

use axebpf::platform::VmId;

use super::{
    config,
    console::println,
    guest_console::Show,
    guest_probes::{self, ProbeCommandError},
    guest_session, payload, sched, timer,
    vm::Vm,
    vm_error::VmError,
    vm_state::{StopReason, VmState},
    vms,
};

/// How long a VM may take to shut down.
const PATIENCE_NS: u64 = 2_000_000_000;

/// What there is to type.
pub(crate) const USAGE: &str = "vm list | create [linux] [vcpus N] | boot ID | shutdown ID | destroy ID | log ID | console ID | mute ID | show ID | type ID TEXT | \
     syms ID | probe ID [ret:]SYMBOL[+OFFSET]|ADDRESS [MODE] | probe-many ID COUNT SEED [MODE] | \
     probes ID | unprobe ID [LINK]";

/// Runs one command and tells whether it succeeded. `words` are those behind `vm`.
pub(crate) fn run<'a>(mut words: impl Iterator<Item = &'a str>) -> bool {
    let verb = words.next().unwrap_or_default();
    let words: Vec<&str> = words.collect();
    let id = words.first().and_then(|id| id.parse().ok()).map(VmId::new);
    let result = match (verb, id, words.as_slice()) {
        ("list", _, []) => {
            list();
            Ok(())
        }
        ("create", None, words) => match Creation::parse(words) {
            Some(creation) => create(creation),
            None => return usage(),
        },
        ("type", Some(id), [_, text @ ..]) => type_line(id, text),
        ("boot", Some(id), [_]) => find(id).and_then(|vm| vm.boot()),
        ("shutdown", Some(id), [_]) => shut_down(id),
        ("destroy", Some(id), [_]) => vms::destroy(id),
        ("log", Some(id), [_]) => find(id).map(|vm| guest_session::print_log(&vm)),
        ("console", Some(id), [_]) => find(id).map(|vm| guest_session::talk(&vm)),
        ("syms", Some(id), [_]) => probe_command(id, guest_probes::print_symbols),
        ("probe", Some(id), [_, place]) => {
            probe_command(id, |vm| guest_probes::attach(vm, place, None))
        }
        ("probe", Some(id), [_, place, mode]) => {
            probe_command(id, |vm| guest_probes::attach(vm, place, Some(mode)))
        }
        ("probe-many", Some(id), [_, count, seed, mode @ ..]) => {
            let number = |text: &str| text.parse().unwrap_or(0);
            let (count, seed) = (number(count), number(seed));
            let mode = mode.first().copied();
            probe_command(id, |vm| guest_probes::attach_many(vm, count, seed, mode))
        }
        ("probes", Some(id), [_]) => probe_command(id, guest_probes::print),
        ("unprobe", Some(id), [_]) => probe_command(id, |vm| guest_probes::detach(vm, None)),
        ("unprobe", Some(id), [_, link]) => {
            let link = link.parse().unwrap_or(0);
            probe_command(id, |vm| guest_probes::detach(vm, Some(link)))
        }
        ("mute", Some(id), [_]) => show(id, Show::Nothing),
        ("show", Some(id), [_]) => show(id, Show::Lines),
        _ => return usage(),
    };
    if let Err(error) = &result {
        println!("error: {error}");
    }
    result.is_ok()
}

fn usage() -> bool {
    println!("usage: vm {USAGE}");
    false
}

/// What `vm create` is to make.
struct Creation {
    description: Kind,
    vcpus: Option<u32>,
}

enum Kind {
    BuiltIn,
    Linux,
}

impl Creation {
    fn parse(words: &[&str]) -> Option<Self> {
        let (description, words) = match words {
            ["linux", rest @ ..] => (Kind::Linux, rest),
            rest => (Kind::BuiltIn, rest),
        };
        let vcpus = match words {
            [] => None,
            ["vcpus", count] => Some(
                count
                    .parse()
                    .ok()
                    .filter(|count| (1..=config::MAX_VCPUS).contains(count))?
                    as u32,
            ),
            _ => return None,
        };
        Some(Self { description, vcpus })
    }
}

fn find(id: VmId) -> Result<Arc<Vm>, VmError> {
    vms::find(id).ok_or(VmError::NoVm { vm: id })
}

fn create(creation: Creation) -> Result<(), VmError> {
    let description = match creation.description {
        Kind::BuiltIn => config::BUILT_IN,
        Kind::Linux => payload::description().ok_or(VmError::NoKernel)?,
    };
    let vm = vms::create_with(description, creation.vcpus)?;
    println!("created VM {}", vm.id());
    Ok(())
}

/// Runs a command about the probes on a VM's guest.
fn probe_command(
    id: VmId,
    run: impl FnOnce(&Vm) -> Result<(), ProbeCommandError>,
) -> Result<(), VmError> {
    let vm = find(id)?;
    if let Err(error) = run(&vm) {
        println!("error: {error}");
    }
    Ok(())
}

fn show(id: VmId, show: Show) -> Result<(), VmError> {
    find(id)?.console().lock().set_show(show);
    Ok(())
}

/// Types a line at the guest's console.
fn type_line(id: VmId, words: &[&str]) -> Result<(), VmError> {
    let vm = find(id)?;
    vm.type_in(words.join(" ").as_bytes());
    vm.type_in(b"\r");
    Ok(())
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
