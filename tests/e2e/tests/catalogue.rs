//! Each event of the catalogue happens.

use std::{thread, time::Duration};

use anyhow::Result;
use axebpf_e2e::{Machine, Options, image_path};

/// The life of a VM, which makes the events happen that a running one does not.
const LIFE: [&str; 4] = ["vm shutdown 1", "vm destroy 1", "vm create", "vm boot 2"];

#[test]
fn each_event_of_the_catalogue_is_counted() -> Result<()> {
    let mut machine = Machine::boot(&image_path()?, &Options::default())?;
    machine.command("trace enable * --no-record")?;
    for command in LIFE {
        machine.command(command)?;
        thread::sleep(Duration::from_secs(1));
    }
    axebpf::tracepoint::init()?;
    let catalogue = axebpf::tracepoint::events()
        .filter(|event| ["vmm", "shell"].contains(&event.system()))
        .map(axebpf::tracepoint::Event::full_name);
    let mut silent: Vec<&str> = catalogue.collect();
    for _ in 0..30 {
        let stat = machine.command("trace stat *")?;
        silent.retain(|event| !is_counted(&stat, event));
        if silent.is_empty() {
            return machine.shut_down();
        }
        thread::sleep(Duration::from_secs(1));
    }
    panic!(
        "never counted: {silent:?}\n{}",
        machine.command("trace stat *")?
    );
}

fn is_counted(stat: &str, event: &str) -> bool {
    let mut rows = stat
        .lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>());
    let row = rows.find(|row| row.first() == Some(&event));
    row.is_some_and(|row| row.get(1).is_some_and(|count| *count != "0"))
}
