//! Programs that are adapted to the types of a guest's kernel.

use axebpf::runtime::LoadError;
use axebpf::{Error, GuestError, LoadOptions};
use proptest::prelude::*;

use crate::Bench;
use crate::kernel::{write_entangled_types, write_symbols, write_types};
use crate::machine::{LINKED, RAM, VM};

const TYPES: &[u8] = include_bytes!("../objects/guest_types.bpf.o");
/// Is for no guest, and needs to know types.
const ELSEWHERE: &[u8] = include_bytes!("../../../axebpf-vm/tests/objects/core.o");

fn started() -> Bench {
    let mut bench = Bench::new();
    bench.boot(0);
    write_symbols(&bench.guest.machine, LINKED);
    bench
}

fn run(bench: &mut Bench) {
    bench.guest.start_kernel();
    bench.guest.start_programs();
}

#[test]
fn programs_for_a_guest_get_its_types() {
    let mut bench = started();
    for (boot, offset) in [(0, 0x44), (0x40_0000, 0x60)] {
        bench.boot(boot);
        write_symbols(&bench.guest.machine, LINKED + boot);
        write_types(&bench.guest.machine, offset);
        run(&mut bench);
        let object = bench.root.load("types", TYPES, &LoadOptions::default());
        let program = bench.root.object(object.unwrap()).unwrap().programs[0];
        let link = bench.root.attach(program, &axebpf::LinkOptions::default());
        bench.guest.call(1, 0);
        let object = bench.root.program(program).unwrap().object;
        assert_eq!(bench.value("types", 0), u64::from(offset));
        assert_eq!(bench.value("types", 1), 0x400);
        assert_eq!(bench.root.link(link.unwrap()).unwrap().counts.errors, 0);
        bench.root.unload(object, axebpf::Unload::Force).unwrap();
    }
}

#[test]
fn what_needs_types_says_so_where_there_are_none() {
    let mut bench = started();
    let load = |bench: &Bench, elf, options: &LoadOptions<'_>| {
        bench.root.load("types", elf, options).unwrap_err()
    };
    let none = LoadOptions::default();
    let error = load(&bench, TYPES, &none);
    assert!(matches!(error, Error::Guest(GuestError::NoTypes { vm, .. }) if vm == VM));
    run(&mut bench);
    let error = load(&bench, TYPES, &none);
    assert!(matches!(error, Error::Guest(GuestError::NoTypes { .. })));
    // Of programs for the hypervisor nobody says whose types they mean.
    let error = load(&bench, ELSEWHERE, &none);
    assert!(matches!(
        error,
        Error::Load(LoadError::NoTargetTypes { .. })
    ));
    let error = load(&bench, ELSEWHERE, &none.with_types_of(VM));
    assert!(matches!(error, Error::Guest(GuestError::NoTypes { .. })));
    let error = load(
        &bench,
        TYPES,
        &none.with_types_of(axebpf::platform::VmId::new(7)),
    );
    assert!(matches!(error, Error::Guest(GuestError::NoGuest { .. })));
    assert_eq!(bench.root.objects().unwrap().len(), 1);
}

#[test]
fn types_that_lead_to_themselves_end_with_an_error() {
    let mut bench = started();
    write_entangled_types(&bench.guest.machine);
    run(&mut bench);
    let error = bench.root.load("types", TYPES, &LoadOptions::default());
    let error = error.unwrap_err().to_string();
    assert!(error.contains("too entangled"), "{error}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn damaged_types_are_an_error_or_harmless(
        places in proptest::collection::vec((0u64..0x600, any::<u8>()), 1..40),
    ) {
        // A thread has the CPU of a guest until it ends, and other tests take their turn between two cases.
        let case = std::thread::spawn(move || load_damaged_types(&places));
        prop_assert!(case.join().is_ok());
    }
}

/// Loads what needs types while bytes of them are others. Nothing but an error or an object may come of it.
fn load_damaged_types(places: &[(u64, u8)]) {
    let mut bench = started();
    write_types(&bench.guest.machine, 0x44);
    for (offset, byte) in places {
        // The header stays, so that they are found.
        let at = RAM + 0x4_0018 + offset;
        bench.guest.machine.write(at, &[*byte]);
    }
    run(&mut bench);
    let _ = bench.root.load("types", TYPES, &LoadOptions::default());
}
