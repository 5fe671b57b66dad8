//! An event of the host's whose record would be too long.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

extern crate alloc;

use axebpf_ktracepoint_host::start;
use axebpf_platform::mock::MOCK;
use axebpf_tp::{TpError, find, import_ktracepoints};

/// The events, as a host defines them.
#[allow(unreachable_pub, reason = "the expansions of `ktracepoint` are public")]
mod events {
    use axebpf_ktracepoint_host::Host;
    use ktracepoint::define_event_trace;

    define_event_trace!(
        fits,
        TP_kops(Host),
        TP_system(arceos),
        TP_PROTO(data: &[u8; 504]),
        TP_STRUCT__entry { data: [u8; 504] },
        TP_fast_assign { data: *data },
        TP_ident(__entry),
        TP_printk(__entry.data[0])
    );

    define_event_trace!(
        too_long,
        TP_kops(Host),
        TP_system(arceos),
        TP_PROTO(data: &[u8; 504], end: u8),
        TP_STRUCT__entry { data: [u8; 504], end: u8 },
        TP_fast_assign { data: *data, end: end },
        TP_ident(__entry),
        TP_printk(__entry.end)
    );
}

#[test]
fn all_are_imported_or_none() {
    let mut tracepoints = start();
    let expected = TpError::RecordTooLong {
        event: "arceos:too_long",
        len: 520,
        limit: 512,
    };
    assert_eq!(import_ktracepoints(&tracepoints).unwrap_err(), expected);
    tracepoints.retain(|_, point| point.name() == "fits");
    let events = import_ktracepoints(&tracepoints).unwrap();
    assert_eq!(events[0].record_len(), 512);
    axebpf_hit::install(&MOCK).unwrap();
    axebpf_tp::init().unwrap();
    assert!(find("arceos:fits").is_some() && find("arceos:too_long").is_none());
}
