//! Loads objects over the console, as `cargo xtask push` does.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::Result;
use axebpf_e2e::{Machine, Options, PROMPT, image_path, upload};

fn object(name: &str) -> Result<Vec<u8>> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../crates/axebpf/precompiled");
    Ok(fs::read(folder.join(format!("{name}.bpf.o")))?)
}

fn boot() -> Result<Machine> {
    Machine::boot(&image_path()?, &Options::default())
}

#[test]
fn an_uploaded_program_runs() -> Result<()> {
    let mut machine = boot()?;
    let object = object("exit_count")?;
    let mut last = 0;
    let said = upload(&mut machine, "mine", "--attach", &object, |bytes| {
        assert!(bytes >= last && bytes <= object.len());
        last = bytes;
    })?;
    assert!(said.contains("object 1, mine: 1 program, 1 map"), "{said}");
    let links = machine.command("link list")?;
    assert!(links.contains("1:exit_count"), "{links}");
    machine.shut_down()
}

#[test]
fn a_broken_object_is_refused_and_leaves_nothing() -> Result<()> {
    let mut machine = boot()?;
    let mut object = object("exit_count")?;
    object.truncate(object.len() / 2);
    let said = upload(&mut machine, "broken", "--attach", &object, |_| {})?;
    assert!(said.contains("error: "), "{said}");
    let maps = machine.command("map list")?;
    assert!(maps.contains("there are no maps"), "{maps}");
    machine.shut_down()
}

#[test]
fn an_upload_that_is_given_up_leaves_the_shell_at_its_prompt() -> Result<()> {
    let mut machine = boot()?;
    let timeout = Duration::from_secs(30);
    machine.send_line("prog load --upload mine")?;
    machine.expect("upload: ready ", timeout)?;
    machine.send(b"begin 100 00000000\nabort\n")?;
    machine.expect("upload: failed ", timeout)?;
    machine.expect(PROMPT, timeout)?;
    let programs = machine.command("prog list")?;
    assert!(!programs.contains("mine"), "{programs}");
    machine.shut_down()
}
