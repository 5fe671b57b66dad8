//! What the guest of a measurement is to do next, and what EL2 executes meanwhile.
//!
//! The guest asks for a job with a hypercall, does it, and asks again. What EL2 has executed from the one answer to the
//! next question is one round of it.

use axebpf::platform::{GuestVirt, VmId};

use super::super::{lock::Lock, pmu, sched, vcpu::Vcpu, vm::Vm};

/// The hypercall that asks for a job. Its arguments are where the [`Functions`] are; its results are the number of the
/// [`Work`], how often it is to be done, and its address.
pub(crate) const NEXT: u64 = 0xc600_0010;
/// The immediate of the `HVC` to which the answer is to return.
pub(crate) const NOTHING: u16 = 0xbe9c;

/// How often a job is done. Whatever else a CPU does only adds to a round, so the least of them is what it takes.
pub(super) const ROUNDS: u32 = 16;

/// How often the guest looks for a job, and the operator for its end.
const POLL_NS: u64 = 500_000;

/// Where the guest has its functions that can be probed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Functions {
    /// Its first instruction pushes a frame record.
    pub(super) store: GuestVirt,
    /// Its first instruction is a hint.
    pub(super) hint: GuestVirt,
    /// Its first instruction cannot be simulated.
    pub(super) add: GuestVirt,
}

/// What the guest does.
#[derive(Clone, Copy, Debug)]
pub(super) enum Work {
    /// An `HVC` to which the answer is to return.
    Trap,
    /// A call of a function.
    Call(GuestVirt),
    /// A load from a device.
    Load(GuestVirt),
}

/// What the guest does, and how often in each round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Job {
    pub(super) work: Work,
    pub(super) times: u64,
}

/// What the rounds of a job have come to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rounds {
    /// The instructions of the shortest one.
    pub(super) least: u64,
    /// How many were as short.
    pub(super) agreeing: u32,
}

/// What passes between the operator's task and the vCPU.
struct Desk {
    vm: Option<VmId>,
    functions: Option<Functions>,
    job: Option<Job>,
    left: u32,
    began: Option<u64>,
    rounds: Rounds,
}

static DESK: Lock<Desk> = Lock::new(Desk {
    vm: None,
    functions: None,
    job: None,
    left: 0,
    began: None,
    rounds: Rounds::NONE,
});

impl Rounds {
    const NONE: Self = Self {
        least: u64::MAX,
        agreeing: 0,
    };

    fn add(&mut self, instructions: u64) {
        if instructions < self.least {
            *self = Self {
                least: instructions,
                agreeing: 0,
            };
        }
        self.agreeing += u32::from(instructions == self.least);
    }
}

/// Answers the hypercall of `vcpu`, as soon as there is a job; `None` if it is no measurement's, or its VM stops.
pub(crate) fn next(vm: &Vm, vcpu: &Vcpu) -> Option<u64> {
    let now = pmu::read();
    let [store, hint, add] = [1, 2, 3].map(|number| GuestVirt::new(vcpu.register(number)));
    {
        let mut desk = DESK.lock();
        if desk.vm != Some(vm.id()) {
            return None;
        }
        desk.functions = Some(Functions { store, hint, add });
        if let Some(began) = desk.began.take() {
            desk.rounds.add(pmu::since(began, now));
            desk.left -= 1;
        }
    }
    while !vm.is_stopping() {
        if let Some(job) = begin() {
            let (number, address) = match job.work {
                Work::Trap => (0, 0),
                Work::Call(function) => (1, function.get()),
                Work::Load(register) => (2, register.get()),
            };
            vcpu.set_register(1, job.times);
            vcpu.set_register(2, address);
            return Some(number);
        }
        sched::sleep(POLL_NS);
    }
    None
}

/// Begins a round, if one is left.
fn begin() -> Option<Job> {
    let mut desk = DESK.lock();
    let job = desk.job.filter(|_| desk.left > 0)?;
    desk.began = Some(pmu::read());
    Some(job)
}

/// Makes VM `vm` the one whose guest is given jobs.
pub(super) fn open(vm: VmId) {
    let mut desk = DESK.lock();
    desk.vm = Some(vm);
    desk.functions = None;
    desk.job = None;
    desk.left = 0;
    desk.began = None;
}

/// Gives no more jobs.
pub(super) fn close() {
    DESK.lock().vm = None;
}

/// Returns where the guest has its functions, as soon as it runs; `None` if it does not within reasonable time.
pub(super) fn functions() -> Option<Functions> {
    poll(|| DESK.lock().functions)
}

/// Has the guest do `job`, [`ROUNDS`] times; `None` if it does not within reasonable time.
pub(super) fn measure(job: Job) -> Option<Rounds> {
    {
        let mut desk = DESK.lock();
        desk.job = Some(job);
        desk.rounds = Rounds::NONE;
        desk.left = ROUNDS;
    }
    let rounds = poll(|| {
        let desk = DESK.lock();
        (desk.left == 0).then_some(desk.rounds)
    });
    DESK.lock().job = None;
    rounds
}

/// Waits until `get` returns something.
fn poll<T>(get: impl Fn() -> Option<T>) -> Option<T> {
    const ATTEMPTS: u32 = 10_000;
    (0..ATTEMPTS).find_map(|_| {
        let found = get();
        if found.is_none() {
            sched::sleep(POLL_NS);
        }
        found
    })
}
