//! Any bytes are an object or an error, and what loads can be run.
#![no_main]

use axebpf_maps::MapKind;
use axebpf_platform::mock::MOCK;
use axebpf_vm::{Context, LoadOptions, ObjectFile, RunEnv};
use libfuzzer_sys::fuzz_target;

/// Objects with more memory in their maps are parsed only.
const MAX_MAP_BYTES: u64 = 1 << 20;

fuzz_target!(|elf: &[u8]| {
    let Ok(file) = ObjectFile::parse(elf) else { return };
    let bytes: u64 = file.maps().iter().map(|map| map.spec()).fold(0, |bytes, spec| {
        let entry = u64::from(spec.key_size) + u64::from(spec.value_size) + 64;
        bytes.saturating_add(entry.saturating_mul(spec.max_entries.into()))
    });
    if bytes > MAX_MAP_BYTES {
        return;
    }
    axebpf_hit::install(&MOCK).expect("the only platform");
    let Ok(object) = file.load(&LoadOptions::new().with_cpus(1)) else { return };
    let context = [0x11; 64];
    for program in object.programs() {
        program.set_budget(4096);
        let guard = axebpf_hit::enter().expect("no hit in a hit");
        let _ = program.run(&guard, Context::new(&context), &RunEnv::new());
    }
    // What is in an array that it uses itself would keep both.
    for map in object.maps().iter().filter(|map| map.kind() == MapKind::ProgArray) {
        map.clear_programs().expect("nothing runs");
    }
});
