//! Programs and maps in maps, and what becomes of them.
#![cfg(feature = "runtime")]

mod support;

use std::sync::{Arc, Weak};

use axebpf::maps::Map;
use axebpf::platform::mock::MockPlatform;
use axebpf::runtime::Program;
use axebpf::{Axebpf, Error, LoadOptions, MapId, ObjectId, ProgramId, Unload};
use support::{COUNT, KINDS, root};

type Root = Axebpf<MockPlatform>;

fn load(root: &Root, elf: &[u8]) -> ObjectId {
    root.load("it", elf, &LoadOptions::default()).unwrap()
}

fn map(root: &Root, object: ObjectId, name: &str) -> MapId {
    let maps = root.object(object).unwrap().maps;
    let named = |id: &MapId| root.map(*id).unwrap().map.name() == name;
    maps.into_iter().find(named).unwrap()
}

fn program(root: &Root, object: ObjectId, name: &str) -> ProgramId {
    let programs = root.object(object).unwrap().programs;
    let named = |id: &ProgramId| root.program(*id).unwrap().program.name() == name;
    programs.into_iter().find(named).unwrap()
}

fn weak_map(root: &Root, id: MapId) -> Weak<Map> {
    Arc::downgrade(&root.map(id).unwrap().map)
}

fn weak_program(root: &Root, id: ProgramId) -> Weak<Program> {
    Arc::downgrade(&root.program(id).unwrap().program)
}

/// Puts both programs of an object into an array that both use, and returns what must go with it.
fn tie(root: &Root, object: ObjectId) -> (Weak<Map>, [Weak<Program>; 2]) {
    let targets = map(root, object, "targets");
    let programs = ["first", "second"].map(|name| program(root, object, name));
    for (index, program) in (0..).zip(programs) {
        root.write_program(targets, index, program).unwrap();
    }
    let programs = programs.map(|id| weak_program(root, id));
    (weak_map(root, targets), programs)
}

fn is_gone((map, programs): &(Weak<Map>, [Weak<Program>; 2])) -> bool {
    map.strong_count() == 0 && programs.iter().all(|program| program.strong_count() == 0)
}

#[test]
fn an_array_goes_with_the_programs_that_use_it() {
    let root = root();
    let object = load(&root, KINDS);
    let tied = tie(&root, object);
    root.unload(object, Unload::IfUnused).unwrap();
    assert!(is_gone(&tied));
    assert!(root.maps().unwrap().is_empty());
    assert!(root.programs().unwrap().is_empty());
}

#[test]
fn an_array_goes_with_its_registry() {
    let root = root();
    let object = load(&root, KINDS);
    let tied = tie(&root, object);
    drop(root);
    assert!(is_gone(&tied));
}

#[test]
fn an_array_is_left_alone_while_an_object_uses_it() {
    let root = root();
    let first = load(&root, KINDS);
    let targets = map(&root, first, "targets");
    let tied = tie(&root, first);
    let reuse = [("targets", targets)];
    let options = LoadOptions::default().with_reuse(&reuse);
    let second = root.load("other", KINDS, &options).unwrap();
    root.unload(first, Unload::IfUnused).unwrap();
    assert!(tied.1.iter().all(|program| program.strong_count() == 1));
    assert_eq!(root.map(targets).unwrap().map.stats().entries, Some(2));
    root.unload(second, Unload::IfUnused).unwrap();
    assert!(is_gone(&tied));
}

#[test]
fn a_program_of_another_object_goes_with_the_array() {
    let root = root();
    let (object, other) = (load(&root, KINDS), load(&root, COUNT));
    let target = program(&root, other, "count");
    root.write_program(map(&root, object, "targets"), 0, target)
        .unwrap();
    let target = weak_program(&root, target);
    let totals = weak_map(&root, map(&root, other, "totals"));
    root.unload(other, Unload::IfUnused).unwrap();
    assert_eq!((target.strong_count(), totals.strong_count()), (1, 1));
    root.unload(object, Unload::IfUnused).unwrap();
    assert_eq!((target.strong_count(), totals.strong_count()), (0, 0));
}

#[test]
fn an_array_that_somebody_holds_is_empty_once_it_is_unloaded() {
    let root = root();
    let object = load(&root, KINDS);
    let tied = tie(&root, object);
    let held = tied.0.upgrade().unwrap();
    root.unload(object, Unload::IfUnused).unwrap();
    assert_eq!(held.stats().entries, Some(0));
    drop(held);
    assert!(is_gone(&tied));
}

#[test]
fn unloading_in_a_hit_is_refused_and_changes_nothing() {
    let root = root();
    let object = load(&root, KINDS);
    let tied = tie(&root, object);
    {
        let _guard = axebpf::hit::enter().unwrap();
        let refused = root.unload(object, Unload::Force);
        assert!(matches!(refused, Err(Error::InHit)), "{refused:?}");
    }
    assert_eq!(tied.0.upgrade().unwrap().stats().entries, Some(2));
    root.unload(object, Unload::Force).unwrap();
    assert!(is_gone(&tied));
}

#[test]
fn a_map_lives_as_long_as_the_one_that_it_is_in() {
    let root = root();
    let (object, other) = (load(&root, KINDS), load(&root, KINDS));
    let inner = map(&root, other, "ours");
    let outer = map(&root, object, "per_vm");
    let key = 3_u32.to_ne_bytes();
    root.write_inner(outer, &key, inner, Default::default())
        .unwrap();
    let inner = weak_map(&root, inner);
    root.unload(other, Unload::IfUnused).unwrap();
    assert_eq!(inner.strong_count(), 1);
    root.unload(object, Unload::IfUnused).unwrap();
    assert_eq!(inner.strong_count(), 0);
}

#[test]
fn what_is_gone_is_put_nowhere() {
    let root = root();
    let (object, other) = (load(&root, KINDS), load(&root, COUNT));
    let gone = (map(&root, other, "totals"), program(&root, other, "count"));
    root.unload(other, Unload::IfUnused).unwrap();
    let targets = map(&root, object, "targets");
    let refused = root.write_program(targets, 0, gone.1);
    assert!(
        matches!(refused, Err(Error::NoProgram { .. })),
        "{refused:?}"
    );
    let outer = map(&root, object, "per_vm");
    let refused = root.write_inner(outer, &[0; 4], gone.0, Default::default());
    assert!(matches!(refused, Err(Error::NoMap { .. })), "{refused:?}");
    let first = program(&root, object, "first");
    let refused = root.write_program(outer, 0, first);
    assert!(matches!(refused, Err(Error::Map(_))), "{refused:?}");
}
