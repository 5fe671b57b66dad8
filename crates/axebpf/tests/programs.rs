//! The shipped programs do what they say, from the catalogue's events to their maps.
#![cfg(all(feature = "precompiled-ebpf", feature = "tracepoint-support"))]

mod support;

use std::sync::Arc;

use axebpf::maps::Map;
use axebpf::platform::mock::{MockPlatform, set_mock_cpu_id, set_mock_time};
use axebpf::tracepoint::{trace, vmm};
use axebpf::{Axebpf, LinkOptions, LoadOptions, programs};
use support::root;

/// Loads a shipped object and attaches its programs as their sections say.
fn attached(root: &Axebpf<MockPlatform>, name: &str) {
    let elf = programs::find(name).unwrap().elf;
    let object = root.load(name, elf, &LoadOptions::default()).unwrap();
    for program in root.object(object).unwrap().programs {
        let section = root.program(program).unwrap().program.section().to_owned();
        // Those for functions do not say of which, or are for guests, which the mock platform does not have.
        if section.starts_with("tracepoint/") {
            root.attach(program, &LinkOptions::default()).unwrap();
        }
    }
}

fn map(root: &Axebpf<MockPlatform>, name: &str) -> Arc<Map> {
    let mut maps = root.maps().unwrap().into_iter().map(|info| info.map);
    maps.find(|map| map.name() == name).unwrap()
}

fn bytes(fields: &[u32]) -> Vec<u8> {
    fields
        .iter()
        .flat_map(|field| field.to_ne_bytes())
        .collect()
}

fn number(bytes: &[u8]) -> u64 {
    u64::from_ne_bytes(bytes.try_into().unwrap())
}

/// One exit of a guest at `at` nanoseconds, and its return 3,000 nanoseconds later. The VM is none that another test
/// has.
fn exit_and_enter(at: u64, vcpu_id: u32, reason: u32) {
    let (vm_id, pc) = (77, 0x4008_0000);
    set_mock_time(at);
    trace!(vmm::vcpu_run_exit {
        vm_id,
        vcpu_id,
        reason,
        pc,
        esr: 0,
        far: 0,
        gpa: 0,
    });
    set_mock_time(at + 3000);
    trace!(vmm::vcpu_run_enter { vm_id, vcpu_id, pc });
}

#[test]
fn the_shipped_programs_do_what_they_say() {
    set_mock_cpu_id(41);
    let root = root();
    for object in programs::list() {
        attached(&root, object.name);
    }
    for round in 0..5 {
        exit_and_enter(1_000_000 * (round + 1), 1, 22);
    }
    exit_and_enter(9_000_000, 0, 36);
    trace!(vmm::hypercall {
        vm_id: 77,
        vcpu_id: 1,
        function: 0x8400_0000,
        arg0: 0,
        arg1: 0,
        arg2: 0,
    });

    let exits = map(&root, "exits");
    assert_eq!(
        number(&exits.read(&bytes(&[77, 1, 22])).unwrap().unwrap()),
        5
    );
    assert_eq!(
        number(&exits.read(&bytes(&[77, 0, 36])).unwrap().unwrap()),
        1
    );

    // 3,000 nanoseconds are in the slot from 2^11 to 2^12.
    let slot = map(&root, "LATENCY").read(&bytes(&[11])).unwrap().unwrap();
    let counts: Vec<u64> = slot.chunks(8).map(number).collect();
    assert_eq!((counts[41], counts.iter().sum::<u64>()), (6, 6));

    let events = map(&root, "EVENTS");
    let mut consumer = events.ring().unwrap().consumer().unwrap();
    let record = consumer.next_record().unwrap().unwrap();
    assert_eq!(number(&record[..8]), 1_000_000);
    assert_eq!(number(&record[8..16]), 0x4008_0000);
    assert_eq!(record[16..], bytes(&[41, 77, 1, 22]));
    drop(consumer);

    let line = root.next_printk().unwrap().unwrap();
    assert_eq!(line.text, "vm 77 vcpu 1 hypercall 84000000");
    for link in root.links().unwrap() {
        assert_eq!(
            (link.counts.missed, link.counts.errors),
            (0, 0),
            "{}",
            link.target
        );
    }
}
