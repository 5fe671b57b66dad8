//! What needs no machine: time conversion, the results of translations, and cache maintenance.

use axebpf_platform::{
    CacheGeometry, HostPhys, HostVirt, Maintenance, is_normal_translation, ticks_to_ns,
    translated_address,
};
use proptest::prelude::*;

proptest! {
    #[test]
    fn ticks_become_nanoseconds_exactly(ticks: u64, hz in 1_u32..) {
        let exact = u128::from(ticks) * 1_000_000_000 / u128::from(hz);
        let expected = u64::try_from(exact).unwrap_or(u64::MAX);
        prop_assert_eq!(ticks_to_ns(ticks, hz), expected);
    }

    #[test]
    fn each_line_of_the_range_is_cleaned_and_dropped_once_and_in_order(
        at in 0_u64..0x10_0000,
        len in 1_usize..1000,
        data_line in 2_u64..8,
        fetch_line in 2_u64..8,
        is_pipt: bool,
    ) {
        let layout = if is_pipt { 0b11 } else { 0b10 };
        let caches = CacheGeometry::from_ctr(data_line << 16 | layout << 14 | fetch_line);
        let steps: Vec<_> = caches.maintenance(HostVirt::new(at), len).collect();

        let mut expected: Vec<_> = lines(at, len, 4 << data_line).map(Maintenance::CleanData).collect();
        expected.push(Maintenance::Complete);
        if is_pipt {
            expected.extend(lines(at, len, 4 << fetch_line).map(Maintenance::InvalidateFetched));
        } else {
            expected.push(Maintenance::InvalidateAllFetched);
        }
        expected.extend([Maintenance::Complete, Maintenance::Synchronize]);
        prop_assert_eq!(steps, expected);
    }

    #[test]
    fn a_translation_keeps_the_place_in_the_page(frame in 0_u64..1 << 40, addr: u64, attributes: u8) {
        let par = u64::from(attributes) << 56 | frame << 12 | 0xb80;
        let physical = HostPhys::new(frame << 12 | addr & 0xfff);
        prop_assert_eq!(translated_address(par, HostVirt::new(addr)), Some(physical));
        prop_assert_eq!(translated_address(par | 1, HostVirt::new(addr)), None);
        prop_assert!(!is_normal_translation(par | 1));
        prop_assert_eq!(is_normal_translation(par), attributes & 0xf0 != 0);
    }
}

/// The lines that hold any byte of the range, found byte by byte.
fn lines(at: u64, len: usize, line: u64) -> impl Iterator<Item = HostVirt> {
    let mut lines: Vec<_> = (at..at + len as u64)
        .map(|byte| byte / line * line)
        .collect();
    lines.dedup();
    lines.into_iter().map(HostVirt::new)
}

#[test]
fn a_counter_without_a_frequency_counts_nanoseconds() {
    assert_eq!(ticks_to_ns(12_345, 0), 12_345);
    assert_eq!(ticks_to_ns(0, 62_500_000), 0);
    assert_eq!(ticks_to_ns(62_500_000, 62_500_000), 1_000_000_000);
    assert_eq!(ticks_to_ns(u64::MAX, 1), u64::MAX);
}

#[test]
fn devices_are_told_from_normal_memory() {
    // Device-nGnRnE, nGnRE, nGRE and GRE, the same without the XS attribute, and kinds of Normal memory.
    for device in [0x00, 0x04, 0x08, 0x0c, 0x01, 0x05] {
        assert!(!is_normal_translation(device << 56), "{device:#x}");
    }
    for normal in [0xff, 0x44, 0x40, 0xa0, 0xf0, 0xbb, 0x4f] {
        assert!(is_normal_translation(normal << 56), "{normal:#x}");
    }
}

#[test]
fn nothing_written_needs_no_maintenance() {
    let caches = CacheGeometry::from_ctr(0x8444_c004);
    assert_eq!(caches.maintenance(HostVirt::new(0x1000), 0).count(), 0);
    assert!(caches.maintenance(HostVirt::new(u64::MAX - 3), 4).count() > 0);
}

#[test]
fn the_common_geometry_serves_both() {
    // 64-byte lines and 32-byte lines; a PIPT instruction cache and a VIPT one.
    let wide = CacheGeometry::from_ctr(4 << 16 | 0b11 << 14 | 4);
    let narrow = CacheGeometry::from_ctr(3 << 16 | 0b11 << 14 | 3);
    let vipt = CacheGeometry::from_ctr(4 << 16 | 0b10 << 14 | 4);
    assert_eq!(wide.common(narrow), narrow);
    assert_eq!(wide.common(vipt), vipt);
    let at = HostVirt::new(0x1000);
    let mut steps = vipt.common(narrow).maintenance(at, 64);
    assert!(steps.any(|step| step == Maintenance::InvalidateAllFetched));
}
