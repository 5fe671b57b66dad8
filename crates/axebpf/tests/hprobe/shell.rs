//! What an operator sees.

use axebpf::Axebpf;
use axebpf::programs::EmbeddedObjects;
use axebpf::shell::{Io, Outcome, Shell};

use crate::machine::{Machine, call, claim, function, symbols};

struct Output(String);

impl Io for Output {
    fn write(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn interrupted(&mut self) -> bool {
        false
    }
}

fn run(root: &Axebpf<Machine>, line: &str, outcome: Outcome) -> String {
    let mut io = Output(String::new());
    let shell = Shell::new(root, &EmbeddedObjects).with_symbols(symbols());
    assert_eq!(shell.run_line(&mut io, line), outcome, "{line}: {}", io.0);
    for line in io.0.lines() {
        assert!(line.chars().count() <= 80, "longer than 80 columns: {line}");
    }
    io.0
}

#[test]
fn links_and_places_are_listed() {
    let (root, _claim) = claim();
    let ok = |line: &str| run(&root, line, Outcome::Done);
    ok("prog load func_count");
    ok("prog load func_latency");
    assert!(ok("hprobe list").starts_with("nothing is probed"));
    assert_eq!(
        ok("link attach func_count hprobe:demo::start+0x4 --cookie 7 if x0 == 1"),
        "link 1: func_count at hprobe:demo::start+0x4\n"
    );
    assert_eq!(
        ok("link attach func_count 'hprobe:demo::*'"),
        "link 2: func_count at hprobe:demo::*\n4 functions, 2 left out; `hprobe check` says why\n"
    );
    ok("link attach func_latency hretprobe:demo::start --maxactive 3");
    for arg in 0..2 {
        call(function(0), arg, 1);
    }
    let links = ok("link list");
    assert!(
        links.contains("1  1:func_count       1       0       0"),
        "{links}"
    );
    assert!(links.contains("hprobe:demo::* (4"), "{links}");
    let points = ok("hprobe list 'demo::st*'");
    assert_eq!(
        points,
        "ADDRESS             KIND    STEP       LINKS        HITS      MISSED\n\
         0x40200000          entry   simulated      1           2           0\n    demo::start\n\
         0x40200000          return  simulated      1           2           0\n    demo::start\n\
         0x40200004          entry   simulated      1           2           0\n    demo::start+0x4\n\
         0x40200010          entry   simulated      1           0           0\n    demo::stop\n"
    );
    assert_eq!(
        ok("map dump calls --key sym"),
        "VALUE  KEY\n    3  demo::start\n"
    );
    ok("link detach all");
    assert!(ok("hprobe list").starts_with("nothing is probed"));
}

#[test]
fn what_can_be_probed_is_told_before() {
    let (root, _claim) = claim();
    let ok = |line: &str| run(&root, line, Outcome::Done);
    assert_eq!(
        ok("hprobe check demo::start"),
        "0x40200000 can be probed: 0xa9bf7bfd is simulated\n    demo::start\n"
    );
    let all = ok("hprobe check 'demo::*'");
    assert!(all.starts_with("4 of 6 functions can be probed\n"), "{all}");
    assert!(
        all.contains("0x40200030: trap entry or exit\n    demo::vector\n"),
        "{all}"
    );
    assert_eq!(
        ok("hprobe blacklist"),
        "1 function must not be probed\n0x40200030: trap entry or exit\n    demo::vector\n"
    );
    let refused = run(&root, "hprobe check demo::vector", Outcome::Failed);
    assert!(
        refused.contains("`hprobe blacklist` lists all"),
        "{refused}"
    );
    let missing = run(&root, "hprobe check demo::stort", Outcome::Failed);
    assert!(missing.contains("did you mean `demo::start`"), "{missing}");
    let twins = run(&root, "hprobe check demo::twin", Outcome::Failed);
    assert!(twins.contains("0x40200040, 0x40200050"), "{twins}");
    let wide = run(&root, "prog load func_count", Outcome::Done);
    assert!(wide.contains("func_count"));
    let wide = run(
        &root,
        "link attach func_count hprobe:* --limit 2",
        Outcome::Failed,
    );
    assert!(wide.contains("--limit N"), "{wide}");
}
