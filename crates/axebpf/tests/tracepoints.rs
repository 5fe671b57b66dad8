//! From tracepoints to programs.
#![cfg(all(feature = "runtime", feature = "tracepoint-support"))]

mod support;

use std::sync::Arc;

use axebpf::maps::Map;
use axebpf::platform::mock::{MockPlatform, set_mock_cpu_id, set_mock_time};
use axebpf::tracepoint::{TraceHandler, TraceHit, define_event, subscribe, trace};
use axebpf::{
    Axebpf, Error, LinkId, LinkOptions, LoadOptions, ObjectId, ProgramId, Target, Unload,
};
use support::{ALL, COUNT, LEAK, SECTIONS, SPIN, root};

/// Defines an event for each test, so that tests that run side by side do not see each other's.
macro_rules! events {
    ($($name:ident $type:ident,)*) => {$(
        define_event! {
            /// Something happened.
            event facade:$name as $type {
                /// What happened.
                value: u64,
                /// Where.
                cpu: u32,
            }
        }
    )*};
}

events! {
    ping Ping,
    filtered Filtered,
    unfiltered Unfiltered,
    busy Busy,
    dropped Dropped,
    outer Outer,
    inner Inner,
    inside Inside,
    endless Endless,
    leaky Leaky,
    unread Unread,
    printed Printed,
    flooded Flooded,
    many Many,
}

fn ping_target(name: &str) -> Target {
    format!("facade:{name}").parse().unwrap()
}

/// Loads an object with one program and attaches that to the event `facade:name`.
fn attached(
    root: &Axebpf<MockPlatform>,
    elf: &[u8],
    name: &str,
    options: &LinkOptions<'_>,
) -> (ObjectId, LinkId) {
    let object = root.load("test", elf, &LoadOptions::default()).unwrap();
    let program = root.object(object).unwrap().programs[0];
    (
        object,
        root.attach_to(program, &ping_target(name), options)
            .unwrap(),
    )
}

fn map_of(root: &Axebpf<MockPlatform>, object: ObjectId, name: &str) -> Arc<Map> {
    let maps = root.object(object).unwrap().maps;
    let mut maps = maps.into_iter().map(|id| root.map(id).unwrap().map);
    maps.find(|map| map.name() == name).unwrap()
}

fn total(root: &Axebpf<MockPlatform>, object: ObjectId) -> u64 {
    let map = map_of(root, object, "totals");
    u64::from_ne_bytes(
        map.read(&0u32.to_ne_bytes())
            .unwrap()
            .unwrap()
            .try_into()
            .unwrap(),
    )
}

#[test]
fn a_program_attaches_by_its_section() {
    let root = root();
    let object = root.load("pings", COUNT, &LoadOptions::default()).unwrap();
    let program = root.object(object).unwrap().programs[0];
    let link = root.attach(program, &LinkOptions::default()).unwrap();
    assert_eq!(
        root.link(link).unwrap().target.to_string(),
        "tracepoint:facade:ping"
    );
    for value in [5, 5, 7] {
        trace!(ping { value, cpu: 0 });
    }
    assert_eq!(total(&root, object), 3);
    let by_value = map_of(&root, object, "by_value");
    let seen = by_value.read(&5u64.to_ne_bytes()).unwrap().unwrap();
    assert_eq!(seen, 2u64.to_ne_bytes());
    let counts = root.detach(link).unwrap();
    assert_eq!((counts.hits, counts.missed, counts.errors), (3, 0, 0));
    trace!(ping { value: 1, cpu: 0 });
    assert_eq!(total(&root, object), 3);
    assert!(!ping.enabled());
}

#[test]
fn a_filter_keeps_the_program_from_running() {
    let root = root();
    let options = LinkOptions::default()
        .with_filter("value >= 3 && cpu == 1")
        .with_cookie(9);
    let (object, link) = attached(&root, COUNT, "filtered", &options);
    for value in 0..5 {
        trace!(filtered { value, cpu: 1 });
        trace!(filtered { value, cpu: 0 });
    }
    assert_eq!(total(&root, object), 2);
    let info = root.link(link).unwrap();
    assert_eq!(
        (info.filter.as_deref(), info.cookie),
        (Some("value >= 3 && cpu == 1"), 9)
    );
}

