//! `map`, with maps that are not just keys and values.

use axebpf::maps::StackFlags;
use axebpf::platform::mock::set_mock_cpu_id;
use axebpf::tracepoint::trace;

use crate::session::{Session, chained, counted_in_vm};

fn loaded() -> Session {
    let mut session = Session::new();
    session.ok("prog load kinds");
    session
}

#[test]
fn each_kind_is_listed() {
    let mut session = loaded();
    assert_eq!(
        session.ok("map list"),
        "ID  MAP      KIND              KEY  VALUE  USED       OBJECTS\n \
         1  events   perf_event_array    4      4  0/2097152  1\n \
         2  waiting  queue               -      8  0/4        1\n \
         3  nested   stack               -      8  0/4        1\n \
         4  seen     bloom_filter        -      8  -          1\n \
         5  recent   lru_hash            8      8  0/64       1\n \
         6  stacks   stack_trace         4     32  0/16       1\n \
         7  targets  prog_array          4      4  0/4        1\n \
         8  per_vm   hash_of_maps        4      4  0/4        1\n \
         9  ours     array               4      8  1/1        1\n\
         10  theirs   array               4      8  1/1        1\n"
    );
}

#[test]
fn queues_and_stacks_are_read_without_taking() {
    let mut session = loaded();
    for name in ["waiting", "nested"] {
        assert_eq!(
            session.ok(&format!("map dump {name}")),
            format!("{name} has no entries\n")
        );
        session.complains(&format!("map lookup {name}"), &["is empty"]);
        session.complains(&format!("map delete {name}"), &["is empty"]);
        for value in 1..=4 {
            session.ok(&format!("map update {name} {value}"));
        }
        session.complains(&format!("map update {name} 5"), &["full", "4 entries"]);
        session.complains(&format!("map update {name} 1 2"), &["too many"]);
        session.complains(&format!("map update {name} 5 --new"), &["error"]);
    }
    for _ in 0..2 {
        assert_eq!(session.ok("map dump waiting"), "1\n2\n3\n4\n");
        assert_eq!(session.ok("map dump nested"), "4\n3\n2\n1\n");
    }
    assert_eq!(session.ok("map lookup waiting --value x64"), "0x1\n");
    assert_eq!(session.ok("map update waiting 5 --existing"), "");
    assert_eq!(session.ok("map delete waiting"), "2\n");
    assert_eq!(session.ok("map delete nested"), "4\n");
    assert_eq!(session.ok("map lookup nested"), "3\n");
    session.complains("map dump nested --hist", &["is no histogram"]);
}

#[test]
fn bloom_filters_answer_for_one_value() {
    let mut session = loaded();
    assert_eq!(session.ok("map lookup seen 7"), "7 is not a member\n");
    assert_eq!(session.ok("map update seen 7"), "");
    assert_eq!(session.ok("map lookup seen 7"), "7 may be a member\n");
    session.complains("map lookup seen", &["the value is missing"]);
    session.complains("map dump seen", &["does not keep", "map lookup seen VALUE"]);
    session.complains("map delete seen 7", &["cannot forget"]);
}

#[test]
fn records_of_each_cpu_are_taken_out() {
    set_mock_cpu_id(22);
    let mut session = loaded();
    session.ok("link attach first shell_test:chained");
    trace!(chained { value: 5, cpu: 22 });
    trace!(chained { value: 6, cpu: 22 });
    assert_eq!(
        session.ok("map dump events --count 1"),
        "cpu 22: 5\n(1 record; 0 dropped and 0 abandoned so far)\n"
    );
    assert_eq!(
        session.ok("map dump events --value x64"),
        "cpu 22: 0x6\n(1 record; 0 dropped and 0 abandoned so far)\n"
    );
    session.complains("map dump events --hist", &["is no histogram"]);
    session.complains("map lookup events 0", &["records have no keys"]);
    session.complains("map update events 0 1", &["only programs write"]);
    session.complains("map delete events 0", &["takes records out"]);
    assert_eq!(session.ok("map lookup waiting"), "5\n");
    assert_eq!(session.ok("map lookup recent 6"), "6\n");
    session.ok("prog unload kinds --force");
}

