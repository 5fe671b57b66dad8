//! Waiting, being armed, and waiting again.

use axebpf::probe::kprobe::{GuestStage, ProbeMode};
use axebpf::{Axebpf, Error, GuestError, LinkId, LinkOptions};

use std::sync::mpsc::channel;
use std::thread;

use axebpf::platform::mock::{MockPlatform, set_mock_cpu_id};
use axebpf::symbols::Slide;

use crate::Bench;
use crate::kernel::{later, write_symbols};
use crate::machine::{LINKED, Stop, VM};

#[test]
fn a_link_to_a_guest_that_is_off_is_armed_when_its_kernel_is_up() {
    let mut bench = Bench::new();
    let link = bench.attach(bench.entered, "kprobe:vm1:work_3");
    let no_kernel = Some(GuestError::NoKernel { vm: VM });
    assert_eq!(bench.waits_for(link), no_kernel);
    bench.boot(0x20_0000);
    write_symbols(&bench.guest.machine, LINKED + 0x20_0000);
    assert_eq!(bench.root.run_guest_work().unwrap(), 0);
    assert_eq!(bench.waits_for(link), no_kernel);
    bench.guest.start_kernel();
    // A `BRK` in plain sight waits until the kernel has patched itself.
    assert_eq!(bench.root.run_guest_work().unwrap(), 0);
    let too_early = GuestError::TooEarly {
        vm: VM,
        mode: ProbeMode::Brk,
    };
    assert_eq!(bench.waits_for(link), Some(too_early));
    bench.guest.start_programs();
    assert_eq!(bench.root.run_guest_work().unwrap(), 1);
    assert_eq!(bench.waits_for(link), None);
    assert_eq!(bench.link(link).places, 1);
    bench.guest.call(3, 0);
    bench.guest.call(4, 0);
    assert_eq!(bench.link(link).counts.hits, 1);
    assert_eq!(bench.root.run_guest_work().unwrap(), 0);
}

#[test]
fn a_mode_that_the_guest_cannot_see_is_armed_while_it_starts() {
    let mut bench = Bench::new();
    let options = LinkOptions::default().with_mode(ProbeMode::Stage2Fault);
    let link = bench.try_attach(bench.entered, "kprobe:vm1:work_3", &options);
    bench.boot(0);
    write_symbols(&bench.guest.machine, LINKED);
    bench.guest.start_kernel();
    assert_eq!(bench.root.guests().unwrap()[0].stage, GuestStage::Kernel);
    assert_eq!(bench.root.run_guest_work().unwrap(), 1);
    assert_eq!(bench.waits_for(link.unwrap()), None);
}

#[test]
fn a_restart_moves_links_to_where_the_kernel_is_then() {
    let mut bench = Bench::new();
    let named = bench.attach(bench.entered, "kprobe:vm1:work_3");
    let all = bench.attach(bench.entered, "kprobe:vm1:work_*");
    for (boot, slide) in (1..).zip([0x20_0000, 0x60_0000, 0]) {
        bench.boot(slide);
        assert_eq!(
            bench.waits_for(named),
            Some(GuestError::NoKernel { vm: VM })
        );
        assert_eq!(bench.link(all).places, 0);
        assert_eq!(bench.root.guests().unwrap()[0].symbols, None);
        write_symbols(&bench.guest.machine, LINKED + slide);
        bench.guest.start_kernel();
        bench.guest.start_programs();
        assert_eq!(bench.root.run_guest_work().unwrap(), 8);
        let left_out = bench.link(all).guest.unwrap().left_out;
        assert_eq!(left_out.len(), 1);
        assert_eq!(left_out[0].name, "work_0");
        bench.guest.call(3, 0);
        bench.guest.call(5, 0);
        assert_eq!(bench.link(named).counts.hits, boot, "counts carry over");
        assert_eq!(bench.link(all).counts.hits, 2 * boot);
        assert_eq!(bench.link(named).guest.unwrap().retired, boot);
    }
    assert_eq!(bench.root.detach(named).unwrap().hits, 3);
    bench.guest.call(3, 0);
    assert_eq!(bench.link(all).counts.hits, 7);
}

