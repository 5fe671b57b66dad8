//! `map`.

use axebpf::platform::mock::{set_mock_cpu_id, set_mock_time};
use axebpf::tracepoint::trace;

use crate::session::{Session, dumped, ringed};

#[test]
fn maps_list_dump_and_change() {
    let mut session = Session::new();
    session.ok("prog load count");
    assert_eq!(
        session.ok("map list"),
        "ID  MAP       KIND   KEY  VALUE  USED  OBJECTS\n \
         1  totals    array    4      8  4/4   1\n \
         2  by_value  hash     8      8  0/64  1\n"
    );
    assert_eq!(session.ok("map dump by_value"), "by_value has no entries\n");
    session.ok("link attach count shell_test:dumped");
    for value in [7, 7, 9] {
        trace!(dumped { value, cpu: 0 });
    }
    assert_eq!(
        session.ok("map dump totals"),
        "KEY  VALUE\n  0  3\n  1  0\n  2  0\n  3  0\n"
    );
    assert_eq!(session.ok("map lookup by_value 7"), "2\n");
    assert_eq!(
        session.ok("map lookup by_value 0x7 --value u32,x16,bytes"),
        "2,0x0,0000\n"
    );
    assert_eq!(
        session.ok("map lookup count/by_value hex:0700000000000000"),
        "2\n"
    );
    session.complains(
        "map lookup by_value 8",
        &["by_value has no key 8", "map dump by_value"],
    );
    session.complains("map lookup by_value x", &["`x` is no number of 64 bits"]);
    session.complains("map lookup totals 9", &["9"]);
    assert_eq!(session.ok("map update by_value 8 1"), "");
    session.complains("map update by_value 8 1 --new", &["already"]);
    session.complains("map update by_value 10 1 --existing", &["error"]);
    session.complains("map update by_value 8", &["the value is missing"]);
    session.complains("map update by_value 8 1,2", &["is not bytes in hex"]);
    assert_eq!(session.ok("map delete by_value 8"), "");
    session.complains("map delete by_value 8", &["has no key 8"]);
    session.complains("map delete totals 0", &["array"]);
    assert_eq!(
        session.ok("map dump totals --hist"),
        "  value           count  distribution\n  \
         [    0,     2)      3  |########################################|\n"
    );
    session.complains(
        "map dump by_value --hist",
        &["is no histogram", "array of numbers"],
    );
    assert!(
        session
            .ok("map dump totals --count 2")
            .ends_with("  1  0\n")
    );
    session.ok("prog unload count --force");
}

#[test]
fn per_cpu_values_and_records_are_readable() {
    set_mock_cpu_id(21);
    let mut session = Session::new();
    session.ok("prog load all");
    session.ok("link attach all shell_test:ringed");
    for value in 0..3 {
        set_mock_time(value * 1000);
        trace!(ringed { value, cpu: 21 });
    }
    assert_eq!(
        session.ok("map dump per_cpu"),
        "KEY  SUM  CPU=VALUE\n  0    3  21=3\n"
    );
    assert_eq!(session.ok("map lookup per_cpu 0"), "3 in all: 21=3\n");
    let used = session.ok("map list");
    assert!(used.contains("ringbuf"), "{used}");
    assert!(used.contains("72/4096"), "{used}");
    assert_eq!(
        session.ok("map dump records --value u64,u64 --count 2"),
        "0,0\n1,1000\n(2 records; 0 dropped and 0 abandoned so far)\n"
    );
    // Waits for more, by the clock of the platform.
    assert_eq!(
        session.ok("map dump records --for 2"),
        "0x2,0x7d0\n(1 record; 0 dropped and 0 abandoned so far)\n"
    );
    assert_eq!(
        session.ok("map dump records"),
        "(0 records; 0 dropped and 0 abandoned so far)\n"
    );
    session.complains("map dump records --hist", &["no histogram"]);
    session.complains("map lookup records 1", &["records have no keys"]);
    session.ok("prog unload all --force");
}

#[test]
fn maps_can_be_shared_and_pinned() {
    let mut session = Session::new();
    session.ok("prog load shared --as one");
    session.ok("prog load shared --as two");
    assert_eq!(
        session.ok("map list"),
        "ID  MAP           KIND   KEY  VALUE  USED  OBJECTS\n \
         1  shared_total  array    4      8  1/1   1, 2, pinned as shared_total\n"
    );
    session.ok("prog unload one");
    session.ok("prog unload two");
    assert!(
        session
            .ok("map list")
            .contains("1/1   pinned as shared_total\n")
    );
    session.ok("map update shared_total 0 5");
    session.ok("prog load shared --as three");
    assert_eq!(session.ok("map lookup three/shared_total 0"), "5\n");
    assert_eq!(session.ok("map unpin shared_total"), "");
    session.complains(
        "map unpin shared_total",
        &["no map is pinned as `shared_total`"],
    );
    session.ok("prog load count --as a");
    session.ok("prog load count --as b --reuse totals=a/totals --reuse by_value=a/by_value");
    assert!(
        session
            .ok("map list")
            .contains("totals        array    4      8  4/4   4, 5\n")
    );
    session.complains(
        "prog load count --reuse x=a/totals",
        &["the object has no map `x`"],
    );
    session.complains("prog load count --reuse totals=a/by_value", &["totals"]);
}

#[test]
fn a_long_dump_is_sorted_and_can_be_interrupted() {
    let mut session = Session::new();
    session.ok("prog load all");
    for key in (0..300).rev() {
        session.ok(&format!("map update values {key} {}", key * 2));
    }
    let rows = |dump: String| -> Vec<(u64, u64)> {
        let row = |line: &str| {
            let (key, value) = line.trim().split_once(' ')?;
            Some((key.parse().ok()?, value.trim().parse().ok()?))
        };
        dump.lines().filter_map(row).collect()
    };
    let expected: Vec<_> = (0..300).map(|key| (key, key * 2)).collect();
    assert_eq!(rows(session.ok("map dump values")), expected);
    session.io.patience = session.io.polls + 1;
    assert_eq!(rows(session.ok("map dump values")).len(), 128);
}
