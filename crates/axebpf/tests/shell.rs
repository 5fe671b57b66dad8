//! The shell, as an operator sees it.
#![cfg(all(feature = "runtime", feature = "tracepoint-support"))]

mod support;

use axebpf::Axebpf;
use axebpf::platform::mock::{MockPlatform, set_mock_cpu_id, set_mock_time};
use axebpf::shell::{MAX_LINE, ObjectSource, Outcome, Shell, SourceEntry, SourceError, upload};
use axebpf::tracepoint::{define_event, trace};
use std::borrow::Cow;
use support::{ALL, COUNT, LEAK, SPIN, TestIo, root};

macro_rules! events {
    ($($name:ident $type:ident,)*) => {$(
        define_event! {
            /// Something happened.
            event shell_test:$name as $type {
                /// What happened.
                value: u64,
                /// Where.
                cpu: u32,
            }
        }
    )*};
}

// One for each test, so that tests that run side by side do not see each other's.
events! {
    linked Linked,
    dumped Dumped,
    streamed Streamed,
    shown Shown,
    ringed Ringed,
    counted Counted,
}

/// Offers the objects of the tests.
struct Objects;

const OBJECTS: [(&str, &[u8]); 4] = [
    ("all", ALL),
    ("count", COUNT),
    ("leak", LEAK),
    ("spin", SPIN),
];

impl ObjectSource for Objects {
    fn list(&self) -> Vec<SourceEntry> {
        OBJECTS
            .map(|(name, elf)| SourceEntry {
                name: name.into(),
                len: elf.len(),
            })
            .into()
    }

    fn read(&self, name: &str) -> Result<Cow<'_, [u8]>, SourceError> {
        let found = OBJECTS.iter().find(|(known, _)| *known == name);
        found
            .map(|(_, elf)| (*elf).into())
            .ok_or_else(|| SourceError::NotFound { name: name.into() })
    }
}

/// A shell at work.
struct Session {
    root: Axebpf<MockPlatform>,
    io: TestIo,
}

impl Session {
    fn new() -> Self {
        Self {
            root: root(),
            io: TestIo::default(),
        }
    }

    fn run(&mut self, line: &str) -> (Outcome, String) {
        let outcome = Shell::new(&self.root, &Objects).run_line(&mut self.io, line);
        let output = self.io.take();
        for line in output.lines() {
            assert!(line.chars().count() <= 80, "longer than 80 columns: {line}");
            assert_eq!(line, line.trim_end(), "blanks at the end of a line");
        }
        (outcome, output)
    }

    /// Runs a line that must succeed.
    fn ok(&mut self, line: &str) -> String {
        let (outcome, output) = self.run(line);
        assert_eq!(outcome, Outcome::Done, "{line}: {output}");
        output
    }

    /// Runs a line that must fail.
    fn fails(&mut self, line: &str) -> String {
        let (outcome, output) = self.run(line);
        assert_eq!(outcome, Outcome::Failed, "{line}: {output}");
        assert!(output.starts_with("error: "), "{line}: {output}");
        output
    }

    /// Runs a line that must fail, with a message that has all of `parts`.
    fn complains(&mut self, line: &str, parts: &[&str]) {
        let output = self.fails(line);
        let flat = output.split_whitespace().collect::<Vec<_>>().join(" ");
        for part in parts {
            assert!(flat.contains(part), "{line}: no {part:?} in {output}");
        }
    }
}

const ALL_COMMANDS: &[&str] = &[
    "trace list",
    "trace enable",
    "trace disable",
    "trace stat",
    "trace stream",
    "trace format",
    "trace buffer",
    "prog list",
    "prog load",
    "prog unload",
    "prog show",
    "link list",
    "link attach",
    "link detach",
    "map list",
    "map dump",
    "map lookup",
    "map update",
    "map delete",
    "map unpin",
    "sym",
    "help",
];

#[test]
fn every_command_has_help() {
    let mut session = Session::new();
    let overview = session.ok("help");
    assert_eq!(overview.lines().count(), ALL_COMMANDS.len() + 2);
    for command in ALL_COMMANDS {
        assert!(overview.contains(command), "{command}");
        let help = session.ok(&format!("help {command}"));
        assert!(help.starts_with(&format!("usage: {command}")), "{help}");
        assert_eq!(session.ok(&format!("{command} --help")), help);
    }
    for group in ["trace", "prog", "link", "map"] {
        assert!(session.ok(&format!("help {group}")).starts_with(group));
    }
    let names: Vec<_> = Shell::commands().collect();
    assert_eq!(names, ["trace", "prog", "link", "map", "sym", "help"]);
}