#[test]
fn symbols_count_once_the_kernel_is_where_they_say() {
    let mut bench = Bench::new();
    let link = bench.attach(bench.entered, "kprobe:vm1:work_3");
    bench.boot(0x20_0000);
    // The kernel has not relocated itself.
    write_symbols(&bench.guest.machine, LINKED);
    bench.guest.start_kernel();
    bench.root.run_guest_work().unwrap();
    let reason = bench.waits_for(link);
    assert!(
        matches!(reason, Some(GuestError::Elsewhere { .. })),
        "{reason:?}"
    );
    write_symbols(&bench.guest.machine, LINKED + 0x20_0000);
    bench.guest.start_programs();
    // Nobody searches all the time.
    assert_eq!(bench.root.run_guest_work().unwrap(), 0);
    later(1);
    assert_eq!(bench.root.run_guest_work().unwrap(), 1);
    assert_eq!(bench.waits_for(link), None);
}

#[test]
fn one_link_that_cannot_be_armed_does_not_stop_others() {
    let mut bench = Bench::new();
    let missing = bench.attach(bench.entered, "kprobe:vm1:work_9");
    let refused = bench.attach(bench.entered, "kprobe:vm1:work_0");
    let fine = bench.attach(bench.entered, "kprobe:vm1:work_1");
    bench.boot(0);
    write_symbols(&bench.guest.machine, LINKED);
    bench.guest.start_kernel();
    bench.guest.start_programs();
    assert_eq!(bench.root.run_guest_work().unwrap(), 1);
    assert_eq!(bench.waits_for(fine), None);
    let reason = bench.waits_for(missing).unwrap().to_string();
    assert!(reason.contains("no function `work_9`"), "{reason}");
    let reason = bench.waits_for(refused).unwrap();
    assert!(matches!(reason, GuestError::Probe(_)), "{reason}");
    bench.root.detach(missing).unwrap();
    // What is an error now is not listed.
    for target in ["kprobe:vm1:work_9", "kprobe:vm1:work_0"] {
        let error = bench.try_attach(bench.entered, target, &LinkOptions::default());
        assert!(matches!(error, Err(Error::Guest(_))), "{target}");
    }
    assert_eq!(bench.root.links().unwrap().len(), 2);
}

#[test]
fn modules_have_names_of_their_own() {
    let mut bench = Bench::new();
    bench.boot(0);
    bench.guest.start_kernel();
    bench.guest.start_programs();
    let text = b"ffff800008000080 T work_2\n\
        ffff800008000040 t work_1\n\
        ffff8000080000c0 t work_2\t[disk]\n\
        ffff800008000100 t work_4\t[disk]\n\
        ffff800008000140 t work_5\t[net]\n";
    bench
        .root
        .set_guest_symbols(VM, text, Some(Slide::ZERO))
        .unwrap();
    let places = |target: &str| {
        let options = LinkOptions::default();
        let link = bench.try_attach(bench.entered, target, &options);
        link.map(|link| {
            let places = bench.link(link).places;
            bench.root.detach(link).unwrap();
            places
        })
    };
    let ambiguous = places("kprobe:vm1:work_2");
    let expected = matches!(ambiguous, Err(Error::Guest(GuestError::Ambiguous { .. })));
    assert!(expected, "{ambiguous:?}");
    assert_eq!(places("kprobe:vm1:disk:work_2").unwrap(), 1);
    assert_eq!(places("kprobe:vm1:vmlinux:work_2").unwrap(), 1);
    assert_eq!(places("kprobe:vm1:disk:*").unwrap(), 2);
    assert_eq!(places("kprobe:vm1:[dn]*:work_*").unwrap(), 3);
    assert!(places("kprobe:vm1:net:work_4").is_err());
}

