//! Symbols from a file, of a kernel that runs where it likes.

use axebpf::symbols::{Encoder, KernelSymbolError, KernelSymbols, Slide};
use axebpf::{Error, GuestError, SymbolOrigin};

use crate::Bench;
use crate::kernel::{later, write_symbols};
use crate::machine::{FUNCTION, LINKED, VM};

/// Returns the text of symbols of a kernel that was linked at `start`, whose functions are `size` bytes apart.
fn text(start: u64, size: u64) -> String {
    let lines = (0..8).map(|number| format!("{:016x} T work_{number}\n", start + size * number));
    lines.collect()
}

fn system_map() -> String {
    text(LINKED, FUNCTION)
}

fn blob(text: &str) -> Vec<u8> {
    let mut encoder = Encoder::new();
    for symbol in KernelSymbols::from_text(text.as_bytes()).unwrap().iter() {
        encoder.push_kernel(&symbol).unwrap();
    }
    encoder.finish_file().unwrap()
}

fn run(bench: &mut Bench, slide: u64) {
    bench.boot(slide);
    write_symbols(&bench.guest.machine, LINKED + slide);
    bench.guest.start_kernel();
    bench.guest.start_programs();
}

fn address(bench: &Bench, name: &str) -> u64 {
    let symbols = bench.root.guest_symbols(VM).unwrap();
    symbols.lookup_name(name).unwrap().address()
}

fn slide(bench: &Bench) -> Option<Slide> {
    match bench.root.guests().unwrap()[0].origin {
        Some(SymbolOrigin::File { slide }) => slide,
        other => panic!("{other:?}"),
    }
}

