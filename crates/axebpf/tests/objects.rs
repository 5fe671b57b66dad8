//! Loading and unloading objects.
#![cfg(feature = "runtime")]

mod support;

use std::sync::Arc;

use axebpf::{Error, LinkOptions, LoadOptions, MapId, ObjectId, ProgramId, Target, Unload};
use support::{COUNT, REFUSED, SECTIONS, SHARED, root};

fn plain() -> LoadOptions<'static> {
    LoadOptions::default()
}

#[test]
fn an_object_brings_its_programs_and_maps() {
    let root = root();
    let id = root.load("pings", COUNT, &plain()).unwrap();
    let object = root.object(id).unwrap();
    assert_eq!(
        (object.name.as_str(), object.license.as_str()),
        ("pings", "Dual GPL/Apache")
    );
    assert_eq!(object.len, COUNT.len());
    let program = root.program(object.programs[0]).unwrap();
    assert_eq!(program.program.name(), "count");
    assert_eq!(program.program.section(), "tracepoint/facade/ping");
    let mut names: Vec<_> = root
        .maps()
        .unwrap()
        .iter()
        .map(|info| info.map.name().to_string())
        .collect();
    names.sort();
    assert_eq!(names, ["by_value", "totals"]);
}

#[test]
fn the_same_object_twice_is_two_objects() {
    let root = root();
    let first = root.load("pings", COUNT, &plain()).unwrap();
    let second = root.load("pings", COUNT, &plain()).unwrap();
    assert_ne!(first, second);
    let (first, second) = (root.object(first).unwrap(), root.object(second).unwrap());
    assert!(first.maps.iter().all(|map| !second.maps.contains(map)));
    let write = |id: MapId, value: u64| {
        let map = root.map(id).unwrap().map;
        map.write(
            &0u32.to_ne_bytes(),
            &value.to_ne_bytes(),
            Default::default(),
        )
        .unwrap();
    };
    let totals = |maps: &[MapId]| {
        *maps
            .iter()
            .find(|id| root.map(**id).unwrap().map.name() == "totals")
            .unwrap()
    };
    write(totals(&first.maps), 1);
    write(totals(&second.maps), 2);
    root.unload(first.id, Unload::IfUnused).unwrap();
    let left = root.map(totals(&second.maps)).unwrap().map;
    assert_eq!(
        left.read(&0u32.to_ne_bytes()).unwrap().unwrap(),
        2u64.to_ne_bytes()
    );
}

#[test]
fn ids_are_never_given_twice() {
    let root = root();
    let mut seen = Vec::new();
    for _ in 0..3 {
        let id = root.load("pings", COUNT, &plain()).unwrap();
        let object = root.object(id).unwrap();
        assert!(!seen.contains(&(id, object.programs.clone(), object.maps.clone())));
        assert!(
            seen.iter()
                .all(|(_, _, maps)| maps.iter().all(|map| !object.maps.contains(map)))
        );
        root.unload(id, Unload::IfUnused).unwrap();
        seen.push((id, object.programs, object.maps));
        assert!(matches!(root.object(id), Err(Error::NoObject { id: gone }) if gone == id));
    }
    assert!(root.objects().unwrap().is_empty());
    assert!(root.programs().unwrap().is_empty());
    assert!(root.maps().unwrap().is_empty());
}

#[test]
fn a_failed_load_leaves_nothing_behind() {
    let root = root();
    let error = root.load("bad", REFUSED, &plain()).unwrap_err();
    assert!(matches!(error, Error::Load(_)), "{error}");
    assert!(error.to_string().contains("999"), "{error}");
    for cut in [0, 1, 63, 64, COUNT.len() / 2, COUNT.len() - 1] {
        assert!(
            root.load("cut", &COUNT[..cut], &plain()).is_err(),
            "{cut} bytes"
        );
    }
    assert!(root.objects().unwrap().is_empty());
    assert!(root.programs().unwrap().is_empty());
    assert!(root.maps().unwrap().is_empty());
}