#[test]
fn a_text_of_symbols_from_before_the_slide_is_refused() {
    let mut bench = Bench::new();
    bench.boot(0x20_0000);
    bench.guest.start_kernel();
    bench.guest.start_programs();
    let text = b"ffff800008000040 T work_1\nffff800008000080 T work_2\n";
    bench
        .root
        .set_guest_symbols(VM, text, Some(Slide::ZERO))
        .unwrap();
    let options = LinkOptions::default();
    let error = bench.try_attach(bench.entered, "kprobe:vm1:work_1", &options);
    let is_elsewhere = matches!(error, Err(Error::Guest(GuestError::Elsewhere { .. })));
    assert!(is_elsewhere, "{error:?}");
    let slide = Slide::new(0x20_0000);
    bench.root.set_guest_symbols(VM, text, Some(slide)).unwrap();
    bench.attach(bench.entered, "kprobe:vm1:work_1");
    // Given symbols stay, but not where they do not fit.
    bench.boot(0);
    bench.guest.start_kernel();
    bench.guest.start_programs();
    assert_eq!(bench.root.run_guest_work().unwrap(), 0);
    let link = bench.root.links().unwrap()[0].id;
    let reason = bench.waits_for(link);
    assert!(
        matches!(reason, Some(GuestError::Elsewhere { .. })),
        "{reason:?}"
    );
    bench
        .root
        .set_guest_symbols(VM, text, Some(Slide::ZERO))
        .unwrap();
    assert_eq!(bench.root.run_guest_work().unwrap(), 1);
}

#[test]
fn filters_and_programs_know_the_call_at_its_return() {
    let mut bench = running();
    let options = LinkOptions::default().with_filter("x0 == 3");
    let entered = bench.try_attach(bench.entered, "kprobe:vm1:work_2", &options);
    let filter = "arg0 == 3 && ret == 3 && duration_ns == 0";
    let options = LinkOptions::default().with_filter(filter);
    let returned = bench.try_attach(bench.returned, "kretprobe:vm1:work_2", &options);
    // The first call shows where calls return to.
    bench.guest.call(2, 3);
    assert_eq!(bench.root.run_guest_work().unwrap(), 1);
    for x0 in [2, 3, 4] {
        bench.guest.call(2, x0);
    }
    assert_eq!(bench.link(entered.unwrap()).counts.hits, 2);
    let returned = bench.link(returned.unwrap());
    assert_eq!((returned.counts.hits, returned.counts.missed), (1, 1));
    let bad = LinkOptions::default().with_filter("ret == 1");
    let error = bench.try_attach(bench.entered, "kprobe:vm1:work_2", &bad);
    assert!(matches!(error, Err(Error::Filter(_))), "{error:?}");
}

/// Attaches to a function on another thread, and does `meanwhile` while the guest's memory is searched for it.
fn attach_while(bench: &Bench, meanwhile: impl FnOnce(&Axebpf<MockPlatform>)) -> LinkId {
    let (reached, is_reached) = channel();
    let (tell, go_on) = channel();
    bench.guest.machine.stop_reader(Stop { reached, go_on });
    let (root, entered) = (&bench.root, bench.entered);
    thread::scope(|scope| {
        let attaching = scope.spawn(move || {
            set_mock_cpu_id(2);
            let target = "kprobe:vm1:work_3".parse().unwrap();
            root.attach_to(entered, &target, &LinkOptions::default())
        });
        is_reached.recv().unwrap();
        meanwhile(root);
        tell.send(()).unwrap();
        attaching.join().unwrap().unwrap()
    })
}

/// Returns a guest that runs programs, and whose symbols nobody has looked for.
fn running() -> Bench {
    let mut bench = Bench::new();
    bench.boot(0);
    write_symbols(&bench.guest.machine, LINKED);
    bench.guest.start_kernel();
    bench.guest.start_programs();
    bench
}

#[test]
fn management_goes_on_while_a_guest_is_searched() {
    let bench = running();
    let link = attach_while(&bench, |root| {
        // Where the search holds the lock, this does not return.
        let links = root.links().unwrap();
        assert!(links[0].guest.as_ref().unwrap().waiting.is_some());
        assert_eq!(root.maps().unwrap().len(), 1);
        let other = root.attach_to(
            bench.entered,
            &"kprobe:vm1:0xffff800008000080".parse().unwrap(),
            &LinkOptions::default(),
        );
        root.detach(other.unwrap()).unwrap();
    });
    assert_eq!(bench.waits_for(link), None);
}

#[test]
fn a_link_that_goes_while_it_is_armed_leaves_nothing() {
    let bench = running();
    attach_while(&bench, |root| {
        root.detach(root.links().unwrap()[0].id).unwrap();
    });
    assert!(bench.root.links().unwrap().is_empty());
    assert!(bench.guest.probes.links().is_empty());
}