#[test]
fn lines_that_cannot_be_parsed_say_why() {
    let mut session = Session::new();
    assert_eq!(session.ok(""), "");
    assert_eq!(session.ok("   \t "), "");
    session.complains("trace list \"vmm", &["\" at column 12 is never closed"]);
    session.complains("trace 'list", &["' at column 7 is never closed"]);
    session.complains(
        &"x".repeat(64 << 10),
        &["65536 bytes", &MAX_LINE.to_string()],
    );
    session.complains(&"\"".repeat(64 << 10), &["65536 bytes"]);
    session.complains("trace\u{7f} list", &["control character 0x7f"]);
}

#[test]
fn every_command_says_what_would_be_right() {
    let mut session = Session::new();
    for (line, parts) in [
        (
            "trcae list",
            &["no command `trcae`", "did you mean `trace`?"][..],
        ),
        (
            "xyzzy",
            &["no command `xyzzy`", "`help` shows what there is"],
        ),
        (
            "trace",
            &["needs one of its commands", "list|enable|disable"],
        ),
        (
            "trace lst",
            &["no `trace` command `lst`", "did you mean `list`?"],
        ),
        ("trace list [", &["`[`"]),
        (
            "trace list nothing:*",
            &["no tracepoint matches `nothing:*`"],
        ),
        (
            "trace list a b",
            &["`b` is one argument too many", "usage: trace list [GLOB]"],
        ),
        ("trace list --all", &["no option `--all`"]),
        ("trace list if x == 1", &["takes no filter"]),
        (
            "trace enable",
            &["the name or glob is missing", "usage: trace enable"],
        ),
        (
            "trace enable vmm:vm_craete",
            &["did you mean `vmm:vm_create`", "`trace list`"],
        ),
        (
            "trace enable shell_test:counted if",
            &["no filter after `if`"],
        ),
        (
            "trace enable shell_test:counted if valeu == 1",
            &["no field `valeu`", "value, cpu"],
        ),
        (
            "trace disable shell_test:counted",
            &["none of these is enabled"],
        ),
        ("trace stat nothing", &["no tracepoint is called `nothing`"]),
        ("trace stream --count", &["`--count` needs a value"]),
        (
            "trace stream --for ever",
            &["`--for` needs a whole number, not `ever`"],
        ),
        ("trace format", &["the event is missing"]),
        (
            "trace format vmm:*",
            &["`vmm:*` matches", "name one of them"],
        ),
        ("trace buffer --size 1", &["1 bytes"]),
        (
            "trace buffer --full never",
            &["overwrite or discard, not `never`"],
        ),
        (
            "prog load",
            &["the name of the object is missing", "usage: prog load NAME"],
        ),
        (
            "prog load cuont",
            &["no object `cuont`", "did you mean `count`?"],
        ),
        ("prog load count --as 'a b'", &["`a b` cannot be a name"]),
        ("prog load count --reuse x", &["`--reuse x` is not MAP=ID"]),
        ("prog load count --reuse x=1", &["no map `1`"]),
        ("prog unload 7", &["no object `7`"]),
        ("prog show nothing", &["no program `nothing`"]),
        ("link attach nothing", &["no program `nothing`"]),
        (
            "link attach x nowhere",
            &["`nowhere` names no probe point", "vmm:vm_create"],
        ),
        ("link detach 3", &["no link 3"]),
        ("link detach all", &["nothing of `all` is attached"]),
        ("map dump", &["the map is missing"]),
        ("map dump x", &["no map `x`", "`map list`"]),
        ("map lookup x 1", &["no map `x`"]),
        ("map update x 1 2 --new --existing", &["exclude each other"]),
        ("map unpin x", &["no map is pinned as `x`"]),
        ("sym main", &["no symbols", "cargo xtask ksyms"]),
        ("help trcae", &["did you mean `trace`?"]),
        ("help trace lst", &["did you mean `list`?"]),
    ] {
        session.complains(line, parts);
    }
}

