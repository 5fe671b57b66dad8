//! What the image holds before anybody patches it.

use std::{collections::BTreeSet, fs};

use anyhow::{Context, Result, ensure};
use axebpf_e2e::{Machine, Options, image_path};
use object::{Object, ObjectSection, ObjectSymbol};

/// `NOP` (ARM ARM C6.2.259).
const NOP: u32 = 0xd503_201f;

/// The section in which each tracepoint leaves where its NOP is, where its branch would go, and its event, each as the
/// distance from the word itself.
const KEYS: &str = "axebpf_keys";

/// A tracepoint in the text.
struct Site {
    at: u64,
    target: u64,
    event: String,
}

fn sites(elf: &object::File<'_>) -> Result<Vec<Site>> {
    let section = elf
        .section_by_name(KEYS)
        .context("the image has no tracepoints")?;
    let data = section.data()?;
    ensure!(
        !data.is_empty() && data.len() % 12 == 0,
        "{KEYS} has {} bytes",
        data.len()
    );
    let word = |offset: usize| -> Result<u64> {
        let bytes = data.get(offset..offset + 4).context("cut")?;
        let distance = i32::from_le_bytes(bytes.try_into()?);
        Ok((section.address() + offset as u64).wrapping_add_signed(i64::from(distance)))
    };
    (0..data.len())
        .step_by(12)
        .map(|entry| {
            Ok(Site {
                at: word(entry)?,
                target: word(entry + 4)?,
                event: symbol_at(elf, word(entry + 8)?)?,
            })
        })
        .collect()
}

/// Returns the demangled name of the symbol at `address`.
fn symbol_at(elf: &object::File<'_>, address: u64) -> Result<String> {
    let mut symbols = elf.symbols().filter(|symbol| symbol.address() == address);
    let named = symbols.find(|s| {
        s.name()
            .is_ok_and(|name| !name.starts_with('$') && !name.is_empty())
    });
    let name = named
        .with_context(|| format!("no symbol at {address:#x}"))?
        .name()?
        .to_owned();
    Ok(format!("{:#}", rustc_demangle::demangle(&name)))
}

/// Returns the instruction at `address`.
fn insn_at(elf: &object::File<'_>, address: u64) -> Result<u32> {
    for section in elf.sections() {
        if let Some(bytes) = section.data_range(address, 4)? {
            return Ok(u32::from_le_bytes(bytes.try_into()?));
        }
    }
    anyhow::bail!("no section holds {address:#x}")
}

/// Checks that each tracepoint of the image is one NOP that a branch can replace.
#[test]
fn each_disabled_tracepoint_is_one_nop() -> Result<()> {
    let bytes = fs::read(image_path()?)?;
    let elf = object::File::parse(bytes.as_slice())?;
    for Site { at, target, event } in sites(&elf)? {
        let found = insn_at(&elf, at)?;
        assert_eq!(found, NOP, "{event}: {found:#010x} at {at:#x}");
        assert_ne!(at, target, "{event}: the branch goes to itself");
        assert!(
            at.abs_diff(target) < 128 << 20,
            "{event}: {target:#x} is too far from {at:#x}"
        );
        assert_eq!(at % 4, 0, "{event}");
        insn_at(&elf, target)?;
    }
    Ok(())
}

/// Checks that no probe gets in the way of switching a tracepoint.
#[test]
fn no_tracepoint_can_be_probed() -> Result<()> {
    let bytes = fs::read(image_path()?)?;
    let elf = object::File::parse(bytes.as_slice())?;
    let mut machine = Machine::boot(&image_path()?, &Options::default())?;
    for Site { at, event, .. } in sites(&elf)? {
        let answer = machine.command(&format!("hprobe check {at:#x}"))?;
        ensure!(answer.contains("must not be probed"), "{event}: {answer}");
    }
    machine.shut_down()
}

/// Checks that the hypervisor reports every event of the catalogue.
#[test]
fn each_event_of_the_catalogue_has_a_tracepoint() -> Result<()> {
    let bytes = fs::read(image_path()?)?;
    let elf = object::File::parse(bytes.as_slice())?;
    let reported: BTreeSet<String> = sites(&elf)?.into_iter().map(|site| site.event).collect();
    axebpf::tracepoint::init()?;
    let missing: Vec<&str> = axebpf::tracepoint::events()
        .filter(|event| ["vmm", "shell"].contains(&event.system()))
        .filter(|event| {
            let name = type_name(event.name());
            !reported
                .iter()
                .any(|symbol| symbol.contains(&format!("::{name} as ")))
        })
        .map(axebpf::tracepoint::Event::full_name)
        .collect();
    assert!(missing.is_empty(), "no tracepoint reports {missing:?}");
    Ok(())
}

/// Turns `vcpu_run_exit` into `VcpuRunExit`.
fn type_name(event: &str) -> String {
    let capitalise = |word: &str| {
        let (first, rest) = word.split_at(1);
        first.to_ascii_uppercase() + rest
    };
    event.split('_').map(capitalise).collect()
}
