//! What is wrong, and what would be right.

use axebpf::shell::MAX_LINE;

use crate::session::Session;

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
