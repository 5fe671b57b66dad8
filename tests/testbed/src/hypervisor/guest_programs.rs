//! Programs at the functions of guests: which guests there are, told to axebpf.

use alloc::{boxed::Box, sync::Arc};

use axebpf::{
    GuestSetup,
    platform::{CpuId, GuestPhys, VmId},
};
use spin::Once;

use super::{console::println, sched, task::Task, timer, tracing, vm::Vm};

/// How often links are attached that wait for a guest, and return sites armed that hits have asked for.
const WORK_NS: u64 = 4_000_000;

/// Opens the guest of `vm` to programs. It need not have been booted.
pub(crate) fn open(vm: &Vm) {
    let Some(axebpf) = tracing::axebpf() else {
        return;
    };
    let memory = vm.memory();
    let memory = GuestPhys::new(memory.start)..GuestPhys::new(memory.end);
    let setup = GuestSetup::new(vm.probes().clone(), memory);
    match axebpf.open_guest(setup) {
        Ok(()) => start_work(),
        Err(error) => println!("vm {}: no programs on its guest: {error}", vm.id()),
    }
}

/// Says that the guest of VM `id` is about to be started anew: its programs wait for the kernel that comes up.
pub(crate) fn restarted(id: VmId) {
    let restarted = tracing::axebpf().map(|axebpf| axebpf.guest_restarted(id));
    if let Some(Err(error)) = restarted {
        println!("vm {id}: {error}");
    }
}

/// Starts the task that does axebpf's work for guests, once.
fn start_work() {
    static STARTED: Once<()> = Once::new();
    STARTED.call_once(|| {
        match Task::new("guest-programs".into(), CpuId::new(0), None, Box::new(work)) {
            Some(task) => sched::spawn(Arc::new(task)),
            None => println!("no memory left for the task that attaches programs to guests"),
        }
    });
}

fn work() {
    let mut complaints = Complaints::default();
    loop {
        sched::sleep(WORK_NS);
        if let Some(axebpf) = tracing::axebpf()
            && let Err(error) = axebpf.run_guest_work()
        {
            complaints.add(&error);
        }
    }
}

/// What is said of work that fails. A guest can make it fail each time, and is not to fill the operator's console.
#[derive(Default)]
struct Complaints {
    /// When the next one is said.
    next_ns: u64,
    /// How many were not said since the last one.
    kept_back: u64,
}

impl Complaints {
    /// The time between two of them.
    const PAUSE_NS: u64 = 10_000_000_000;

    fn add(&mut self, error: &axebpf::Error) {
        let now_ns = timer::now_ns();
        if now_ns < self.next_ns {
            self.kept_back += 1;
            return;
        }
        println!("a return site is not armed: {error}");
        if self.kept_back != 0 {
            println!("  {} more since the last time", self.kept_back);
        }
        *self = Self {
            next_ns: now_ns + Self::PAUSE_NS,
            kept_back: 0,
        };
    }
}

/// Detaches the programs from the guest of VM `id`, which is about to go.
pub(crate) fn close(id: VmId) {
    let closed = tracing::axebpf().map(|axebpf| axebpf.close_guest(id));
    if let Some(Err(error)) = closed {
        println!("vm {id}: {error}");
    }
}
