//! Every object in the tree, as aya-obj reads it and as this crate does.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use axebpf_hit as _;
use axebpf_vm::{LoadError, ObjectFile, Pinning};
use aya_obj::maps::PinningType;

/// Returns the objects of a directory next to this crate's.
fn objects(dir: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(dir);
    let entries = fs::read_dir(&dir).expect("a directory of the tree");
    let paths = entries.map(|entry| entry.expect("a readable directory").path());
    let mut objects: Vec<_> = paths
        .filter(|path| path.extension().is_some_and(|extension| extension == "o"))
        .collect();
    objects.sort();
    objects
}

/// Gives sections of kinds that aya does not know, with a target or without, names of the same length that it does.
fn rename(elf: &[u8]) -> Vec<u8> {
    const NAMES: [(&[u8], &[u8]); 2] = [(b"hprobe", b"kprobe"), (b"hretprobe", b"kretprobe")];
    let mut elf = elf.to_vec();
    for (ours, theirs) in NAMES {
        for at in 0..elf.len() {
            let end = elf.get(at + ours.len()).copied();
            if elf[at..].starts_with(ours) && matches!(end, Some(b'/' | 0)) {
                elf[at..at + theirs.len()].copy_from_slice(theirs);
            }
        }
    }
    elf
}

fn compare(path: &Path, elf: &[u8], ours: &ObjectFile) {
    let name = path.display();
    let mut theirs = aya_obj::Object::parse(&rename(elf)).expect("an object that aya reads, too");
    if !ours.license().is_empty() {
        assert_eq!(theirs.license.to_str(), Ok(ours.license()), "{name}");
    }

    assert_eq!(ours.maps().len(), theirs.maps.len(), "{name}");
    for map in ours.maps() {
        let label = format!("{name}, map {}", map.name());
        let (spec, its) = (map.spec(), &theirs.maps[map.name()]);
        assert_eq!(spec.kind.number(), its.map_type(), "{label}");
        assert_eq!(spec.max_entries, its.max_entries(), "{label}");
        let pinned = map.pinning() == Pinning::ByName;
        assert_eq!(pinned, its.pinning() == PinningType::ByName, "{label}");
        if let Some(initial) = map.initial() {
            // What has no bytes in the file starts as zeroes.
            let data = its.data();
            assert!(initial.starts_with(data), "{label}");
            assert!(
                initial[data.len()..].iter().all(|byte| *byte == 0),
                "{label}"
            );
        } else {
            assert_eq!(spec.flags.bits(), its.map_flags(), "{label}");
            // Sizes that go without saying are filled in here.
            for (size, its_size) in [
                (spec.key_size, its.key_size()),
                (spec.value_size, its.value_size()),
            ] {
                assert!(
                    size == its_size || its_size == 0,
                    "{label}: {size} {its_size}"
                );
            }
        }
    }

    let text: HashSet<usize> = theirs
        .functions
        .keys()
        .map(|(section, _)| *section)
        .collect();
    theirs.relocate_calls(&text).expect("calls that aya links");
    // For aya, a static function in a section of programs is a program, too; for libbpf and here it is not.
    assert!(ours.programs().len() <= theirs.programs.len(), "{name}");
    for program in ours.programs() {
        let label = format!("{name}, program {}", program.name());
        let its = &theirs.programs[program.name()];
        let function = &theirs.functions[&its.function_key()];
        assert_eq!(program.insn_count(), function.instructions.len(), "{label}");
    }
}

#[test]
fn aya_reads_the_same() {
    let mut compared = 0;
    for dir in [
        "tests/objects",
        "../axebpf/tests/objects",
        "../axebpf/precompiled",
    ] {
        for path in objects(dir) {
            // aya refuses pointers to functions in type information.
            if path.ends_with("slots.o") {
                continue;
            }
            let elf = fs::read(&path).expect("a readable file");
            match ObjectFile::parse(&elf) {
                // aya knows no optional programs.
                Ok(ours) if ours.programs().iter().any(|program| program.is_optional()) => continue,
                Ok(ours) => compare(&path, &elf, &ours),
                // aya resolves these two later, when it loads.
                Err(LoadError::NoTargetTypes { .. } | LoadError::RefusedSection { .. }) => continue,
                Err(error) => panic!("{}: {error}", path.display()),
            }
            compared += 1;
        }
    }
    assert!(compared >= 15, "{compared} objects");
}
