//! The events of a host's `ktracepoint` in `axebpf-tp`.
//!
//! One test only: while a key is switched, the process must not run any other code.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

extern crate alloc;

use std::sync::{Arc, Mutex};

use axebpf_ktracepoint_host::{Host, PIPE, start};
use axebpf_platform::mock::{MOCK, set_mock_time};
use axebpf_tp::{
    Event, FieldValue, Filter, RECORDER, TpError, TraceHandler, TraceHit, TracepointManager, find,
    import_ktracepoints, subscribe,
};
use ktracepoint::{KernelTraceOps, TraceCallbackType, TracePointEnableFile, TracePointMap};

use events::{trace_vcpu_stop, trace_vm_stop};

/// The events, as a host defines them.
#[allow(unreachable_pub, reason = "the expansions of `ktracepoint` are public")]
mod events {
    use axebpf_ktracepoint_host::Host;
    use ktracepoint::define_event_trace;

    define_event_trace!(
        vcpu_stop,
        TP_kops(Host),
        TP_system(arceos),
        TP_PROTO(vcpu: u8, left: i32, name: &[u8; 6], live: bool, pc: u64),
        TP_STRUCT__entry {
            vcpu: u8, left: i32, name: [u8; 6], live: bool, exit: Option<u32>, pc: u64,
        },
        TP_fast_assign {
            vcpu: vcpu, left: left, name: *name, live: live, exit: Some(u32::from(vcpu)), pc: pc,
        },
        TP_ident(__entry),
        TP_printk(format_args!("vcpu={} left={}", __entry.vcpu, __entry.left))
    );

    define_event_trace!(
        vm_stop,
        TP_kops(Host),
        TP_system(arceos),
        TP_PROTO(vm: u32),
        TP_STRUCT__entry { vm: u32 },
        TP_fast_assign { vm: vm },
        TP_ident(__entry),
        TP_printk(format_args!("vm={}", __entry.vm))
    );
}

/// Passes a point of each event.
fn pass(vcpu: u8) {
    trace_vcpu_stop(vcpu, -5, b"abc\0\0\0", true, 0x4008_0000);
    trace_vm_stop(u32::from(vcpu));
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

#[test]
fn the_events_of_the_host_are_ours_too() {
    let tracepoints = start();
    axebpf_hit::install(&MOCK).unwrap();
    let events = import_ktracepoints(&tracepoints).unwrap();
    assert_eq!(events.len(), 2);
    axebpf_tp::init().unwrap();
    assert_eq!(
        import_ktracepoints(&tracepoints).unwrap_err(),
        TpError::AlreadyInitialised
    );
    let vcpu_stop = find("arceos:vcpu_stop").unwrap();
    they_are_described(vcpu_stop);
    each_firing_is_handed_on(vcpu_stop);
    the_manager_counts_them(&tracepoints);
    what_the_host_registered_stays(vcpu_stop, &tracepoints);
}

fn they_are_described(event: &Event) {
    let mut text = String::new();
    event.format(&mut text).unwrap();
    let fields: Vec<_> = text
        .lines()
        .skip_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("\tfield"))
        .collect();
    assert_eq!(
        fields,
        [
            "\tfield:unsigned char vcpu;\toffset:8;\tsize:1;\tsigned:0;",
            "\tfield:int left;\toffset:12;\tsize:4;\tsigned:1;",
            "\tfield:char name[6];\toffset:16;\tsize:6;\tsigned:0;",
            "\tfield:bool live;\toffset:22;\tsize:1;\tsigned:0;",
            "\tfield:unsigned long pc;\toffset:32;\tsize:8;\tsigned:0;",
        ]
    );
}

fn each_firing_is_handed_on(event: &'static Event) {
    let keep = Arc::new(Keep::default());
    pass(1);
    let filter = Filter::compile("vcpu >= 2 && name == 'abc'", event).unwrap();
    let subscription = subscribe(event, keep.clone(), Some(filter)).unwrap();
    set_mock_time(1234);
    for vcpu in 1..4 {
        pass(vcpu);
    }
    let hit = axebpf_hit::enter().unwrap();
    pass(2);
    drop(hit);
    subscription.cancel().unwrap();
    pass(4);
    let taken = keep.taken();
    assert_eq!(taken.len(), 2);
    let (time_ns, record) = &taken[0];
    assert_eq!(*time_ns, 1234);
    assert_eq!(record[..2], event.id().to_ne_bytes());
    assert_eq!(record[4..8], 77_i32.to_ne_bytes());
    // Padding, and the field that there is no type for.
    assert_eq!([&record[9..12], &record[23..32]].concat(), [0; 12]);
    let values: Vec<_> = event
        .fields()
        .iter()
        .filter_map(|field| field.value(record))
        .collect();
    assert_eq!(
        values,
        [
            FieldValue::Unsigned(2),
            FieldValue::Signed(-5),
            FieldValue::Text(b"abc"),
            FieldValue::Bool(true),
            FieldValue::Unsigned(0x4008_0000),
        ]
    );
    assert_eq!(event.missed(), 1);
}

fn the_manager_counts_them(tracepoints: &TracePointMap<Host>) {
    let manager = TracepointManager::global();
    let enabled = manager.enable("arceos:*").unwrap();
    assert_eq!(enabled.len(), 2);
    assert!(tracepoints.values().all(|point| point.key_is_enabled()));
    pass(5);
    pass(6);
    manager.disable("arceos:*").unwrap();
    assert!(!tracepoints.values().any(|point| point.key_is_enabled()));
    pass(7);
    assert!(enabled.iter().all(|event| event.stats().count == 2));
    let mut reader = RECORDER.reader();
    let entry = reader.next_entry().unwrap().to_string();
    let expected = "arceos:vcpu_stop: vcpu=5 left=-5 name=abc live=1 pc=1074266112";
    assert!(entry.ends_with(expected), "{entry}");
    assert!(PIPE.lock().unwrap().is_empty());
}

fn what_the_host_registered_stays(event: &'static Event, tracepoints: &TracePointMap<Host>) {
    let (&id, point) = tracepoints
        .iter()
        .find(|(_, point)| point.name() == "vcpu_stop")
        .unwrap();
    Host::write_tracepoint_state(id, |state| TracePointEnableFile::new().write(state, '1'));
    let subscription = subscribe(event, Arc::new(Keep::default()), None).unwrap();
    pass(8);
    subscription.cancel().unwrap();
    pass(9);
    assert!(point.key_is_enabled() && !event.enabled());
    assert_eq!(PIPE.lock().unwrap().len(), 2);
    Host::write_tracepoint_state(id, |state| {
        let own = TraceCallbackType::Default(state.default_callback());
        state.unregister(own);
    });
    assert!(!point.key_is_enabled());
}
