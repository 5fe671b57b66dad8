//! The console's shell.

use alloc::{boxed::Box, string::String, sync::Arc};
use core::fmt::Write;

use axebpf_platform::{CpuId, VmId};

use super::{
    config,
    console::{Console, println},
    percpu, power, sched,
    task::Task,
    timer, uart, vm,
};

/// Starts the shell on the first CPU.
pub(crate) fn start() {
    let task = Task::new("shell".into(), CpuId::new(0), None, Box::new(run));
    match task {
        Some(task) => sched::spawn_console(Arc::new(task)),
        None => println!("no memory left for the shell"),
    }
}

fn run() {
    loop {
        let _ = write!(Console, "axebpf> ");
        let line = read_line();
        execute(line.trim());
    }
}

fn read_line() -> String {
    let mut line = String::new();
    loop {
        match uart::read() {
            None => sched::block(timer::NEVER, uart::has_input),
            Some(b'\r' | b'\n') => {
                println!();
                return line;
            }
            Some(8 | 127) => {
                if line.pop().is_some() {
                    let _ = write!(Console, "\x08 \x08");
                }
            }
            Some(byte) if byte.is_ascii_graphic() || byte == b' ' => {
                line.push(byte.into());
                uart::write(&[byte]);
            }
            Some(_) => {}
        }
    }
}

fn execute(line: &str) {
    let mut words = line.split_whitespace();
    match words.next() {
        None => {}
        Some("exit") => power::off(),
        Some("vm") => vm_command(words.next(), words.next()),
        Some(other) => println!("unknown command `{other}`"),
    }
}

fn vm_command(verb: Option<&str>, id: Option<&str>) {
    let id = id.and_then(|id| id.parse().ok()).map(VmId::new);
    let result = match (verb, id) {
        (Some("list") | None, _) => {
            list();
            Ok(())
        }
        (Some("create"), _) => {
            vm::create(config::BUILT_IN).map(|vm| println!("vm {} created", vm.id()))
        }
        (Some("boot"), Some(id)) => vm::find(id)
            .ok_or(vm::VmError::NoVm { vm: id })
            .and_then(|vm| vm.boot(config::GUEST_IMAGE)),
        (Some("shutdown"), Some(id)) => {
            vm::find(id).ok_or(vm::VmError::NoVm { vm: id }).map(|vm| vm.stop(vm::StopReason::Operator))
        }
        (Some("destroy"), Some(id)) => vm::destroy(id),
        _ => {
            println!("usage: vm list | create | boot ID | shutdown ID | destroy ID");
            Ok(())
        }
    };
    if let Err(error) = result {
        println!("error: {error}");
    }
}

fn list() {
    println!("{:>4}  {:<12} {:<9} {:>5} {:>7} {:>10} {:>6}", "ID", "NAME", "STATE", "VCPUS", "PAGES", "REPORTS", "WRONG");
    for vm in vm::all() {
        let reports = vm.reports();
        println!(
            "{:>4}  {:<12} {:<9} {:>5} {:>7} {:>10} {:>6}",
            vm.id().get(), vm.name(), vm.state().name(), vm.vcpus().len(), vm.pages(), reports.right, reports.wrong
        );
    }
    let _ = percpu::count();
}