#[test]
fn a_bad_filter_leaves_nothing_behind() {
    let root = root();
    let object = root.load("pings", COUNT, &LoadOptions::default()).unwrap();
    let program = root.object(object).unwrap().programs[0];
    let long = format!("value == 1{}", " || value == 2".repeat(800));
    let deep = format!("{}value == 1{}", "(".repeat(1000), ")".repeat(1000));
    for filter in [
        "nothing == 1",
        "value ~ \"x*\"",
        "value ==",
        "",
        &long,
        &deep,
    ] {
        let options = LinkOptions::default().with_filter(filter);
        let error = root
            .attach_to(program, &ping_target("unfiltered"), &options)
            .unwrap_err();
        assert!(matches!(error, Error::Filter(_)), "{error}");
    }
    assert!(root.links().unwrap().is_empty());
    assert!(!unfiltered.enabled());
}

#[test]
fn a_missing_tracepoint_is_an_error() {
    let root = root();
    let object = root
        .load("sections", SECTIONS, &LoadOptions::default())
        .unwrap();
    let programs = root.object(object).unwrap().programs;
    let is_missing = |id: &&ProgramId| root.program(**id).unwrap().program.name() == "missing";
    let missing = programs.iter().find(is_missing).unwrap();
    let error = root.attach(*missing, &LinkOptions::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "there is no tracepoint `facade:no_such_event`"
    );
    assert!(root.links().unwrap().is_empty());
}

#[test]
fn an_object_in_use_is_unloaded_only_by_force() {
    let root = root();
    let (object, link) = attached(&root, COUNT, "busy", &LinkOptions::default());
    let error = root.unload(object, Unload::IfUnused).unwrap_err();
    assert!(
        matches!(&error, Error::Busy { object: used, links } if *used == object && *links == [link]),
        "{error}"
    );
    trace!(busy { value: 1, cpu: 0 });
    assert_eq!(total(&root, object), 1);
    root.unload(object, Unload::Force).unwrap();
    assert!(!busy.enabled());
    assert!(matches!(root.detach(link), Err(Error::NoLink { .. })));
    assert!(root.links().unwrap().is_empty());
    assert!(root.maps().unwrap().is_empty());
}

#[test]
fn dropping_the_root_detaches() {
    let root = root();
    attached(&root, COUNT, "dropped", &LinkOptions::default());
    assert!(dropped.enabled());
    drop(root);
    assert!(!dropped.enabled());
}

#[test]
fn a_tracepoint_inside_a_handler_is_missed_and_does_not_recurse() {
    struct Nested;
    impl TraceHandler for Nested {
        fn hit(&self, _: &TraceHit<'_>) {
            trace!(outer { value: 1, cpu: 0 });
            trace!(inner { value: 2, cpu: 0 });
        }
    }
    let root = root();
    let (outer_object, outer_link) = attached(&root, COUNT, "outer", &LinkOptions::default());
    let (inner_object, inner_link) = attached(&root, COUNT, "inner", &LinkOptions::default());
    let subscription = subscribe(&outer, Arc::new(Nested), None).unwrap();
    trace!(outer { value: 0, cpu: 0 });
    subscription.cancel().unwrap();
    assert_eq!(
        (total(&root, outer_object), total(&root, inner_object)),
        (1, 0)
    );
    let counts = root.link(outer_link).unwrap().counts;
    assert_eq!((counts.hits, counts.missed, counts.errors), (1, 1, 0));
    let counts = root.link(inner_link).unwrap().counts;
    assert_eq!((counts.hits, counts.missed, counts.errors), (0, 1, 0));
}

#[test]
fn management_is_refused_inside_a_hit() {
    struct Manages(Axebpf<MockPlatform>);
    impl TraceHandler for Manages {
        fn hit(&self, _: &TraceHit<'_>) {
            assert!(matches!(self.0.links(), Err(Error::InHit)));
            assert!(matches!(self.0.detach(LinkId::new(1)), Err(Error::InHit)));
            assert!(matches!(self.0.unpin("x"), Err(Error::InHit)));
        }
    }
    let subscription = subscribe(&inside, Arc::new(Manages(root())), None).unwrap();
    trace!(inside { value: 0, cpu: 0 });
    subscription.cancel().unwrap();
}

