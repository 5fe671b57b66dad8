//! Events that a user defines, and what a listener gets.

use std::sync::{Arc, Mutex};

use axebpf_platform::mock::{MOCK, set_mock_time};
use axebpf_tp::{
    Event, FieldValue, Filter, Hex, Str, TpError, TraceHandler, TraceHit, define_event, find,
    find_by_id, subscribe, trace,
};

define_event! {
    /// One field of each type.
    ///
    /// A second paragraph.
    event test:every_type as EveryType {
        /// A small number.
        a: u8,
        /// A larger one.
        b: u16,
        c: u32,
        d: i8,
        e: i64,
        f: bool,
        g: Hex<u64>,
        h: i16,
        i: Str<12>,
        j: i32,
        k: u64,
    }
}

define_event! {
    /// Nothing but the fact.
    event test:bare as Bare {}
}

define_event! {
    /// Tells whether its fields are evaluated.
    event test:lazy as Lazy {
        value: u32,
    }
}

define_event! {
    event test:shared as Shared {
        value: u32,
        name: Str<8>,
    }
}

/// Keeps what it is told of.
#[derive(Default)]
struct Keep(Mutex<Vec<(u64, Vec<u8>)>>);

impl TraceHandler for Keep {
    fn hit(&self, hit: &TraceHit<'_>) {
        assert_eq!(hit.record.as_ptr().addr() % 8, 0);
        assert_eq!(hit.record.len(), hit.event.record_len());
        self.0
            .lock()
            .unwrap()
            .push((hit.time_ns, hit.record.to_vec()));
    }
}

