//! What each vCPU does for ever.

use crate::{
    device,
    hypercall::{self, Note},
    interrupt, memory, start,
};

/// Runs the work loop of `vcpu`.
pub(crate) fn run(vcpu: u32) -> ! {
    let mut round = 0;
    loop {
        let seed = round << 1 | u64::from(vcpu);
        hypercall::report(seed, checksum(seed));
        if device::echo(vcpu, seed as u32).is_err() {
            hypercall::note(Note::BadDevice);
        }
        if round % 8 == 0 {
            device::ring_doorbell();
        }
        if memory::touch(vcpu, round).is_err() {
            hypercall::note(Note::BadMemory);
        }
        if round % 4 == 0 {
            interrupt::send_ipi(vcpu);
        }
        start::wait_for_interrupt();
        round += 1;
    }
}

/// Computes what the hypervisor checks: FNV-1a over a thousand steps of a linear congruential generator.
fn checksum(seed: u64) -> u64 {
    let mut state = seed;
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for _ in 0..1000 {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        hash = (hash ^ (state >> 56)).wrapping_mul(0x100_0000_01b3);
    }
    hash
}