#[test]
fn a_program_that_never_ends_is_stopped_and_counted() {
    let root = root();
    let (object, link) = attached(&root, SPIN, "endless", &LinkOptions::default());
    trace!(endless { value: 0, cpu: 0 });
    let counts = root.link(link).unwrap().counts;
    assert_eq!((counts.hits, counts.missed, counts.errors), (0, 0, 1));
    let program = root.object(object).unwrap().programs[0];
    assert_eq!(
        root.program(program).unwrap().program.stats().budget_aborts,
        1
    );
}

#[test]
fn a_reservation_that_is_never_submitted_is_counted() {
    let root = root();
    let (object, link) = attached(&root, LEAK, "leaky", &LinkOptions::default());
    for value in 0..10_000 {
        trace!(leaky { value, cpu: 0 });
    }
    let records = map_of(&root, object, "records");
    let ring = records.ring().unwrap();
    assert_eq!(ring.abandoned() + ring.dropped(), 10_000);
    assert!(ring.abandoned() > 0);
    assert_eq!(root.link(link).unwrap().counts.hits, 10_000);
}

#[test]
fn a_ring_buffer_that_nobody_reads_counts_what_it_drops() {
    let root = root();
    let (object, _) = attached(&root, ALL, "unread", &LinkOptions::default());
    for value in 0..1000 {
        trace!(unread {
            value: value % 16,
            cpu: 0
        });
    }
    let records = map_of(&root, object, "records");
    let ring = records.ring().unwrap();
    // A record has 16 bytes and a header of 8.
    let kept = 4096 / 24;
    assert_eq!(ring.dropped(), 1000 - kept);
    let mut read = 0;
    while ring.consumer().unwrap().next_record().unwrap().is_some() {
        read += 1;
    }
    assert_eq!(read, kept);
}

#[test]
fn what_programs_print_comes_out_in_the_order_of_time() {
    set_mock_cpu_id(33);
    let root = root();
    let (object, _) = attached(&root, ALL, "printed", &LinkOptions::default());
    for value in 0..3u64 {
        set_mock_time(1_000_000 * (value + 1));
        trace!(printed { value, cpu: 33 });
    }
    let program = root.object(object).unwrap().programs[0];
    for value in 0..3 {
        let line = root.next_printk().unwrap().unwrap();
        assert_eq!(line.text, format!("ping {value} on cpu 33"));
        assert_eq!(
            (line.time_ns, line.cpu.get()),
            (1_000_000 * (value + 1), 33)
        );
        assert_eq!(line.program, program);
    }
    assert_eq!(root.next_printk().unwrap(), None);
    assert_eq!(root.lost_printk().unwrap(), 0);
}

#[test]
fn printed_lines_that_nobody_reads_are_counted() {
    set_mock_cpu_id(34);
    let root = root();
    let (object, link) = attached(&root, ALL, "flooded", &LinkOptions::default());
    for value in 0..5000 {
        trace!(flooded {
            value: value % 8,
            cpu: 34
        });
    }
    let mut last = None;
    let mut read = 0;
    while let Some(line) = root.next_printk().unwrap() {
        last = Some(line.text);
        read += 1;
    }
    assert_eq!(last.as_deref(), Some("ping 7 on cpu 34"));
    assert_eq!(read + root.lost_printk().unwrap(), 5000);
    root.detach(link).unwrap();
    root.unload(object, Unload::IfUnused).unwrap();
}

#[test]
fn the_same_program_can_be_attached_many_times() {
    let root = root();
    let object = root.load("pings", COUNT, &LoadOptions::default()).unwrap();
    let program = root.object(object).unwrap().programs[0];
    let target = ping_target("many");
    let links: Vec<_> = (0..4)
        .map(|_| {
            root.attach_to(program, &target, &LinkOptions::default())
                .unwrap()
        })
        .collect();
    trace!(many { value: 1, cpu: 0 });
    assert_eq!(total(&root, object), 4);
    assert_eq!(root.program(program).unwrap().links, links);
    root.detach(links[1]).unwrap();
    trace!(many { value: 1, cpu: 0 });
    assert_eq!(total(&root, object), 7);
}
