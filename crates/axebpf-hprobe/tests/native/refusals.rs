//! What cannot be probed.

use std::sync::Arc;

use axebpf_hprobe::native::{attach, list};
use axebpf_hprobe::{ForeignRefusal, HprobeError, LinkOptions, ProbePoint};
use axebpf_platform::HostVirt;

use crate::Ignore;
use crate::code::{self, address, native_end, native_load, native_refused};
use crate::process::alone;

fn refusal(offset: u64) -> ForeignRefusal {
    let point = code::at(address!(native_refused), offset).unwrap();
    match attach(&[point], Arc::new(Ignore), LinkOptions::default()) {
        Err(HprobeError::ForeignRefused { at, why }) => {
            assert_eq!(at, point.at());
            why
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_cannot_be_displaced_is_refused_with_the_reason() {
    use ForeignRefusal::{PositionDependent, Undecodable, Unsupported, WithinInstruction};

    let _alone = alone();
    let before = code::text();
    // pushfq, popfq
    assert_eq!(refusal(0), Unsupported);
    assert_eq!(refusal(1), Unsupported);
    // lea with rip
    assert_eq!(refusal(2), PositionDependent);
    for within in 3..9 {
        assert_eq!(refusal(within), WithinInstruction);
    }
    // jecxz, call, jmp, ret, int3, and what is no instruction in this mode
    assert_eq!(refusal(9), PositionDependent);
    assert_eq!(refusal(10), WithinInstruction);
    assert_eq!(refusal(12), Unsupported);
    assert_eq!(refusal(17), Unsupported);
    assert_eq!(refusal(19), Unsupported);
    assert_eq!(refusal(20), Unsupported);
    assert_eq!(refusal(21), Undecodable);
    assert_eq!(code::text(), before);
    let len = address!(native_end).get() - address!(native_refused).get();
    assert_eq!(len, 25, "the offsets above are those of the code");
}

#[test]
fn what_is_not_text_is_refused() {
    let _alone = alone();
    for at in [
        address!(native_end),
        HostVirt::new(0),
        HostVirt::new(u64::MAX),
    ] {
        let point = ProbePoint::entry_unaligned(at, 0).unwrap();
        let refused = attach(&[point], Arc::new(Ignore), LinkOptions::default());
        assert!(matches!(refused, Err(HprobeError::NotText { .. })));
    }
}

#[test]
fn one_bad_point_leaves_none_behind() {
    let _alone = alone();
    let before = code::text();
    let good = ProbePoint::entry(address!(native_load), 0).unwrap();
    let bad = code::at(address!(native_refused), 0).unwrap();
    let refused = attach(&[good, bad], Arc::new(Ignore), LinkOptions::default());
    assert!(matches!(refused, Err(HprobeError::ForeignRefused { .. })));
    let at_good = |info: &axebpf_hprobe::native::PointInfo| info.at == good.at();
    assert!(!list().unwrap().iter().any(at_good));
    let refused = attach(&[], Arc::new(Ignore), LinkOptions::default());
    assert_eq!(refused.unwrap_err(), HprobeError::NoPoints);
    assert_eq!(code::text(), before);
}
