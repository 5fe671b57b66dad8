//! What the shell says of links to guests.

use axebpf::shell::{Io, NoObjects, Outcome, Shell};

use crate::Bench;
use crate::kernel::write_symbols;
use crate::machine::LINKED;

struct Console(String);

impl Io for Console {
    fn write(&mut self, text: &str) {
        self.0.push_str(text);
    }

    fn interrupted(&mut self) -> bool {
        false
    }
}

/// Runs a line and returns what it wrote.
pub(crate) fn run(bench: &Bench, line: &str) -> String {
    let mut console = Console(String::new());
    let outcome = Shell::new(&bench.root, &NoObjects).run_line(&mut console, line);
    assert_eq!(outcome, Outcome::Done, "{line}: {}", console.0);
    assert!(
        console.0.lines().all(|line| line.len() <= 80),
        "{}",
        console.0
    );
    console.0
}

#[test]
fn waiting_links_say_what_for() {
    let bench = Bench::new();
    let said = run(&bench, "link attach entered kprobe:vm1:work_1");
    assert!(
        said.contains("waiting: the kernel of VM 1 does not run yet\n"),
        "{said}"
    );
    assert!(
        said.contains("brk probes miss what runs after the guest"),
        "{said}"
    );
    let said = run(&bench, "link list");
    assert!(
        said.contains("kprobe:vm1:work_1 waiting brk 0 retired"),
        "{said}"
    );
    assert!(
        said.contains("link 1 waits: the kernel of VM 1 does not run yet\n"),
        "{said}"
    );
    assert!(run(&bench, "vm list").contains("1  -"));
}

#[test]
fn what_a_glob_leaves_out_is_said_with_the_reason() {
    let mut bench = Bench::new();
    bench.boot(0);
    write_symbols(&bench.guest.machine, LINKED);
    bench.guest.start_kernel();
    assert!(run(&bench, "vm list").contains("starts"));
    bench.guest.start_programs();
    let said = run(&bench, "link attach entered 'kprobe:vm1:work_*'");
    let expected =
        "link 1: entered at kprobe:vm1:work_*\n7 functions, 1 left out\n  without work_0: ";
    assert!(said.starts_with(expected), "{said}");
    let said = run(
        &bench,
        "link attach returned kretprobe:vm1:work_1 if arg0 == 1",
    );
    assert!(
        said.contains("the first calls to return to a place are missed"),
        "{said}"
    );
    assert!(run(&bench, "vm list").contains("runs"));
}
