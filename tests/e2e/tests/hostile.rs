//! What nobody types.

use std::time::Duration;

use anyhow::Result;
use axebpf_e2e::{Machine, Options, PROMPT, image_path};

fn boot() -> Result<Machine> {
    Machine::boot(&image_path()?, &Options::default())
}

#[track_caller]
fn goes_on(machine: &mut Machine) -> Result<()> {
    let vms = machine.command("vm list")?;
    assert!(vms.contains("running"), "{vms}");
    Ok(())
}

#[test]
fn a_line_of_64_kib_does_not_disturb_the_shell() -> Result<()> {
    let mut machine = boot()?;
    let said = machine.command(&"a".repeat(64 << 10))?;
    assert!(!said.contains("panic"), "{said}");
    goes_on(&mut machine)?;
    machine.shut_down()
}

#[test]
fn a_filter_of_1000_parentheses_is_refused() -> Result<()> {
    let mut machine = boot()?;
    let depth = 1000;
    let filter = format!("{}vm_id == 1{}", "(".repeat(depth), ")".repeat(depth));
    let said = machine.command(&format!("trace enable vmm:hypercall if {filter}"))?;
    assert!(said.contains("error: "), "{said}");
    goes_on(&mut machine)?;
    machine.shut_down()
}

#[test]
fn control_characters_do_not_disturb_the_shell() -> Result<()> {
    let mut machine = boot()?;
    let control: Vec<u8> = (0..32).filter(|byte| !b"\r\n".contains(byte)).collect();
    machine.send(&control)?;
    machine.send(&[0x7f, 0x80, 0xff, 0xc3, 0x28])?;
    machine.send_line("")?;
    // Whatever the shell made of it, the line after it is read for itself.
    machine.send_line("help no_such_topic")?;
    machine.expect("no_such_topic`", Duration::from_secs(30))?;
    machine.expect(PROMPT, Duration::from_secs(30))?;
    goes_on(&mut machine)?;
    machine.shut_down()
}
