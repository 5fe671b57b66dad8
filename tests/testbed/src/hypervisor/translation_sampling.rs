//! `vm check-translation`: the walker against the processor on a guest that goes about its work.

use core::sync::atomic::{AtomicU64, Ordering};

use axebpf::platform::{GuestVirt, VmId};
use axebpf::probe::kprobe::{Access, Stage1};

use super::{
    console::println,
    lock::Lock,
    sched, timer,
    translation_check::{self, BATCH, Tally},
    translation_oracle,
    vcpu::Vcpu,
    vm::Vm,
};

/// How long a guest may take to leave often enough.
const PATIENCE_NS: u64 = 20_000_000_000;
/// `TCR_EL1.HA` and `HD`: asking the processor must not make it change descriptors.
const MANAGES_FLAGS: u64 = 3 << 39;

/// How many addresses are still to be checked, on the vCPUs of [`CHOSEN`].
static WANTED: AtomicU64 = AtomicU64::new(0);
static CHOSEN: AtomicU64 = AtomicU64::new(0);
static TALLY: Lock<Tally> = Lock::new(Tally {
    checked: 0,
    mapped: 0,
    outside: 0,
    wrong: 0,
    closed: 0,
    undecided: 0,
});

/// Checks `count` addresses at the next exits of the vCPUs of `vm`, and says what came of it.
pub(crate) fn run(vm: &Vm, count: u64) {
    *TALLY.lock() = Tally::default();
    CHOSEN.store(vm.id().get().into(), Ordering::Relaxed);
    WANTED.store(count, Ordering::Release);
    let end = timer::now_ns() + PATIENCE_NS;
    while WANTED.load(Ordering::Acquire) != 0 && timer::now_ns() < end {
        sched::sleep(1_000_000);
    }
    WANTED.store(0, Ordering::Release);
    let tally = *TALLY.lock();
    println!(
        "{} checked, {} mapped, {} outside, {} wrong; {} undecided",
        tally.checked, tally.mapped, tally.outside, tally.wrong, tally.undecided
    );
}

/// Checks some addresses if that was asked for. Called by the vCPU's own task after an exit.
pub(crate) fn at_exit(vm: &Vm, vcpu: &Vcpu) {
    let left = WANTED.load(Ordering::Acquire);
    if left == 0 || vm.id() != VmId::new(CHOSEN.load(Ordering::Relaxed) as u32) {
        return;
    }
    let mut stage1 = translation_oracle::loaded();
    if stage1.sctlr & 1 == 0 {
        return;
    }
    stage1.tcr &= !MANAGES_FLAGS;
    let addresses = sample(vm, vcpu, &stage1, left);
    let mut tally = Tally::default();
    translation_check::check(vm, vcpu, &stage1, &addresses, &mut tally);
    TALLY.lock().add(&tally);
    let after = left.saturating_sub(tally.asked());
    // Another vCPU may have counted at the same time; then some more are checked than were asked for.
    let _ = WANTED.compare_exchange(left, after, Ordering::AcqRel, Ordering::Relaxed);
}

/// Chooses addresses: what is in the registers, where that points to, and around it.
fn sample(vm: &Vm, vcpu: &Vcpu, stage1: &Stage1, seed: u64) -> [u64; BATCH] {
    let mut random = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let (x, pc) = (vcpu.registers().x, vcpu.pc());
    let known = translation_oracle::pointers();
    let mut addresses = [0; BATCH];
    for (index, address) in addresses.iter_mut().enumerate() {
        let choice = next();
        let base = match choice % 4 {
            0 => pc,
            1 => x[(choice >> 8) as usize % 31],
            2 => known[(choice >> 8) as usize % known.len()],
            _ => pointee(vm, stage1, x[(choice >> 8) as usize % 31]),
        };
        *address = match index % 4 {
            0 => base,
            // Nearby, somewhat further away, and anywhere in the same half.
            1 => base.wrapping_add(next() % (2 << 20)).wrapping_sub(1 << 20),
            2 => base.wrapping_add(next() % (1 << 30)).wrapping_sub(1 << 29),
            _ => base ^ next() >> (17 + choice % 24),
        };
    }
    addresses
}

/// Returns what is at `address`, or the address itself where nothing can be read.
fn pointee(vm: &Vm, stage1: &Stage1, address: u64) -> u64 {
    let machine = &**vm.probes().machine();
    let at = GuestVirt::new(address & !7);
    let Ok(found) = stage1.translate(machine, at, Access::Data) else {
        return address;
    };
    let mut bytes = [0; 8];
    match machine.read_guest(found.at, &mut bytes) {
        Ok(()) => u64::from_le_bytes(bytes),
        Err(_) => address,
    }
}
