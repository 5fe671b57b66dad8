//! `trace`.

use axebpf::platform::mock::{set_mock_cpu_id, set_mock_time};
use axebpf::shell::{Outcome, Shell};
use axebpf::tracepoint::trace;

use crate::session::{Objects, Session, counted, named, streamed};
use crate::support::{TestIo, root};

#[test]
fn tracepoints_list_count_and_format() {
    set_mock_cpu_id(22);
    set_mock_time(5_000_000_000);
    let mut session = Session::new();
    let listing = session.ok("trace list vmm:vm_*");
    assert!(
        listing.starts_with("EVENT            ON  USERS  MISSED  MEANING\n"),
        "{listing}"
    );
    assert_eq!(
        listing
            .lines()
            .filter(|line| line.starts_with("vmm:vm_"))
            .count(),
        4
    );
    assert_eq!(
        session.ok("trace enable shell_test:counted if value != 1"),
        "enabled shell_test:counted\n"
    );
    for value in 0..4 {
        trace!(counted { value, cpu: 22 });
    }
    assert_eq!(
        session.ok("trace stat shell_test:counted"),
        "EVENT               COUNT  MISSED   LAST  MIN  AVG  P50  P99  MAX\n\
         shell_test:counted      3       0  5.000    -    -    -    -    -\n"
    );
    let hist = session.ok("trace stat shell_test:counted --hist --reset");
    assert!(hist.ends_with("none of these has durations\n"), "{hist}");
    assert!(
        session
            .ok("trace stat shell_test:counted")
            .contains("      0       0")
    );
    assert_eq!(
        session.ok("trace disable shell_test:counted"),
        "disabled shell_test:counted\n"
    );
    let format = session.ok("trace format shell_test:counted");
    assert!(format.starts_with("name: counted\nID: "), "{format}");
    assert!(
        format.ends_with(
            "FIELD  TYPE           MEANING\n\
             value  unsigned long  What happened.\n\
             cpu    unsigned int   Where.\n"
        ),
        "{format}"
    );
    let buffer = session.ok("trace buffer --full overwrite");
    assert!(buffer.contains("overwrites what is oldest"), "{buffer}");
}

#[test]
fn the_stream_has_events_and_printed_lines_in_the_order_of_time() {
    set_mock_cpu_id(23);
    let root = root();
    let mut io = TestIo::default();
    let shell = Shell::new(&root, &Objects);
    let mut run = |line: &str| {
        assert_eq!(
            shell.run_line(&mut io, line),
            Outcome::Done,
            "{}",
            io.output
        );
        io.take()
    };
    run("prog load all");
    run("link attach all shell_test:streamed");
    run("trace enable shell_test:streamed");
    run("trace stream --new --for 0");
    let fire = |value: u64| {
        set_mock_time((value + 1) * 1_000_000);
        trace!(streamed { value, cpu: 23 });
    };
    fire(1);
    fire(2);
    let only_mine = |text: String| -> String {
        let mine = |line: &&str| line.starts_with("[023]");
        text.lines()
            .filter(mine)
            .map(|line| format!("{line}\n"))
            .collect()
    };
    assert_eq!(
        only_mine(run("trace stream --for 0")),
        "[023]     0.002000: shell_test:streamed: value=1 cpu=23\n\
         [023]     0.002000: all: ping 1 on cpu 23\n\
         [023]     0.003000: shell_test:streamed: value=2 cpu=23\n\
         [023]     0.003000: all: ping 2 on cpu 23\n"
    );
    fire(3);
    assert_eq!(only_mine(run("trace stream --new --for 0")), "");
    run("trace disable shell_test:streamed");
    run("prog unload all --force");
}

#[test]
fn printed_addresses_have_names() {
    set_mock_cpu_id(24);
    let mut session = Session::new();
    session.ok("prog load names");
    session.ok("link attach names shell_test:named");
    let mut printed = |value| {
        trace!(named { value, cpu: 24 });
        let (outcome, text) = session.run_with_symbols("trace stream --for 0");
        assert_eq!(outcome, Outcome::Done);
        // Long lines are folded. Lines of other tests' events come before.
        let words: Vec<_> = text.split_whitespace().collect();
        let line = words.join(" ");
        let (_, line) = line.split_once("names: ").expect("a line of the program");
        line.split(" (").next().unwrap_or_default().to_string()
    };
    assert_eq!(
        printed(0x4008_1010),
        "at handle_exit+0x10/0x100, after handle_exit+0x10/0x100, handle_exit"
    );
    // What follows a call at the end of a function is in no function, or in the next one.
    assert_eq!(
        printed(0x4008_1100),
        "at 0x40081100, after handle_exit+0x100/0x100, 0x40081100"
    );
    session.ok("prog unload names --force");
}

#[test]
fn ctrl_c_ends_what_streams() {
    let mut session = Session::new();
    session.io.patience = 5;
    assert!(session.ok("trace stream").contains(" lines"));
}
