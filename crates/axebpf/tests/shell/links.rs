//! `link`.

use axebpf::tracepoint::trace;

use crate::session::{Session, linked};

#[test]
fn links_attach_count_and_detach() {
    let mut session = Session::new();
    session.ok("prog load count");
    assert!(session.ok("link list").contains("nothing is attached"));
    assert_eq!(
        session.ok("link attach count shell_test:linked --cookie 5 if value >= 2"),
        "link 1: count at tracepoint:shell_test:linked\n"
    );
    assert_eq!(
        session.ok("link attach 1 tracepoint:shell_test:linked"),
        "link 2: count at tracepoint:shell_test:linked\n"
    );
    for value in 0..5 {
        trace!(linked { value, cpu: 0 });
    }
    assert_eq!(
        session.ok("link list"),
        "ID  PROGRAM  RUNS  MISSED  ERRORS  TARGET\n \
         1  1:count     3       0       0  tracepoint:shell_test:linked cookie 5 if\n\
         \x20                                  value >= 2\n \
         2  1:count     5       0       0  tracepoint:shell_test:linked\n"
    );
    session.complains(
        "prog unload count",
        &["object 1 is in use by 2 links", "--force"],
    );
    session.complains(
        "link attach count shell_test:linked if value >= 2 &&",
        &["the filter", "expected"],
    );
    session.complains(
        "link attach count kprobe:do_exit",
        &[if cfg!(feature = "guest-kprobe") {
            "no VM is open to probes"
        } else {
            "cannot attach to kprobe:do_exit: kprobes are not available"
        }],
    );
    assert_eq!(
        session.ok("link detach 1"),
        "detached link 1 from tracepoint:shell_test:linked: 3 runs, 0 missed, 0 errors\n"
    );
    assert_eq!(
        session.ok("link detach count"),
        "detached link 2 from tracepoint:shell_test:linked: 5 runs, 0 missed, 0 errors\n"
    );
    session.ok("link attach count shell_test:linked");
    assert_eq!(
        session.ok("prog unload count --force"),
        "unloaded object 1, count\n"
    );
    assert!(!linked.enabled());
}
