//! Which functions are closed to probes because others call them.

use std::ops::Range;

use axebpf_hprobe::{Blacklist, HprobeError, Protection};
use axebpf_platform::HostVirt;
use axebpf_platform::mock::MOCK;

/// Six functions of four instructions each.
static CODE: [u32; 24] = [
    // 0 calls 1, goes on to 2 instead of returning, and branches within itself.
    0x9400_0004, // bl 1
    0x5400_0020, // b.eq .+4
    0x1400_0006, // b 2
    0xd503_201f, // nop
    // 1 calls itself, and 0.
    0x97ff_fffc, // bl 0
    0x97ff_ffff, // bl 1
    0xd65f_03c0, // ret
    0xd503_201f, // nop
    // 2 jumps into the middle of 3 if a register is zero, and calls by a register.
    0xb400_00a0, // cbz x0, 3 + 4
    0xd63f_0100, // blr x8
    0x9400_000a, // bl 5
    0xd65f_03c0, // ret
    // 3 reports a bug.
    0x9400_0004, // bl 4
    0xd503_201f, // nop
    0xd503_201f, // nop
    0xd65f_03c0, // ret
    // 4 is what reports bugs; it calls 0, which would close nothing new.
    0x97ff_fff0, // bl 0
    0xd503_201f, // nop
    0xd503_201f, // nop
    0xd65f_03c0, // ret
    // 5 is called by 2.
    0xd503_201f, // nop
    0xd503_201f, // nop
    0xd503_201f, // nop
    0xd65f_03c0, // ret
];

const BYTES: u64 = 16;

fn function(index: u64) -> Range<HostVirt> {
    let start = CODE.as_ptr() as u64 + index * BYTES;
    HostVirt::new(start)..HostVirt::new(start + BYTES)
}

/// Where the functions are. Number 4 is one that is never come to.
fn function_at(at: HostVirt) -> Option<Range<HostVirt>> {
    (0..6)
        .filter(|&index| index != 4)
        .map(function)
        .find(|function| function.contains(&at))
}

fn closed_from(root: u64) -> Vec<bool> {
    let mut blacklist = Blacklist::new(function(0).start..function(5).end).unwrap();
    let why = Protection::HitPath;
    let count = blacklist
        .protect_reachable([function(root).start], &function_at, &MOCK, why)
        .unwrap();
    let is_closed = |index| {
        let at = function(index).start;
        match blacklist.check(at) {
            Err(error) => {
                assert_eq!(error, HprobeError::Protected { at, why });
                true
            }
            Ok(()) => false,
        }
    };
    let closed: Vec<_> = (0..6).map(is_closed).collect();
    assert_eq!(closed.iter().filter(|&&closed| closed).count(), count);
    closed
}

#[test]
fn calls_and_jumps_are_followed_to_the_end() {
    assert_eq!(closed_from(0), [true, true, true, true, false, true]);
    assert_eq!(closed_from(1), [true, true, true, true, false, true]);
    assert_eq!(closed_from(2), [false, false, true, true, false, true]);
    assert_eq!(closed_from(3), [false, false, false, true, false, false]);
    assert_eq!(closed_from(5), [false, false, false, false, false, true]);
}

#[test]
fn there_is_a_bound_to_it() {
    // Each address is a function of its own, which calls the next one.
    static CHAIN: [u32; 5000] = [0x9400_0001; 5000];
    let start = CHAIN.as_ptr() as u64;
    let end = start + size_of_val(&CHAIN) as u64;
    let mut blacklist = Blacklist::new(HostVirt::new(start)..HostVirt::new(end)).unwrap();
    let one = |at: HostVirt| (at.get() < end).then(|| at..HostVirt::new(at.get() + 4));
    let root = [HostVirt::new(start)];
    let followed = blacklist.protect_reachable(root, &one, &MOCK, Protection::HitPath);
    assert!(matches!(followed, Err(HprobeError::TooManyReachable { limit }) if limit < 5000));
}
