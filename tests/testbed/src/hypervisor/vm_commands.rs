//! `vm`: the commands of the virtual machines.

use alloc::{string::ToString, sync::Arc, vec::Vec};

use axebpf::platform::VmId;

use super::{
    config,
    console::println,
    guest_console::Show,
    guest_probes::{self, ProbeCommandError},
    guest_session, payload, random_probes, sched, timer, translation_sampling,
    vm::Vm,
    vm_error::VmError,
    vm_state::{PATIENCE_NS, StopReason, VmState},
    vms,
};

/// What the commands are about.
pub(crate) const USAGE: &str =
    "virtual machines, their consoles, and probes on their guests; `vm` lists what there is";

const COMMANDS: &str = "\
usage: vm list
       vm create [linux|translation|hostile] [vcpus N]
       vm boot | pause | resume | shutdown | destroy ID
       vm log | mute | show | console ID
       vm type ID TEXT
       vm probes ID
       vm syms ID [auto|FILE|--upload] [--slide BYTES]
       vm probe ID [ret:]SYMBOL[+OFFSET]|ADDRESS [MODE]
       vm probe-many ID COUNT [MODE] [SEED]
       vm unprobe ID [LINK]
       vm check-translation ID COUNT";

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
        ("pause", Some(id), [_]) => find(id).and_then(|vm| vm.pause()),
        ("resume", Some(id), [_]) => find(id).and_then(|vm| vm.resume()),
        ("shutdown", Some(id), [_]) => shut_down(id),
        ("destroy", Some(id), [_]) => vms::destroy(id),
        ("log", Some(id), [_]) => find(id).map(|vm| guest_session::print_log(&vm)),
        ("console", Some(id), [_]) => find(id).map(|vm| guest_session::talk(&vm)),
        ("mute", Some(id), [_]) => show(id, Show::Nothing),
        ("show", Some(id), [_]) => show(id, Show::Lines),
        (verb, Some(id), [_, words @ ..]) => return probe_command(verb, id, words),
        _ => return usage(),
    };
    if let Err(error) = &result {
        println!("error: {error}");
    }
    result.is_ok()
}

fn usage() -> bool {
    println!("{COMMANDS}");
    false
}

/// What `vm create` is to make.
struct Creation {
    description: Kind,
    vcpus: Option<u32>,
}

enum Kind {
    BuiltIn,
    Translation,
    Hostile,
    Linux,
}

impl Creation {
    fn parse(words: &[&str]) -> Option<Self> {
        let (description, words) = match words {
            ["linux", rest @ ..] => (Kind::Linux, rest),
            ["translation", rest @ ..] => (Kind::Translation, rest),
            ["hostile", rest @ ..] => (Kind::Hostile, rest),
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
        Kind::BuiltIn => config::BUILT_IN.to_string(),
        Kind::Translation => [config::BUILT_IN, config::TRANSLATION].concat(),
        Kind::Hostile => [config::BUILT_IN, config::HOSTILE].concat(),
        Kind::Linux => payload::description().ok_or(VmError::NoKernel)?.to_string(),
    };
    let vm = vms::create_with(&description, creation.vcpus)?;
    println!("created VM {}", vm.id());
    Ok(())
}

/// Runs a command about the probes on the guest of VM `id`, and tells whether it succeeded.
fn probe_command(verb: &str, id: VmId, words: &[&str]) -> bool {
    let vm = match find(id) {
        Ok(vm) => vm,
        Err(error) => {
            println!("error: {error}");
            return false;
        }
    };
    let result = match (verb, words) {
        ("probe", [place]) => guest_probes::attach(&vm, place, None),
        ("probe", [place, mode]) => guest_probes::attach(&vm, place, Some(mode)),
        ("probe-many", [count, words @ ..]) if words.len() <= 2 => probe_many(&vm, count, words),
        ("probes", []) => guest_probes::print(&vm),
        ("check-translation", [count]) => {
            number(count).map(|count| translation_sampling::run(&vm, count))
        }
        ("unprobe", []) => guest_probes::detach(&vm, None),
        ("unprobe", [link]) => number(link).and_then(|link| guest_probes::detach(&vm, Some(link))),
        _ => return usage(),
    };
    if let Err(error) = &result {
        println!("error: {error}");
    }
    result.is_ok()
}

/// Probes functions at random. `words` are a mode and what the choice begins with, each of which may be left out.
fn probe_many(vm: &Vm, count: &str, words: &[&str]) -> Result<(), ProbeCommandError> {
    let count = number(count)?;
    let (mode, seed) = match words {
        [] => (None, None),
        [word] => match guest_probes::number(word) {
            Some(seed) => (None, Some(seed)),
            None => (Some(*word), None),
        },
        [mode, seed, ..] => (Some(*mode), Some(number(seed)?)),
    };
    let seed = seed.unwrap_or_else(timer::now_ns);
    random_probes::attach(vm, usize::try_from(count).unwrap_or(usize::MAX), mode, seed)
}

fn number(word: &str) -> Result<u64, ProbeCommandError> {
    guest_probes::number(word).ok_or_else(|| ProbeCommandError::NoNumber { word: word.into() })
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
pub(crate) fn shut_down(id: VmId) -> Result<(), VmError> {
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