fn no_slide(result: Result<impl Sized, Error>) -> GuestError {
    match result.err() {
        Some(Error::Guest(GuestError::NoSlide { vm: VM, cause })) => *cause,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_file_is_moved_to_where_the_kernel_runs() {
    let mut bench = Bench::new();
    run(&mut bench, 0x1220_0000);
    for file in [system_map().into_bytes(), blob(&system_map())] {
        bench.root.set_guest_symbols(VM, &file, None).unwrap();
        assert_eq!(slide(&bench), Some(Slide::new(0x1220_0000)));
        assert_eq!(address(&bench, "work_3"), bench.guest.base + 3 * FUNCTION);
        let link = bench.attach(bench.entered, "kprobe:vm1:work_3");
        bench.guest.call(3, 0);
        assert_eq!(bench.link(link).counts.hits, 1);
        bench.root.detach(link).unwrap();
    }
    // The guest's own text says where the kernel runs.
    let kallsyms = text(bench.guest.base, FUNCTION);
    let given = bench.root.set_guest_symbols(VM, kallsyms.as_bytes(), None);
    assert_eq!(given.unwrap().len(), 8);
    assert_eq!(slide(&bench), Some(Slide::ZERO));
}

#[test]
fn a_file_that_was_given_before_the_kernel_ran_is_moved_each_time_it_does() {
    let mut bench = Bench::new();
    let map = system_map();
    bench
        .root
        .set_guest_symbols(VM, map.as_bytes(), None)
        .unwrap();
    assert_eq!(slide(&bench), None);
    assert_eq!(address(&bench, "work_3"), LINKED + 3 * FUNCTION);
    let link = bench.attach(bench.entered, "kprobe:vm1:work_3");
    for (boot, slide_of_boot) in (1..).zip([0x20_0000, 0x6001_0000, 0, 0x20_0000]) {
        run(&mut bench, slide_of_boot);
        assert_eq!(slide(&bench), None);
        assert_eq!(bench.root.run_guest_work().unwrap(), 1);
        assert_eq!(slide(&bench), Some(Slide::new(slide_of_boot as i64)));
        bench.guest.call(3, 0);
        assert_eq!(bench.link(link).counts.hits, boot);
    }
    // Without a link somebody has to ask.
    bench.root.detach(link).unwrap();
    run(&mut bench, 0x40_0000);
    assert_eq!(address(&bench, "work_3"), bench.guest.base + 3 * FUNCTION);
    assert_eq!(slide(&bench), Some(Slide::new(0x40_0000)));
}

#[test]
fn a_slide_that_is_given_is_not_looked_for() {
    let mut bench = Bench::new();
    bench.boot(0x20_0000);
    bench.guest.start_kernel();
    bench.guest.start_programs();
    let (map, given) = (system_map(), Some(Slide::new(0x20_0000)));
    bench
        .root
        .set_guest_symbols(VM, map.as_bytes(), given)
        .unwrap();
    assert_eq!(slide(&bench), given);
    bench.attach(bench.entered, "kprobe:vm1:work_3");
    assert_eq!(address(&bench, "work_0"), bench.guest.base);
}

#[test]
fn where_a_kernel_runs_that_has_no_symbols_has_to_be_said() {
    let mut bench = Bench::new();
    bench.boot(0x20_0000);
    let map = system_map();
    bench
        .root
        .set_guest_symbols(VM, map.as_bytes(), None)
        .unwrap();
    let link = bench.attach(bench.entered, "kprobe:vm1:work_3");
    bench.guest.start_kernel();
    bench.guest.start_programs();
    let cause = no_slide(bench.root.set_guest_symbols(VM, map.as_bytes(), None));
    assert!(matches!(cause, GuestError::Scan { .. }), "{cause}");
    let cause = no_slide(bench.root.guest_symbols(VM));
    assert!(matches!(cause, GuestError::Scan { .. }), "{cause}");
    assert_eq!(bench.root.run_guest_work().unwrap(), 0);
    let waits = bench.waits_for(link);
    assert!(
        matches!(waits, Some(GuestError::NoSlide { .. })),
        "{waits:?}"
    );
    // Nobody searches all the time, but somebody may say it at any time.
    write_symbols(&bench.guest.machine, LINKED + 0x20_0000);
    assert_eq!(bench.root.run_guest_work().unwrap(), 0);
    later(1);
    assert_eq!(bench.root.run_guest_work().unwrap(), 1);
}

#[test]
fn the_symbols_of_another_kernel_are_refused() {
    let mut bench = Bench::new();
    run(&mut bench, 0x20_0000);
    bench.root.find_guest_symbols(VM).unwrap();
    for other in [
        text(LINKED, 2 * FUNCTION),
        text(LINKED + 0x1000, FUNCTION),
        system_map().replace("work", "play"),
    ] {
        let cause = no_slide(bench.root.set_guest_symbols(VM, other.as_bytes(), None));
        let is_typed = matches!(
            cause,
            GuestError::Stranger(
                KernelSymbolError::Differs { .. }
                    | KernelSymbolError::BadSlide { .. }
                    | KernelSymbolError::Strangers { found: 0, .. }
            )
        );
        assert!(is_typed, "{cause}");
    }
    // What was known before stays.
    let guest = &bench.root.guests().unwrap()[0];
    assert_eq!(guest.origin, Some(SymbolOrigin::Memory));
    assert_eq!(address(&bench, "work_0"), bench.guest.base);
}

#[test]
fn a_damaged_blob_changes_nothing() {
    let mut bench = Bench::new();
    run(&mut bench, 0);
    bench.root.find_guest_symbols(VM).unwrap();
    let good = blob(&system_map());
    for at in 0..good.len() {
        let mut damaged = good.clone();
        damaged[at] ^= 0x10;
        let error = bench.root.set_guest_symbols(VM, &damaged, None);
        let is_typed = matches!(error, Err(Error::Guest(GuestError::Symbols(_))));
        assert!(is_typed, "byte {at}: {error:?}");
    }
    let guest = &bench.root.guests().unwrap()[0];
    assert_eq!(guest.origin, Some(SymbolOrigin::Memory));
}

/// Returns a `System.map` that says where the kernel's text starts and ends, from which it has 64 KiB.
fn system_map_with_ends(len: u64) -> String {
    let (start, end) = (LINKED, LINKED + len);
    format!(
        "{start:016x} T _stext\n{}{end:016x} D _etext\n",
        system_map()
    )
}

#[test]
fn a_kernel_without_symbols_is_where_something_as_long_is_executed() {
    let mut bench = Bench::new();
    let map = system_map_with_ends(0x1_0000);
    for slide_of_boot in [0x20_0000_u64, 0x7fc0_0123_0000, 0, 0x4000_0000_0000] {
        bench.boot(slide_of_boot);
        bench.guest.start_kernel();
        bench.guest.start_programs();
        bench
            .root
            .set_guest_symbols(VM, map.as_bytes(), None)
            .unwrap();
        assert_eq!(slide(&bench), Some(Slide::new(slide_of_boot as i64)));
        let link = bench.attach(bench.entered, "kprobe:vm1:work_3");
        bench.guest.call(3, 0);
        assert_eq!(bench.link(link).counts.hits, 1);
        bench.root.detach(link).unwrap();
    }
    // With other ends it is another kernel, and so it is if they are not known.
    for other in [
        system_map_with_ends(0x2_0000),
        system_map_with_ends(0xf000),
        system_map_with_ends(0x1_0000).replace("_etext", "_edata"),
        map.clone() + &format!("{:016x} T _stext\n", LINKED + 0x1_0000),
    ] {
        let cause = no_slide(bench.root.set_guest_symbols(VM, other.as_bytes(), None));
        assert!(matches!(cause, GuestError::Scan { .. }), "{cause}");
    }
}
