//! Names for addresses of two guests whose kernels run at the same place.

use axebpf::platform::{GuestPhys, VmId};
use axebpf::symbols::Slide;
use axebpf::{GuestSetup, LoadOptions, MapInfo, ObjectInfo, Origin};

use crate::Bench;
use crate::machine::{CALLER, FUNCTION, Guest, LINKED, RAM, VM};
use crate::shell::run;

const NAMES: &[u8] = include_bytes!("../objects/guest_names.bpf.o");
const OTHER: VmId = VmId::new(2);

/// The first guest's functions are called `work_0` to `work_7`, the second one's `job_0` to `job_7`; but both have
/// `idle`.
struct Two {
    bench: Bench,
    other: Guest,
}

/// The text of symbols of which all but the fifth begin with `name`. The functions are called from the end of another
/// one.
fn symbols(name: &str) -> String {
    let lines = (0..8).map(|number| {
        let at = LINKED + FUNCTION * number;
        match number {
            5 => format!("{at:016x} T idle\n"),
            _ => format!("{at:016x} T {name}_{number}\n"),
        }
    });
    let calls = LINKED + CALLER;
    let callers = format!(
        "{:016x} T {name}_caller\n{calls:016x} T {name}_next\n",
        calls - FUNCTION
    );
    lines.collect::<String>() + &callers
}

fn two() -> Two {
    let mut bench = Bench::new();
    let mut other = Guest::new(OTHER);
    let memory = GuestPhys::new(RAM)..GuestPhys::new(RAM + 0x20_0000);
    let setup = GuestSetup::new(other.probes.clone(), memory);
    bench.root.open_guest(setup).unwrap();
    bench.boot(0);
    other.load(0);
    for guest in [&mut bench.guest, &mut other] {
        guest.start_kernel();
        guest.start_programs();
    }
    for (vm, name) in [(VM, "work"), (OTHER, "job")] {
        let text = symbols(name);
        let known = bench
            .root
            .set_guest_symbols(vm, text.as_bytes(), Some(Slide::ZERO));
        known.unwrap();
    }
    Two { bench, other }
}

impl Two {
    fn load(&self) -> ObjectInfo {
        let object = self
            .bench
            .root
            .load("names", NAMES, &LoadOptions::default());
        self.bench.root.object(object.unwrap()).unwrap()
    }

    fn map(&self, object: &ObjectInfo, name: &str) -> MapInfo {
        let mut maps = object
            .maps
            .iter()
            .map(|id| self.bench.root.map(*id).unwrap());
        maps.find(|info| info.map.name() == name).unwrap()
    }

    /// Shows a map of `object`.
    fn dump(&self, object: &ObjectInfo, name: &str) -> String {
        let key = if name == "places" { "--key sym" } else { "" };
        let line = format!("map dump {key} {}", self.map(object, name).id);
        run(&self.bench, &line)
    }

    /// Takes the next line that a program printed.
    fn printed(&self) -> (Origin, String) {
        let line = self.bench.root.next_printk().unwrap().unwrap();
        (line.origin, line.text)
    }
}

#[test]
fn addresses_have_the_names_of_the_guest_that_they_are_of() {
    let mut two = two();
    let (first, second) = (two.load(), two.load());
    two.bench.attach(first.programs[0], "kprobe:vm1:work_3");
    two.bench.attach(second.programs[0], "kprobe:vm2:job_3");
    two.bench.guest.call(3, 0);
    two.other.call(3, 0);
    assert_eq!(two.printed(), (Origin::Guest(VM), "at work_3".into()));
    assert_eq!(two.printed(), (Origin::Guest(OTHER), "at job_3".into()));
    for _ in 0..2 {
        for (object, name, other) in [(&first, "work", "job"), (&second, "job", "work")] {
            let chains = two.dump(object, "chains");
            assert!(
                chains.contains(&format!(" {name}_3+0x0/0x40\n")),
                "{chains}"
            );
            assert!(
                chains.contains(&format!(" {name}_caller+0x40/0x40\n")),
                "{chains}"
            );
            let places = two.dump(object, "places");
            assert!(places.contains(&format!(" {name}_3\n")), "{places}");
            assert!(!chains.contains(other) && !places.contains(other));
        }
        // What is in a map is still of the same guest.
        for link in two.bench.root.links().unwrap() {
            two.bench.root.detach(link.id).unwrap();
        }
    }
}

#[test]
fn what_is_of_either_guest_has_both_names() {
    let mut two = two();
    let object = two.load();
    for target in ["kprobe:vm1:work_3", "kprobe:vm2:job_3", "kprobe:vm1:idle"] {
        two.bench.attach(object.programs[0], target);
    }
    two.bench.guest.call(3, 0);
    two.bench.guest.call(5, 0);
    two.other.call(3, 0);
    let origins = two.map(&object, "chains").origins;
    assert_eq!(origins, [Origin::Guest(VM), Origin::Guest(OTHER)]);
    let chains = two.dump(&object, "chains");
    let both = " vm1:work_3+0x0/0x40 or vm2:job_3+0x0/0x40\n";
    assert!(chains.contains(both), "{chains}");
    assert!(chains.contains(" idle+0x0/0x40\n"), "{chains}");
    let places = two.dump(&object, "places");
    let both = format!(" {:#x} (vm1:work_3 or vm2:job_3)\n", LINKED + 3 * FUNCTION);
    assert!(places.contains(&both), "{places}");
    // A message has been printed at one place.
    let lines: Vec<_> = (0..3).map(|_| two.printed().1).collect();
    assert_eq!(lines, ["at work_3", "at idle", "at job_3"]);
    // A guest that is gone leaves the name of the other.
    two.bench.root.close_guest(OTHER).unwrap();
    let chains = two.dump(&object, "chains");
    assert!(chains.contains(" work_3+0x0/0x40\n"), "{chains}");
}

#[test]
fn what_a_program_goes_on_in_sees_the_same_guest() {
    let two = two();
    let guest = |vm| Origin::Guest(vm);
    let (first, second) = (two.load(), two.load());
    for (object, is_filled_first) in [(&first, true), (&second, false)] {
        let fill = || {
            let array = two.map(object, "next").id;
            two.bench
                .root
                .write_program(array, 0, object.programs[0])
                .unwrap();
        };
        assert_eq!(two.map(object, "chains").origins, []);
        if is_filled_first {
            fill();
        }
        two.bench.attach(object.programs[1], "kprobe:vm2:job_3");
        if !is_filled_first {
            assert_eq!(two.map(object, "chains").origins, []);
            fill();
        }
        assert_eq!(two.map(object, "next").origins, [guest(OTHER)]);
        assert_eq!(two.map(object, "chains").origins, [guest(OTHER)]);
    }
}
