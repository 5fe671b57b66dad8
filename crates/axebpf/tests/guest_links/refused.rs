//! What no kernel can have is not waited for: it is the same error before a kernel runs and while one does.

use axebpf::platform::GuestVirt;
use axebpf::probe::kprobe::GuestProbeError;
use axebpf::{Error, GuestError, LinkOptions, LoadOptions, ProbeType, Target, Unload};

use crate::Bench;
use crate::kernel::write_symbols;
use crate::machine::{LINKED, VM};

const NOWHERE: &[u8] = include_bytes!("../objects/guest_nowhere.bpf.o");

/// Does `test` with a guest that is off, and with one that runs.
fn before_and_after_boot(test: impl Fn(&Bench)) {
    let mut bench = Bench::new();
    test(&bench);
    assert!(bench.root.links().unwrap().is_empty());
    bench.boot(0);
    write_symbols(&bench.guest.machine, LINKED);
    bench.guest.start_kernel();
    bench.guest.start_programs();
    test(&bench);
    assert!(bench.root.links().unwrap().is_empty());
}

#[track_caller]
fn refuse(bench: &Bench, target: &str) -> GuestError {
    match bench.try_attach(bench.entered, target, &LinkOptions::default()) {
        Err(Error::Guest(error)) => error,
        other => panic!("{target}: {other:?}"),
    }
}

#[test]
fn a_place_between_instructions_is_refused() {
    before_and_after_boot(|bench| {
        for (target, offset) in [("kprobe:vm1:work_3+2", 2), ("kprobe:vm1:nowhere+0x7", 7)] {
            let error = refuse(bench, target);
            let is_expected = matches!(
                &error,
                GuestError::BetweenInstructions { offset: found, .. } if *found == offset
            );
            assert!(is_expected, "{error:?}");
        }
        for (target, at) in [
            ("kprobe:vm1:0xffff800008000042", LINKED + 0x42),
            ("kprobe:vm1:0xffff800008000040+1", LINKED + 0x41),
        ] {
            let at = GuestVirt::new(at);
            let misaligned = GuestProbeError::Misaligned { at };
            assert_eq!(refuse(bench, target), GuestError::Probe(misaligned));
        }
    });
}

#[test]
fn a_return_elsewhere_than_at_an_entry_is_refused() {
    before_and_after_boot(|bench| {
        for name in ["work_3+4", "work_3+0x10", "0xffff800008000040+4"] {
            let error = refuse(bench, &format!("kretprobe:vm1:{name}"));
            assert_eq!(error, GuestError::NotAnEntry { name: name.into() });
        }
        let error = attach_to(bench, ProbeType::Kretprobe, "work_3", 4);
        let name = "work_3+0x4".into();
        assert_eq!(error, GuestError::NotAnEntry { name });
    });
}

/// Attaches to a target that nobody has written.
fn attach_to(bench: &Bench, kind: ProbeType, symbol: &str, offset: u64) -> GuestError {
    let target = Target::GuestFunction {
        kind,
        vm: Some(VM),
        symbol: symbol.into(),
        offset,
    };
    let options = LinkOptions::default();
    match bench.root.attach_to(bench.entered, &target, &options) {
        Err(Error::Guest(error)) => error,
        other => panic!("{target}: {other:?}"),
    }
}

#[test]
fn a_name_without_a_function_is_refused() {
    for text in ["kprobe:vm1:", "kretprobe:vm1:", "kprobe:vm1:disk:"] {
        assert!(text.parse::<Target>().is_err(), "{text}");
    }
    before_and_after_boot(|bench| {
        for symbol in ["", ":", "disk:", ":work_3"] {
            let error = attach_to(bench, ProbeType::Kprobe, symbol, 0);
            let name = symbol.into();
            assert_eq!(error, GuestError::NoName { name });
        }
    });
}

#[test]
fn a_link_with_room_for_no_calls_is_refused() {
    before_and_after_boot(|bench| {
        let options = LinkOptions::default().with_maxactive(0);
        let error = bench.try_attach(bench.returned, "kretprobe:vm1:work_3", &options);
        assert!(matches!(error, Err(Error::NoCalls { .. })), "{error:?}");
    });
}

#[test]
fn sections_are_refused_as_targets_are() {
    before_and_after_boot(|bench| {
        let options = LoadOptions::default();
        let object = bench.root.load("nowhere", NOWHERE, &options).unwrap();
        let programs = bench.root.object(object).unwrap().programs;
        assert_eq!(programs.len(), 4);
        for program in programs {
            let name = bench
                .root
                .program(program)
                .unwrap()
                .program
                .name()
                .to_owned();
            let error = bench
                .root
                .attach(program, &LinkOptions::default())
                .unwrap_err();
            let is_expected = match name.as_str() {
                "between_instructions" => matches!(
                    error,
                    Error::Guest(GuestError::BetweenInstructions { offset: 2, .. })
                ),
                "misaligned" => matches!(error, Error::Guest(GuestError::Probe(_))),
                "behind_the_entry" => {
                    matches!(error, Error::Guest(GuestError::NotAnEntry { .. }))
                }
                _ => matches!(error, Error::NoTarget { .. }),
            };
            assert!(is_expected, "{name}: {error:?}");
        }
        bench.root.unload(object, Unload::IfUnused).unwrap();
    });
}
