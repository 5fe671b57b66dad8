//! `prog`.

use axebpf::shell::{Outcome, upload};
use axebpf::tracepoint::trace;

use crate::session::{Session, shown};
use crate::support::{ALL, COUNT, KINDS, LEAK, NAMES, SHARED, SPIN};

#[test]
fn objects_load_show_and_unload() {
    let mut session = Session::new();
    assert_eq!(
        session.ok("prog list --available"),
        format!(
            "BYTES  OBJECT\n {}  all\n {}  count\n {}  kinds\n {}  leak\n {}  names\n {}  shared\n {}  spin\n",
            ALL.len(),
            COUNT.len(),
            KINDS.len(),
            LEAK.len(),
            NAMES.len(),
            SHARED.len(),
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