#[test]
fn stacks_are_shown_by_number() {
    let mut session = loaded();
    let stacks = session
        .root
        .maps()
        .unwrap()
        .into_iter()
        .find(|info| info.map.name() == "stacks")
        .unwrap()
        .map;
    assert_eq!(session.ok("map dump stacks"), "stacks has no entries\n");
    let id = {
        let guard = axebpf::hit::enter().unwrap();
        stacks
            .stack_id(&guard, &[0x4008_1048, 0x10], StackFlags::default())
            .unwrap()
    };
    assert_eq!(
        session.ok("map dump stacks"),
        format!("ID  ADDRESS\n{id:>2}  0x0000000040081048\n    0x0000000000000010\n")
    );
    assert_eq!(
        session.run_with_symbols("map dump stacks").1,
        format!(
            "ID  ADDRESS             SYMBOL\n\
             {id:>2}  0x0000000040081048  handle_exit+0x48/0x100\n    \
                 0x0000000000000010  -\n"
        )
    );
    assert_eq!(
        session.ok(&format!("map lookup stacks {id}")),
        "ADDRESS\n0x0000000040081048\n0x0000000000000010\n"
    );
    session.complains(
        &format!("map update stacks {id} 1"),
        &["only programs put stacks"],
    );
    session.ok(&format!("map delete stacks {id}"));
    session.complains(&format!("map lookup stacks {id}"), &["has no key"]);
}

#[test]
fn programs_are_put_into_arrays() {
    let mut session = loaded();
    assert_eq!(session.ok("map dump targets"), "targets has no entries\n");
    session.ok("map update targets 0 second");
    session.ok("map update targets 2 kinds/first");
    assert_eq!(
        session.ok("map dump targets"),
        "INDEX  PROGRAM\n    0  2 kinds/second\n    2  1 kinds/first\n"
    );
    assert_eq!(session.ok("map lookup targets 0"), "2 kinds/second\n");
    session.complains("map lookup targets 1", &["has no key 1"]);
    session.complains("map update targets 0 nobody", &["no program `nobody`"]);
    session.complains("map update targets 4 first", &["index 4", "array of 4"]);
    session.complains("map update targets 0 first --new", &["from the start"]);
    session.complains("map dump targets --hist", &["is no histogram"]);
    session.ok("map delete targets 2");
    session.complains("map delete targets 2", &["has no key 2"]);
    // What another object brought goes on as a target without it.
    session.ok("prog load count");
    session.ok("map update targets 1 count/count");
    session.ok("prog unload count");
    assert_eq!(
        session.ok("map lookup targets 1"),
        "- count (its object is unloaded)\n"
    );
}

#[test]
fn maps_are_put_into_maps() {
    set_mock_cpu_id(23);
    let mut session = loaded();
    session.ok("map update per_vm 1 ours");
    session.ok("map update per_vm 7 kinds/theirs --new");
    assert_eq!(
        session.ok("map dump per_vm"),
        "KEY  MAP\n  1  9 ours\n  7  10 theirs\n"
    );
    session.complains("map update per_vm 1 theirs --new", &["already"]);
    session.complains("map update per_vm 1 recent", &["kind", "template"]);
    session.complains("map update per_vm 1 nowhere", &["no map `nowhere`"]);
    session.complains("map dump per_vm --hist", &["is no histogram"]);
    // A tail call to the program that counts there.
    session.ok("map update targets 0 second");
    session.ok("link attach first shell_test:counted_in_vm");
    trace!(counted_in_vm { value: 1, cpu: 23 });
    assert_eq!(session.ok("map lookup ours 0"), "1\n");
    assert_eq!(session.ok("map lookup theirs 0"), "0\n");
    session.ok("map delete per_vm 7");
    session.complains("map lookup per_vm 7", &["has no key 7"]);
    session.ok("prog unload kinds --force");
}
