//! Which places may be probed, on memory of this process.

use axebpf_a64::{Insn, Refusal};
use axebpf_hprobe::{
    Blacklist, Execution, HprobeError, ProbeKind, ProbePoint, Protection, inspect,
};
use axebpf_platform::HostVirt;
use axebpf_platform::mock::MOCK;

/// A function: `stp x29, x30, [sp, #-16]!; mov x29, sp; ldxr x0, [x1]; add x0, x0, x1; ret`.
static CODE: [u32; 5] = [
    0xa9bf_7bfd,
    0x9100_03fd,
    0xc85f_7c20,
    0x8b01_0000,
    0xd65f_03c0,
];

fn start() -> HostVirt {
    HostVirt::new(CODE.as_ptr() as u64)
}

fn at(offset: u64) -> HostVirt {
    start().checked_add(offset).unwrap()
}

fn blacklist() -> Blacklist {
    Blacklist::new(start()..at(20)).unwrap()
}

fn execution(offset: u64) -> Result<Execution, HprobeError> {
    let point = ProbePoint::entry(start(), offset)?;
    inspect(&point, &MOCK, &blacklist()).map(|d| d.execution)
}

#[test]
fn instructions_are_classified_where_they_are() {
    assert!(matches!(
        execution(0),
        Ok(Execution::Simulate(Insn::StorePairPre { .. }))
    ));
    assert!(matches!(
        execution(4),
        Ok(Execution::Simulate(Insn::AddSub { .. }))
    ));
    assert_eq!(execution(12), Ok(Execution::OutOfLine));
    assert!(matches!(
        execution(16),
        Ok(Execution::Simulate(Insn::Ret { .. }))
    ));
    let refused = HprobeError::Refused {
        at: at(8),
        word: CODE[2],
        why: Refusal::Exclusive,
    };
    assert_eq!(execution(8), Err(refused));
}

#[test]
fn a_probe_on_the_return_displaces_the_entry() {
    let point = ProbePoint::returning(start()).unwrap();
    assert_eq!((point.kind(), point.at()), (ProbeKind::Return, start()));
    let displaced = inspect(&point, &MOCK, &blacklist()).unwrap();
    assert_eq!((displaced.point, displaced.word), (point, CODE[0]));
}

#[test]
fn places_without_an_instruction_are_refused() {
    assert_eq!(execution(2), Err(HprobeError::Misaligned { at: at(2) }));
    let odd = HostVirt::new(0x1001);
    assert_eq!(
        ProbePoint::returning(odd),
        Err(HprobeError::Misaligned { at: odd })
    );
    let (function, offset) = (start(), u64::MAX - 3);
    assert_eq!(
        execution(offset),
        Err(HprobeError::OffsetOverflow { function, offset })
    );
    let (start, end) = (start(), at(20));
    assert_eq!(
        execution(20),
        Err(HprobeError::NotText {
            at: at(20),
            start,
            end
        })
    );
    let cut = Blacklist::new(start..at(18)).unwrap();
    assert!(matches!(
        cut.check(at(16)),
        Err(HprobeError::NotText { .. })
    ));
    assert!(cut.check(at(12)).is_ok());
    let top = HostVirt::new(u64::MAX - 1);
    let all = Blacklist::new(HostVirt::new(0)..HostVirt::new(u64::MAX)).unwrap();
    assert!(matches!(all.check(top), Err(HprobeError::NotText { .. })));
}

#[test]
fn protected_ranges_say_why() {
    let mut blacklist = blacklist();
    blacklist
        .protect(at(4)..at(5), Protection::TrapEntry)
        .unwrap();
    blacklist
        .protect(at(4)..at(16), Protection::HitPath)
        .unwrap();
    let protected = |offset, why| {
        Err(HprobeError::Protected {
            at: at(offset),
            why,
        })
    };
    assert_eq!(blacklist.check(start()), Ok(()));
    assert_eq!(blacklist.check(at(4)), protected(4, Protection::TrapEntry));
    assert_eq!(blacklist.check(at(8)), protected(8, Protection::HitPath));
    assert_eq!(blacklist.check(at(16)), Ok(()));
    let reversed = HprobeError::ReversedRange {
        start: at(4),
        end: start(),
    };
    assert_eq!(
        blacklist.protect(at(4)..start(), Protection::Declared),
        Err(reversed)
    );
    assert_eq!(Blacklist::new(at(4)..start()).unwrap_err(), reversed);
    blacklist
        .protect(at(16)..at(16), Protection::Declared)
        .unwrap();
    assert_eq!(blacklist.check(at(16)), Ok(()));
}

#[test]
fn memory_that_is_not_there_is_an_error() {
    let nowhere = HostVirt::new(0x1000);
    let blacklist = Blacklist::new(HostVirt::new(0)..HostVirt::new(0x2000)).unwrap();
    let point = ProbePoint::entry(nowhere, 0).unwrap();
    let error = inspect(&point, &MOCK, &blacklist).unwrap_err();
    assert!(matches!(error, HprobeError::Unreadable(fault) if fault.addr == nowhere));
}

#[test]
fn a_sequence_that_began_before_a_place_without_a_symbol_is_found() {
    // nop; ldxr x8, [x0]; add x8, x8, x1; stxr w9, x8, [x0]; cbnz w9, 1b; ret
    static LOOP: [u32; 6] = [
        0xd503_201f,
        0xc85f_7c08,
        0x8b01_0108,
        0xc809_7c08,
        0x35ff_ffa9,
        0xd65f_03c0,
    ];
    let text = HostVirt::new(LOOP.as_ptr() as u64);
    let at = |offset| text.checked_add(offset).unwrap();
    let blacklist = Blacklist::new(text..at(24)).unwrap();
    // Nobody knows where the function starts, so it is said to start there, or at a label between.
    for (function, offset) in [(at(8), 0), (text, 8)] {
        let point = ProbePoint::entry(function, offset).unwrap();
        let refused = HprobeError::InExclusiveSequence {
            at: at(8),
            load: at(4),
        };
        assert_eq!(inspect(&point, &MOCK, &blacklist), Err(refused));
    }
    let behind = ProbePoint::entry(at(16), 0).unwrap();
    assert!(inspect(&behind, &MOCK, &blacklist).is_ok());
}
