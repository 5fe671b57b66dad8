//! No line, whatever it holds, does more than fail.

mod support;

use axebpf::shell::{NoObjects, Shell};
use proptest::prelude::*;
use support::{TestIo, root};

/// Words that get far, among others.
fn word() -> impl Strategy<Value = String> {
    const KNOWN: &[&str] = &[
        "trace",
        "prog",
        "link",
        "map",
        "sym",
        "help",
        "list",
        "enable",
        "disable",
        "stat",
        "format",
        "buffer",
        "load",
        "unload",
        "show",
        "attach",
        "detach",
        "dump",
        "lookup",
        "update",
        "delete",
        "unpin",
        "--hist",
        "--key",
        "--value",
        "--count",
        "--for",
        "--force",
        "--as",
        "--reuse",
        "--cookie",
        "--limit",
        "--size",
        "--help",
        "u32,x8",
        "hex:00",
        "0",
        "1",
        "18446744073709551616",
        "vmm:*",
        "vmm:vm_create",
        "all",
        "if",
        "\"",
        "'",
    ];
    prop_oneof![4 => prop::sample::select(KNOWN).prop_map(String::from), 1 => ".{0,12}"]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_line_comes_to_an_end(words in prop::collection::vec(word(), 0..8)) {
        // What streams would wait for the clock of the test, which its console moves on.
        let line = words.join(" ");
        let root = root();
        let mut io = TestIo { patience: 50, ..TestIo::default() };
        let _ = Shell::new(&root, &NoObjects).run_line(&mut io, &line);
        prop_assert!(line.trim().is_empty() || !io.output.is_empty() || line.contains("map update"));
    }
}
