//! Probes on returns.

use std::sync::{Arc, Mutex};

use axebpf_hprobe::native::{HprobeLink, PtRegs, attach, real_return_address};
use axebpf_hprobe::{HprobeHandler, HprobeHit, LinkOptions, ProbePoint};
use axebpf_platform::HostVirt;

use crate::code::{address, native_call, native_inner, native_outer, native_sum};
use crate::process::alone;
use crate::{Ignore, Recorder};

fn returning(function: HostVirt) -> ProbePoint {
    ProbePoint::returning(function).unwrap()
}

#[test]
fn recursion_returns_in_the_opposite_order() {
    let _alone = alone();
    let recorder = Arc::new(Recorder::default());
    let function = address!(native_sum);
    let options = LinkOptions::default();
    let link = attach(&[returning(function)], recorder.clone(), options).unwrap();
    assert_eq!(native_sum(4), 10);
    let hits = recorder.take();
    let values: Vec<_> = hits.iter().map(|(regs, _)| regs.return_value()).collect();
    assert_eq!(values, [0, 1, 3, 6, 10]);
    let data: Vec<_> = hits.iter().map(|(_, data)| *data).collect();
    assert_eq!(data, [4, 3, 2, 1, 0].map(Some));
    // All but the outermost return into the function itself.
    let returned_to = |regs: &PtRegs| regs.rip.wrapping_sub(function.get());
    assert!(hits[..4].iter().all(|(regs, _)| returned_to(regs) < 64));
    assert!(returned_to(&hits[4].0) >= 64);
    assert_eq!((link.hits(), link.missed()), (5, 0));
    drop(link);

    let options = LinkOptions::default().with_maxactive(2);
    let link = attach(&[returning(function)], recorder.clone(), options).unwrap();
    assert_eq!(native_sum(4), 10);
    assert_eq!((link.hits(), link.missed()), (2, 3));
    let values: Vec<_> = recorder.take().iter().map(|(regs, _)| regs.rax).collect();
    assert_eq!(values, [6, 10]);
    assert_eq!(native_sum(1), 1);
    assert_eq!((link.hits(), link.missed()), (4, 3));
}

#[test]
fn tail_calls_return_through_all_probes() {
    let _alone = alone();
    let functions = [address!(native_outer), address!(native_inner)];
    let recorders: [Arc<Recorder>; 3] = Default::default();
    let attach = |function, recorder: &Arc<Recorder>| -> HprobeLink {
        attach(
            &[returning(function)],
            recorder.clone(),
            LinkOptions::default(),
        )
        .unwrap()
    };
    let links = [
        attach(functions[0], &recorders[0]),
        attach(functions[1], &recorders[1]),
        attach(functions[1], &recorders[2]),
    ];
    assert_eq!(native_outer(20), 42);
    let hits = recorders.each_ref().map(|recorder| recorder.take());
    // All of them return to here, which none of them hides from the others.
    let home = hits[0][0].0.rip;
    for hit in &hits {
        assert_eq!(hit.len(), 1);
        assert_eq!((hit[0].0.rip, hit[0].0.rax), (home, 42));
    }
    assert_eq!(native_inner(4), 8);
    assert_eq!(
        links.map(|link| (link.hits(), link.missed())),
        [(1, 0), (2, 0), (2, 0)]
    );
}

/// The link that is detached while its function runs.
static IN_FLIGHT: Mutex<Option<HprobeLink>> = Mutex::new(None);

extern "C" fn detach(_argument: u64) {
    let link = IN_FLIGHT.lock().unwrap().take().unwrap();
    link.detach().unwrap();
    assert_eq!((link.hits(), link.missed()), (0, 0));
}

#[test]
fn a_function_whose_link_is_gone_returns_home() {
    let _alone = alone();
    let points = [returning(address!(native_call))];
    let link = attach(&points, Arc::new(Ignore), LinkOptions::default()).unwrap();
    *IN_FLIGHT.lock().unwrap() = Some(link);
    assert_eq!(native_call(detach, 5), 5);
    // The trampoline is not in the way of the next one.
    let link = attach(&points, Arc::new(Ignore), LinkOptions::default()).unwrap();
    assert_eq!(native_call(nothing, 6), 6);
    assert_eq!((link.hits(), link.missed()), (1, 0));
}

extern "C" fn nothing(_argument: u64) {}

/// What an unwinder finds at the entry of the function: where its return address lies, and what is there.
#[derive(Default)]
struct Unwinder(Mutex<Vec<(u64, u64)>>);

impl HprobeHandler<PtRegs> for Unwinder {
    fn hit(&self, hit: &HprobeHit<'_, PtRegs>) {
        // SAFETY: The stack pointer of a function that is being entered points to its return address.
        let found = unsafe { *(hit.regs.rsp as *const u64) };
        self.0.lock().unwrap().push((hit.regs.rsp, found));
    }
}

#[test]
fn unwinders_find_real_return_addresses() {
    let _alone = alone();
    // The outer function is armed when the inner one, at the same stack pointer, is entered.
    let unwinder = Arc::new(Unwinder::default());
    let entry = ProbePoint::entry(address!(native_inner), 0).unwrap();
    let inner = attach(&[entry], unwinder.clone(), LinkOptions::default()).unwrap();
    let recorder = Arc::new(Recorder::default());
    let probes = [returning(address!(native_outer))];
    let find = |unwinder: &Unwinder| *unwinder.0.lock().unwrap().last().unwrap();
    assert_eq!(native_outer(1), 4);
    let (_, home) = find(&unwinder);
    assert_eq!(real_return_address(home, 0), None);
    let outer = attach(&probes, recorder.clone(), LinkOptions::default()).unwrap();
    assert_eq!(native_outer(1), 4);
    let (_, found) = find(&unwinder);
    let real = recorder.take()[0].0.rip;
    assert_ne!(found, real, "the return address is replaced");
    drop((outer, inner));
}

#[test]
fn what_a_stack_leaves_behind_is_forgotten() {
    let _alone = alone();
    let stack = HostVirt::new(0)..HostVirt::new(0x1000);
    assert_eq!(axebpf_hprobe::native::forget_stack(&stack), 0);
}
