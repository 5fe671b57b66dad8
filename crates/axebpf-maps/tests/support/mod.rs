//! What the tests share: entering hits, and going through pointers as an engine does.
#![allow(dead_code, reason = "each test uses its part")]

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use axebpf_hit::HitGuard;
use axebpf_maps::{Map, MapError, MapSpec};
use axebpf_platform::mock::{MOCK, set_mock_cpu_id};

/// The number of CPUs that test maps are made for, unless the test says otherwise.
pub(crate) const CPUS: u32 = 3;

pub(crate) fn install() {
    axebpf_hit::install(&MOCK).expect("the mock is the only platform of a test");
}

/// Enters a hit on whichever CPU this thread is.
pub(crate) fn hit() -> HitGuard {
    install();
    axebpf_hit::enter().expect("tests do not nest hits")
}

/// Enters a hit on `cpu`.
pub(crate) fn hit_on(cpu: u32) -> HitGuard {
    set_mock_cpu_id(cpu);
    hit()
}

pub(crate) fn create(spec: &MapSpec) -> Map {
    install();
    Map::create(spec, CPUS).expect("the specification is fine")
}

/// Does in a hit what a program does until it succeeds: on a host, a thread can lose its processor inside a hit.
pub(crate) fn until_free<T>(
    mut attempt: impl FnMut(&HitGuard) -> Result<T, MapError>,
) -> Result<T, MapError> {
    loop {
        match attempt(&hit()) {
            Err(MapError::Busy) => std::thread::yield_now(),
            done => return done,
        }
    }
}

/// Loads bytes at `value`, as an engine does.
pub(crate) fn load(value: NonNull<u8>, len: usize) -> Vec<u8> {
    (0..len)
        .map(|offset| byte(value, offset).load(Ordering::Relaxed))
        .collect()
}

pub(crate) fn store(value: NonNull<u8>, offset: usize, bytes: &[u8]) {
    for (index, &new) in bytes.iter().enumerate() {
        byte(value, offset + index).store(new, Ordering::Relaxed);
    }
}

fn byte<'a>(value: NonNull<u8>, offset: usize) -> &'a AtomicU8 {
    // SAFETY: Callers stay within a value of a map that they keep, where only atomic accesses are made.
    unsafe { AtomicU8::from_ptr(value.as_ptr().wrapping_add(offset)) }
}

/// Sees the first word of a value as an engine's atomic instructions do.
pub(crate) fn counter<'a>(value: NonNull<u8>) -> &'a AtomicU64 {
    // SAFETY: Values are aligned to 8, callers have values of at least 8 bytes in a map that they keep, and only
    // atomic accesses are made.
    unsafe { AtomicU64::from_ptr(value.cast().as_ptr()) }
}