#[test]
fn objects_load_show_and_unload() {
    let mut session = Session::new();
    assert_eq!(
        session.ok("prog list --available"),
        format!(
            "BYTES  OBJECT\n {}  all\n {}  count\n {}  leak\n {}  spin\n",
            ALL.len(),
            COUNT.len(),
            LEAK.len(),
            SPIN.len()
        )
    );
    assert!(session.ok("prog list").contains("no programs are loaded"));
    let insns = |session: &Session| session.root.programs().unwrap()[0].program.insn_count();
    let loaded = session.ok("prog load count --as pings --budget 1000");
    let listing = format!(
        "ID  OBJECT   PROGRAM  INSNS  LINKS  TARGET\n \
         1  1:pings  count       {}  -      facade:ping\n",
        insns(&session)
    );
    assert_eq!(
        loaded,
        format!("object 1, pings: 1 program, 2 maps\n{listing}")
    );
    assert_eq!(session.ok("prog list"), listing);
    assert_eq!(
        session.ok("prog show pings/count"),
        format!(
            "program       1, count\n\
             object        1, pings\n\
             license       Dual GPL/Apache\n\
             section       tracepoint/facade/ping\n\
             instructions  {}\n\
             budget        1000 instructions a run\n\
             maps          totals, by_value\n\
             links         -\n\
             runs          0, stopped 0\n",
            insns(&session)
        )
    );
    let code = session.ok("prog show 1 --code");
    assert!(code.contains(": call map_lookup_elem\n"), "{code}");
    assert!(code.trim_end().ends_with(": exit"), "{code}");
    session.ok("prog load count --as pings");
    session.complains(
        "prog unload pings",
        &["`pings` is the name of 2 objects", "1, 2"],
    );
    session.complains("prog show count", &["`count` is the name of 2 programs"]);
    assert_eq!(session.ok("prog unload 1"), "unloaded object 1, pings\n");
    assert_eq!(
        session.ok("prog unload pings"),
        "unloaded object 2, pings\n"
    );
}

#[test]
fn a_load_that_cannot_attach_leaves_nothing() {
    let mut session = Session::new();
    session.complains("prog load count --attach", &["no tracepoint `facade:ping`"]);
    assert!(session.root.objects().unwrap().is_empty());
}

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
        "link attach count hprobe:handle_exit",
        &["cannot attach to hprobe:handle_exit: hprobes are not available"],
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
        "0x2,0x7d0\n(1 records; 0 dropped and 0 abandoned so far)\n"
    );
    assert_eq!(
        session.ok("map dump records"),
        "(0 records; 0 dropped and 0 abandoned so far)\n"
    );
    session.complains("map dump records --hist", &["no histogram"]);
    session.complains("map lookup records 1", &["1"]);
    session.ok("prog unload all --force");
}

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
fn ctrl_c_ends_what_streams() {
    let mut session = Session::new();
    session.io.patience = 5;
    assert!(session.ok("trace stream").contains(" lines"));
}

#[test]
fn an_object_can_be_uploaded() {
    let mut session = Session::new();
    let mut input = upload::begin_line(COUNT) + "\r\n";
    for line in upload::data_lines(COUNT) {
        input += &(line + "\n");
    }
    session.io.input = input.into_bytes().into();
    let output = session.ok("prog load --upload pushed");
    assert!(output.starts_with("upload: ready 1048576 57\nupload: got 0\nupload: got 57\n"));
    let end = format!(
        "upload: done {}\nobject 1, pushed: 1 program, 2 maps\n",
        COUNT.len()
    );
    assert!(output.contains(&end), "{output}");

    for (input, reason) in [
        ("abort\n", "the host gave up"),
        ("begin 3 0\nYWJj\n", "CRC-32 is 352441c2, not 00000000"),
        ("begin 3\u{3}", "interrupted"),
        ("", "no input for 10 seconds"),
    ] {
        session.io.input = input.bytes().collect();
        let (outcome, output) = session.run("prog load --upload pushed");
        assert_eq!(outcome, Outcome::Failed);
        assert!(
            output.contains(&format!("upload: failed {reason}\n")),
            "{output}"
        );
    }
    assert_eq!(session.root.objects().unwrap().len(), 1);
}

#[test]
fn a_program_that_was_stopped_says_why() {
    let mut session = Session::new();
    session.ok("prog load spin");
    session.ok("link attach spin shell_test:shown");
    trace!(shown { value: 0, cpu: 0 });
    let facts = session.ok("prog show spin");
    assert!(
        facts.ends_with(
            "runs          1, stopped 1\n              1 stopped: the budget was used up\n"
        ),
        "{facts}"
    );
    session.ok("prog unload spin --force");
}