impl Keep {
    fn taken(&self) -> Vec<(u64, Vec<u8>)> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn start() {
    axebpf_hit::install(&MOCK).unwrap();
    axebpf_tp::init().unwrap();
}

#[test]
fn a_record_is_laid_out_as_the_format_says() {
    start();
    let keep = Arc::new(Keep::default());
    let subscription = subscribe(&every_type, keep.clone(), None).unwrap();
    set_mock_time(77);
    trace!(every_type {
        k: u64::MAX - 1,
        a: 200,
        b: 60_000,
        c: 4_000_000_000,
        d: -100,
        e: i64::MIN,
        f: true,
        g: 0xffff_8000_0000_0000,
        h: -2,
        i: "twelve chars, cut",
        j: -3,
    });
    subscription.cancel().unwrap();
    let [(time_ns, record)] = keep.taken().try_into().unwrap();
    assert_eq!(time_ns, 77);
    assert_eq!(record[..2], every_type.id().to_ne_bytes());
    assert_eq!(record[2..8], [0; 6]);
    assert_eq!(record[8], 200);
    assert_eq!(record[10..12], 60_000_u16.to_ne_bytes());
    assert_eq!(record[12..16], 4_000_000_000_u32.to_ne_bytes());
    assert_eq!(record[16], -100_i8 as u8);
    assert_eq!(record[24..32], i64::MIN.to_ne_bytes());
    assert_eq!(record[32], 1);
    assert_eq!(record[40..48], 0xffff_8000_0000_0000_u64.to_ne_bytes());
    assert_eq!(record[48..50], (-2_i16).to_ne_bytes());
    assert_eq!(
        &record[50..62],
        b"twelve chars\0"[..11]
            .iter()
            .chain(&[0])
            .copied()
            .collect::<Vec<_>>()
    );
    assert_eq!(record[64..68], (-3_i32).to_ne_bytes());
    assert_eq!(record[72..80], (u64::MAX - 1).to_ne_bytes());
    assert_eq!(record.len(), 80);
    let mut text = String::new();
    every_type.print(&record, &mut text).unwrap();
    assert_eq!(
        text,
        "a=200 b=60000 c=4000000000 d=-100 e=-9223372036854775808 f=1 g=0xffff800000000000 h=-2 \
         i=twelve char j=-3 k=18446744073709551614"
    );
    assert_eq!(
        every_type.field("i").unwrap().value(&record),
        Some(FieldValue::Text(b"twelve char"))
    );
    assert_eq!(every_type.field("k").unwrap().value(&record[..79]), None);
}

#[test]
fn the_format_is_that_of_tracefs() {
    start();
    let mut text = String::new();
    every_type.format(&mut text).unwrap();
    let expected = format!(
        "name: every_type\n\
         ID: {}\n\
         format:\n\
         \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
         \tfield:unsigned char common_flags;\toffset:2;\tsize:1;\tsigned:0;\n\
         \tfield:unsigned char common_preempt_count;\toffset:3;\tsize:1;\tsigned:0;\n\
         \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\
         \n\
         \tfield:unsigned char a;\toffset:8;\tsize:1;\tsigned:0;\n\
         \tfield:unsigned short b;\toffset:10;\tsize:2;\tsigned:0;\n\
         \tfield:unsigned int c;\toffset:12;\tsize:4;\tsigned:0;\n\
         \tfield:signed char d;\toffset:16;\tsize:1;\tsigned:1;\n\
         \tfield:long e;\toffset:24;\tsize:8;\tsigned:1;\n\
         \tfield:bool f;\toffset:32;\tsize:1;\tsigned:0;\n\
         \tfield:unsigned long g;\toffset:40;\tsize:8;\tsigned:0;\n\
         \tfield:short h;\toffset:48;\tsize:2;\tsigned:1;\n\
         \tfield:char i[12];\toffset:50;\tsize:12;\tsigned:0;\n\
         \tfield:int j;\toffset:64;\tsize:4;\tsigned:1;\n\
         \tfield:unsigned long k;\toffset:72;\tsize:8;\tsigned:0;\n\
         \n\
         print fmt: \"a=%u b=%u c=%u d=%d e=%ld f=%d g=0x%lx h=%d i=%s j=%d k=%lu\", REC->a, \
         REC->b, REC->c, REC->d, REC->e, REC->f, REC->g, REC->h, REC->i, REC->j, REC->k\n",
        every_type.id()
    );
    assert_eq!(text, expected);
    text.clear();
    bare.format(&mut text).unwrap();
    assert!(text.ends_with("signed:1;\n\n\nprint fmt: \"\"\n"), "{text}");
}

#[test]
fn doc_comments_become_help() {
    start();
    assert_eq!(
        every_type.help(),
        " One field of each type.\n\n A second paragraph.\n"
    );
    assert_eq!(every_type.field("a").unwrap().help(), " A small number.\n");
    let mut text = String::new();
    every_type.describe(&mut text).unwrap();
    assert!(
        text.contains("  a  unsigned char  A small number.\n"),
        "{text}"
    );
}

#[test]
fn events_have_names_and_numbers() {
    start();
    let event: &'static Event = find("test:bare").unwrap();
    assert!(event.is(&bare));
    assert!(find_by_id(event.id()).unwrap().is(&bare));
    assert_eq!((event.system(), event.name()), ("test", "bare"));
    assert!(find_by_id(0).is_none());
    assert!(find_by_id(u16::MAX).is_none());
    assert!(find("test:none").is_none());
}

#[test]
fn fields_are_evaluated_only_while_somebody_listens() {
    start();
    let mut evaluated = 0;
    let mut pass = || {
        trace!(lazy {
            value: {
                evaluated += 1;
                evaluated
            }
        });
    };
    pass();
    let keep = Arc::new(Keep::default());
    let subscription = subscribe(&lazy, keep.clone(), None).unwrap();
    pass();
    subscription.cancel().unwrap();
    pass();
    assert_eq!(evaluated, 1);
    assert_eq!(keep.taken().len(), 1);
}

#[test]
fn an_event_without_fields_is_its_header() {
    start();
    let keep = Arc::new(Keep::default());
    let subscription = subscribe(&bare, keep.clone(), None).unwrap();
    trace!(bare);
    trace!(bare {});
    drop(subscription);
    trace!(bare);
    let taken = keep.taken();
    assert_eq!(taken.len(), 2);
    assert_eq!(taken[0].1.len(), 8);
}

#[test]
fn each_subscriber_has_its_own_filter() {
    start();
    let (all, some) = (Arc::new(Keep::default()), Arc::new(Keep::default()));
    let filter = Filter::compile("value >= 2 && name ~ \"a*\"", &shared).unwrap();
    let first = subscribe(&shared, all.clone(), None).unwrap();
    let second = subscribe(&shared, some.clone(), Some(filter)).unwrap();
    for (value, name) in [(1, "abc"), (2, "abc"), (3, "bcd"), (4, "a")] {
        trace!(shared { value, name });
    }
    first.cancel().unwrap();
    assert!(shared.enabled());
    trace!(shared {
        value: 9,
        name: "again"
    });
    second.cancel().unwrap();
    assert!(!shared.enabled());
    assert_eq!((all.taken().len(), some.taken().len()), (4, 3));
}

#[test]
fn a_filter_of_another_event_is_refused() {
    start();
    let filter = Filter::compile("value == 1", &lazy).unwrap();
    let error = subscribe(&shared, Arc::new(Keep::default()), Some(filter)).unwrap_err();
    let expected = TpError::ForeignFilter {
        event: "test:shared",
        filter: "test:lazy",
    };
    assert_eq!(error, expected);
}
