//! Call chains of programs at tracepoints, and what needs the types of a target.
#![cfg(all(feature = "runtime", feature = "tracepoint-support"))]

mod support;

use axebpf::runtime::LoadError;
use axebpf::tracepoint::{define_event, trace};
use axebpf::{Error, LinkOptions, LoadOptions, Target};
use support::{KINDS, root};

define_event! {
    /// Something happened.
    pub(crate) event stacks_test:passed as Passed {
        /// What happened.
        value: u64,
    }
}

#[inline(never)]
fn passes() {
    trace!(passed { value: 1 });
}

#[test]
fn the_chain_of_a_tracepoint_starts_where_it_was_passed() {
    let root = root();
    let object = root.load("kinds", KINDS, &LoadOptions::default()).unwrap();
    let object = root.object(object).unwrap();
    let target: Target = "stacks_test:passed".parse().unwrap();
    root.attach_to(object.programs[0], &target, &LinkOptions::default())
        .unwrap();
    passes();
    passes();
    let maps = object.maps.iter().map(|id| root.map(*id).unwrap().map);
    let stacks = maps
        .into_iter()
        .find(|map| map.name() == "stacks")
        .expect("the map of stacks");
    let keys: Vec<_> = stacks.keys().map(Result::unwrap).collect();
    assert_eq!(keys.len(), 1, "both hits have the same chain");
    let chain = stacks.read(&keys[0]).unwrap().expect("a chain");
    let pc = u64::from_ne_bytes(*chain.first_chunk().expect("an address"));
    let start = passes as fn() as usize as u64;
    assert!(
        (start..start + 4096).contains(&pc),
        "{pc:#x} is not in {start:#x}"
    );
}

const CORE: &[u8] = include_bytes!("../../axebpf-vm/tests/objects/core.o");
const TYPES: &[u8] = include_bytes!("../../axebpf-vm/tests/objects/core_target.btf");

#[test]
fn an_object_is_adapted_to_the_types_that_are_given() {
    let root = root();
    let without = root.load("core", CORE, &LoadOptions::default());
    assert!(matches!(
        without,
        Err(Error::Load(LoadError::NoTargetTypes { .. }))
    ));
    let options = LoadOptions::default().with_types(TYPES);
    let object = root.load("core", CORE, &options).unwrap();
    assert!(!root.object(object).unwrap().programs.is_empty());
}
