//! `sym`.
#![cfg(feature = "symbols")]

mod support;

use axebpf::shell::{NoObjects, Outcome, Shell};
use axebpf::symbols::{Encoder, Slide, SymbolTable};
use support::{TestIo, root};

const MANGLED: &str = "_ZN4vcpu4exit17h0123456789abcdefE";

fn table() -> Vec<u8> {
    let mut encoder = Encoder::new();
    encoder.push("handle_exit", 0x4008_0000, 0x40, 'T').unwrap();
    encoder.push(MANGLED, 0x4008_0040, 0x100, 't').unwrap();
    encoder.push("handle_irq", 0x4008_0140, 0x20, 'T').unwrap();
    encoder.push("EXITS", 0x4010_0000, 8, 'd').unwrap();
    encoder.finish().unwrap()
}

/// Runs a line and returns how it ended and what it wrote.
fn run(line: &str) -> (Outcome, String) {
    let blob = table();
    let symbols = SymbolTable::from_blob(&blob, Slide::new(0x1000)).unwrap();
    let root = root();
    let shell = Shell::new(&root, &NoObjects).with_symbols(&symbols);
    let mut io = TestIo::default();
    let outcome = shell.run_line(&mut io, line);
    assert!(
        io.output.lines().all(|line| line.len() <= 80),
        "{}",
        io.output
    );
    (outcome, io.output)
}

#[test]
fn symbols_are_found_by_name() {
    let expected = "ADDRESS             SIZE  T  NAME\n0x0000000040081040   256  t  vcpu::exit\n";
    for name in ["vcpu::exit", MANGLED] {
        assert_eq!(
            run(&format!("sym {name}")),
            (Outcome::Done, expected.into())
        );
    }
}

#[test]
fn symbols_are_found_by_address() {
    assert_eq!(
        run("sym 0x40081048"),
        (
            Outcome::Done,
            "0x0000000040081048  vcpu::exit+0x8/0x100\n".into()
        )
    );
}

#[test]
fn symbols_are_found_by_glob() {
    assert_eq!(
        run("sym handle_*"),
        (
            Outcome::Done,
            "ADDRESS             SIZE  T  NAME\n\
             0x0000000040081000    64  T  handle_exit\n\
             0x0000000040081140    32  T  handle_irq\n"
                .into()
        )
    );
    let (_, limited) = run("sym * --limit 1");
    assert!(limited.contains("the first 1 are shown"), "{limited}");
}

#[test]
fn what_is_not_found_says_what_is_near() {
    for (line, part) in [
        (
            "sym handle",
            "these have it in their names: `handle_exit`, `handle_irq`",
        ),
        ("sym nothing", "there is no symbol `nothing`"),
        ("sym x*", "no symbol matches `x*`"),
        ("sym [", "`[` is no glob"),
        ("sym 0x10", "no symbol of the hypervisor covers 0x10"),
        ("sym 0xyz", "`0xyz` is no address"),
        ("sym", "what to look for is missing"),
        ("sym a b", "`b` is one argument too many"),
    ] {
        let (outcome, output) = run(line);
        assert_eq!(outcome, Outcome::Failed, "{line}");
        assert!(output.contains(part), "{line}: {output}");
    }
}
