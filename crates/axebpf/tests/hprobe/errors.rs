//! What cannot be attached, and why.

use axebpf::{Error, LinkOptions};

use crate::machine::{claim, function};
use crate::programs::{attach, load};

/// Attaches where that is an error, and returns its text.
fn refusal(target: &str, options: &LinkOptions<'_>) -> String {
    let (root, _claim) = claim();
    let program = load(&root, "func_count");
    let error = attach(&root, program, target, options).unwrap_err();
    assert!(root.links().unwrap().is_empty());
    assert!(axebpf::probe::hprobe::list().unwrap().is_empty());
    error.to_string()
}

fn plain(target: &str) -> String {
    refusal(target, &LinkOptions::default())
}

#[test]
fn missing_functions_bring_near_ones_to_mind() {
    let (root, _claim) = claim();
    let program = load(&root, "func_count");
    for name in ["demo::stort", "other::start", "strat"] {
        let target = format!("hprobe:{name}");
        let error = attach(&root, program, &target, &LinkOptions::default()).unwrap_err();
        let Error::NoFunction { near, .. } = error else {
            panic!("{name}: {error}");
        };
        assert!(near.contains(&"demo::start".into()), "{name}: {near:?}");
    }
    assert!(matches!(
        attach(&root, program, "hprobe:x*", &LinkOptions::default()),
        Err(Error::NoFunction { near, .. }) if near.is_empty()
    ));
}

#[test]
fn places_that_cannot_be_probed_say_why() {
    let (lock, vector) = (function(2), function(3));
    assert_eq!(
        plain("hprobe:demo::vector"),
        format!("{vector:#x} must not be probed: it is trap entry or exit")
    );
    assert!(plain("hprobe:demo::lock").contains(&format!("0xc85f7c20 at {lock:#x}")));
    assert!(plain("hretprobe:demo::lock").contains("cannot be probed"));
    assert!(plain("hprobe:demo::start+2").contains("0x40200002 is not aligned"));
    assert_eq!(
        plain("hprobe:demo::start+0x40"),
        "`demo::start` has 16 bytes, so 0x40 is outside of it"
    );
    assert!(plain("hprobe:0x1000").contains("is not hypervisor text"));
    assert!(plain("hretprobe:0x40200004").contains("its return is probed at its entry"));
    assert_eq!(
        plain("hprobe:demo::twin"),
        "2 functions are called `demo::twin`"
    );
}

#[test]
fn globs_have_limits() {
    assert_eq!(
        refusal(
            "hprobe:demo::*",
            &LinkOptions::default().with_max_functions(5)
        ),
        "`demo::*` means 6 functions, more than the limit of 5"
    );
    assert!(plain("hprobe:demo::*+4").contains("no offset fits"));
    assert!(plain("hprobe:demo::[").contains("is no glob"));
    assert!(plain("hprobe:*::vecto?").starts_with("none of the 1 function"));
}

#[test]
fn filters_know_the_registers() {
    let filtered =
        |target: &str, filter| refusal(target, &LinkOptions::default().with_filter(filter));
    assert!(filtered("hprobe:demo::start", "x31 == 1").contains("no field `x31`"));
    assert!(filtered("hprobe:demo::start", "ret == 1").contains("no field `ret`"));
    assert!(filtered("hretprobe:demo::start", "arg0 == 1").contains("no field `arg0`"));
    assert!(filtered("hprobe:demo::start", "x0 ~ 'a'").contains("does not go with `x0`"));
    assert!(filtered("hprobe:demo::start", "x0 ==").contains("is compared with a number"));
}