#[test]
fn maps_that_are_pinned_by_name_are_shared_and_stay() {
    let root = root();
    let first = root.load("one", SHARED, &plain()).unwrap();
    let second = root.load("two", SHARED, &plain()).unwrap();
    let maps = root.maps().unwrap();
    assert_eq!(maps.len(), 1);
    assert_eq!(maps[0].objects, [first, second]);
    assert_eq!(maps[0].pin.as_deref(), Some("shared_total"));
    root.unload(first, Unload::IfUnused).unwrap();
    root.unload(second, Unload::IfUnused).unwrap();
    let third = root.load("three", SHARED, &plain()).unwrap();
    assert_eq!(root.object(third).unwrap().maps, [maps[0].id]);
    root.unpin("shared_total").unwrap();
    assert!(matches!(
        root.unpin("shared_total"),
        Err(Error::NotPinned { .. })
    ));
    let fourth = root.load("four", SHARED, &plain()).unwrap();
    assert_ne!(root.object(fourth).unwrap().maps, [maps[0].id]);
    root.unload(third, Unload::IfUnused).unwrap();
    assert!(matches!(root.map(maps[0].id), Err(Error::NoMap { .. })));
}

#[test]
fn a_map_can_be_named_for_reuse() {
    let root = root();
    let first = root.load("one", COUNT, &plain()).unwrap();
    let maps = root.object(first).unwrap().maps;
    let find = |name: &str| {
        *maps
            .iter()
            .find(|id| root.map(**id).unwrap().map.name() == name)
            .unwrap()
    };
    let reuse = [("totals", find("totals"))];
    let second = root
        .load("two", COUNT, &plain().with_reuse(&reuse))
        .unwrap();
    assert!(root.object(second).unwrap().maps.contains(&find("totals")));
    let shared = root.map(find("totals")).unwrap();
    assert_eq!(shared.objects, [first, second]);
    let wrong = [("totals", find("by_value"))];
    assert!(matches!(
        root.load("three", COUNT, &plain().with_reuse(&wrong)),
        Err(Error::Load(_))
    ));
    let unused = [("no_such_map", find("totals"))];
    assert!(matches!(
        root.load("three", COUNT, &plain().with_reuse(&unused)),
        Err(Error::NoSuchMapInObject { .. })
    ));
    let gone = [("totals", MapId::new(999))];
    assert!(matches!(
        root.load("three", COUNT, &plain().with_reuse(&gone)),
        Err(Error::NoMap { .. })
    ));
    assert_eq!(root.objects().unwrap().len(), 2);
    root.unload(first, Unload::IfUnused).unwrap();
    // The second object keeps the map alive.
    assert_eq!(root.map(shared.id).unwrap().objects, [second]);
    assert!(Arc::strong_count(&shared.map) > 1);
}

#[test]
fn names_have_to_be_typeable() {
    let root = root();
    let long = "x".repeat(65);
    for name in ["", "a b", "a\n", "\u{7}", long.as_str()] {
        assert!(
            matches!(root.load(name, COUNT, &plain()), Err(Error::BadName { .. })),
            "{name:?}"
        );
    }
}

#[test]
fn what_is_not_there_is_named() {
    let root = root();
    assert_eq!(
        root.unload(ObjectId::new(7), Unload::Force)
            .unwrap_err()
            .to_string(),
        "there is no object 7"
    );
    assert_eq!(
        root.program(ProgramId::new(8)).err().unwrap().to_string(),
        "there is no program 8"
    );
}

#[test]
fn functions_that_cannot_be_probed_are_an_error() {
    let root = root();
    let id = root.load("sections", SECTIONS, &plain()).unwrap();
    let programs = root.object(id).unwrap().programs;
    let by_name = |name: &str| {
        *programs
            .iter()
            .find(|id| root.program(**id).unwrap().program.name() == name)
            .unwrap()
    };
    let options = LinkOptions::default();
    let error = root.attach(by_name("function"), &options).unwrap_err();
    assert_eq!(
        error.to_string(),
        if cfg!(feature = "hprobe") {
            "this hypervisor has not set up probes on its functions"
        } else {
            "cannot attach to hprobe:handle_exit+0x10: hprobes are not available in this build"
        }
    );
    let error = root.attach(by_name("adrift"), &options).unwrap_err();
    assert!(matches!(error, Error::NoTarget { .. }), "{error}");
    let target: Target = "kretprobe:do_exit".parse().unwrap();
    let error = root
        .attach_to(by_name("adrift"), &target, &options.with_filter("pid == 1"))
        .unwrap_err();
    if cfg!(feature = "guest-kprobe") {
        assert_eq!(error.to_string(), "no VM is open to probes");
    } else {
        assert!(matches!(error, Error::NoFields { .. }), "{error}");
    }
    assert!(root.links().unwrap().is_empty());
}
