//! The guest ends.

use std::time::Duration;

use anyhow::Result;

use crate::{
    fight::{Fight, PATIENCE},
    text::TEXT,
};

#[test]
fn a_guest_that_cannot_go_on_stops_alone() -> Result<()> {
    let mut fight = Fight::begin("cortex-a72")?;
    fight.attach(TEXT, "auto")?;
    fight.machine.send_line("vm type 2 device")?;
    fight.machine.expect("the VM stops\n", PATIENCE)?;
    let said = fight.machine.command("vm probes 2")?;
    assert!(said.contains("errors: 0"), "{said}");
    // The message comes just before.
    for _ in 0..100 {
        let list = fight.machine.command("vm list")?;
        if list.contains("hostile          stopped") {
            return fight.end();
        }
        std::thread::sleep(Duration::from_millis(100));
    }
    anyhow::bail!("the guest goes on");
}
