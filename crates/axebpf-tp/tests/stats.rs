//! Statistics without a program.

use std::sync::{Mutex, MutexGuard};

use axebpf_platform::mock::{MOCK, advance_mock_time, set_mock_time};
use axebpf_tp::{
    EnableOptions, Histogram, RECORDER, Recording, TpError, TracepointManager, define_event, trace,
};
use proptest::prelude::*;

define_event! {
    event test:timed as Timed {
        took_ns: u64,
    } duration = took_ns
}

define_event! {
    event test:request as Request {
        queue: u32,
        tag: u16,
    }
}

define_event! {
    event test:reply as Reply {
        tag: u16,
        queue: u32,
        status: i32,
    } duration = since request per (queue, tag)
}

define_event! {
    event test:switch as Switch {
        next: u32,
    } duration = since switch per cpu
}

define_event! {
    event test:mismatched as Mismatched {
        other: u32,
    } duration = since request per (other)
}

static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn start() -> (MutexGuard<'static, ()>, &'static TracepointManager) {
    let guard = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    axebpf_hit::install(&MOCK).unwrap();
    (guard, TracepointManager::global())
}

fn statistics_only(filter: Option<&str>) -> EnableOptions<'_> {
    EnableOptions {
        filter,
        recording: Recording::Off,
    }
}

fn histogram(durations: &[u64]) -> Histogram {
    timed.reset_stats();
    for &took_ns in durations {
        trace!(timed { took_ns });
    }
    timed.stats().durations
}

proptest! {
    #[test]
    fn durations_add_up(durations in prop::collection::vec(
        prop_oneof![0..100_u64, any::<u64>().prop_map(|n| n >> 8), any::<u64>()], 1..60)) {
        let (_guard, manager) = start();
        manager.enable_with("test:timed", statistics_only(None)).unwrap();
        let histogram = histogram(&durations);
        manager.disable("test:timed").unwrap();

        let mut sorted = durations.clone();
        sorted.sort_unstable();
        let sum = durations.iter().fold(0_u64, |sum, n| sum.saturating_add(*n));
        prop_assert_eq!(histogram.count(), durations.len() as u64);
        prop_assert_eq!(histogram.min_ns(), sorted.first().copied());
        prop_assert_eq!(histogram.max_ns(), sorted.last().copied());
        prop_assert_eq!(histogram.mean_ns(), Some(sum / durations.len() as u64));
        prop_assert_eq!(histogram.buckets().iter().sum::<u64>(), durations.len() as u64);
        for percent in 1..=100_u8 {
            let rank = (durations.len() * usize::from(percent)).div_ceil(100);
            let exact = sorted[rank - 1];
            let estimate = histogram.percentile_ns(percent).unwrap();
            let bucket = (0..histogram.buckets().len())
                .map(Histogram::bucket_range)
                .find(|range| range.contains(&exact))
                .unwrap();
            prop_assert!(bucket.contains(&estimate), "{percent} %: {estimate}, not {exact}");
        }
    }
}

#[test]
fn intervals_pair_by_fields() {
    let (_guard, manager) = start();
    manager.enable("test:reply").unwrap();
    assert!(request.enabled(), "the start has to be seen");
    reply.reset_stats();
    set_mock_time(1000);
    trace!(request { queue: 1, tag: 5 });
    set_mock_time(1100);
    trace!(request { queue: 2, tag: 5 });
    set_mock_time(1300);
    trace!(reply {
        queue: 1,
        tag: 5,
        status: 0
    });
    trace!(reply {
        queue: 3,
        tag: 5,
        status: 0
    });
    set_mock_time(1350);
    trace!(reply {
        queue: 2,
        tag: 5,
        status: 0
    });
    trace!(reply {
        queue: 2,
        tag: 5,
        status: 0
    });
    let stats = reply.stats();
    assert_eq!(stats.count, 4);
    assert_eq!(stats.durations.count(), 2);
    assert_eq!(stats.durations.min_ns(), Some(250));
    assert_eq!(stats.durations.max_ns(), Some(300));
    manager.disable("test:reply").unwrap();
    assert!(!request.enabled());
}

#[test]
fn the_start_of_an_interval_does_not_count_as_enabled() {
    let (_guard, manager) = start();
    manager.enable("test:reply").unwrap();
    let info = manager.matching("test:request").unwrap();
    assert!(!info[0].enabled);
    assert_eq!(manager.disable("test:request").unwrap().len(), 0);
    manager.disable("test:reply").unwrap();
}

#[test]
fn an_event_can_end_one_interval_and_start_the_next() {
    let (_guard, manager) = start();
    manager.enable("test:switch").unwrap();
    switch.reset_stats();
    for next in 0..5 {
        advance_mock_time(10);
        trace!(switch { next });
    }
    assert_eq!(switch.stats().durations.count(), 4);
    assert_eq!(switch.stats().durations.max_ns(), Some(10));
    manager.disable("test:switch").unwrap();
}

#[test]
fn a_filter_limits_what_counts_and_can_be_replaced() {
    let (_guard, manager) = start();
    manager
        .enable_with("test:timed", statistics_only(Some("took_ns > 10")))
        .unwrap();
    assert_eq!(histogram(&[5, 10, 15]).count(), 1);
    let info = &manager.matching("test:timed").unwrap()[0];
    assert_eq!(info.filter.as_deref(), Some("took_ns > 10"));
    assert_eq!(info.recording, Some(Recording::Off));
    manager
        .enable_with("test:timed", statistics_only(None))
        .unwrap();
    assert_eq!(histogram(&[5, 10, 15]).count(), 3);
    assert_eq!(manager.matching("test:timed").unwrap()[0].subscribers, 1);
    let mut reader = RECORDER.reader();
    assert!(
        std::iter::from_fn(|| reader
            .next_entry()
            .map(|entry| entry.event().unwrap().name()))
        .all(|name| name != "timed")
    );
    manager.disable("test:timed").unwrap();
    assert!(!timed.enabled());
}

#[test]
fn a_failed_enable_changes_nothing() {
    let (_guard, manager) = start();
    let options = statistics_only(Some("took_ns > 10"));
    let error = manager.enable_with("test:*", options).unwrap_err();
    assert!(
        matches!(
            error,
            TpError::BadFilter {
                event: "test:mismatched",
                ..
            }
        ),
        "{error}"
    );
    let error = manager.enable("test:[mt]*").unwrap_err();
    let expected = TpError::BadPairing {
        event: "test:mismatched",
        start: "test:request",
        field: "other",
    };
    assert_eq!(error, expected);
    assert!(
        manager
            .matching("test:*")
            .unwrap()
            .iter()
            .all(|info| !info.enabled)
    );
    assert!(!timed.enabled());
}
