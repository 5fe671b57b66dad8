//! The guest program, and watching it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axebpf_guestprobe::{
    Entered, GuestLinkId, GuestProbe, GuestProbeError, GuestProbeHandler, GuestProbeHit, ProbeKind,
    ProbeMode, Stage1,
};
use axebpf_platform::GuestVirt;

use crate::asm::*;
use crate::machine::{Model, VM};
use crate::tables;
use crate::vcpu::VECTORS;

/// Where the loop is that calls the functions.
pub(crate) const MAIN: u64 = 0x1000;
/// `mix`, which has a frame.
pub(crate) const MIX: u64 = 0x2000;
/// `leaf`, in the same page.
pub(crate) const LEAF: u64 = 0x2040;
/// `guarded`, which signs its return address.
pub(crate) const GUARDED: u64 = 0x2080;
/// Where each vCPU leaves its result.
pub(crate) const RESULTS: u64 = 0x8000;

/// How often each vCPU goes around.
pub(crate) const ROUNDS: u16 = 60;

/// Every mode.
pub(crate) const MODES: [ProbeMode; 4] = [
    ProbeMode::HiddenBrk,
    ProbeMode::Brk,
    ProbeMode::Hvc,
    ProbeMode::Stage2Fault,
];

fn place(model: &Model, at: u64, words: &[u32]) {
    for (index, word) in words.iter().enumerate() {
        model
            .machine
            .store(at + 4 * index as u64, &word.to_le_bytes());
    }
}

/// Loads the program and starts all vCPUs in it.
pub(crate) fn load(model: &Model, vcpus: usize) {
    // x19 counts down, x20 is the result, x21 is where it goes.
    let main = [
        movz(20, 0x1234),
        bl(MAIN + 4, MIX),
        bl(MAIN + 8, LEAF),
        bl(MAIN + 12, GUARDED),
        sub_imm(19, 19, 1),
        cbnz(19, MAIN + 20, MAIN + 4),
        str(20, 21, 0),
        // hvc #0 ends the vCPU.
        0xd400_0002,
    ];
    place(model, MAIN, &main);
    let mix = [
        PUSH_FRAME,
        add_imm(20, 20, 7),
        eor(20, 20, 20, 3),
        bl(MIX + 12, LEAF),
        POP_FRAME,
        RET,
    ];
    place(model, MIX, &mix);
    place(model, LEAF, &[eor(20, 20, 19, 11), RET]);
    let guarded = [
        PACIASP,
        PUSH_FRAME,
        ldr(9, 21, 8),
        add_imm(9, 9, 1),
        str(9, 21, 8),
        POP_FRAME,
        AUTIASP,
        RET,
    ];
    place(model, GUARDED, &guarded);
    // Exceptions: a BRK is skipped, an interrupt is counted and does nothing.
    place(model, VECTORS + 0x200, &[ERET]);
    place(model, VECTORS + 0x280, &[ERET]);
    tables::build(model);
    start(model, vcpus);
}

/// Starts all vCPUs in the program that is there.
pub(crate) fn start(model: &Model, vcpus: usize) {
    for id in 0..vcpus {
        let mut vcpu = model.vcpu(id);
        tables::enable(&mut vcpu);
        let result = RESULTS + 0x40 * id as u64;
        model.machine.store(result, &[0; 16]);
        vcpu.regs.regs[19] = ROUNDS.into();
        vcpu.regs.regs[21] = result;
        vcpu.start(MAIN);
    }
}

/// Returns what the vCPUs have computed.
pub(crate) fn results(model: &Model, vcpus: usize) -> Vec<(u64, u64)> {
    (0..vcpus as u64)
        .map(|id| {
            let at = RESULTS + 0x40 * id;
            (model.read_word(at), model.read_word(at + 8))
        })
        .collect()
}

/// Returns what they compute without any probe.
pub(crate) fn expected(vcpus: usize) -> Vec<(u64, u64)> {
    let mut x20 = 0x1234_u64;
    for x19 in (1..=u64::from(ROUNDS)).rev() {
        x20 = x20.wrapping_add(7);
        x20 ^= x20 << 3;
        x20 ^= x19 << 11;
        x20 ^= x19 << 11;
    }
    vec![(x20, ROUNDS.into()); vcpus]
}

/// A handler that counts, and checks that hits are where they belong.
#[derive(Default)]
pub(crate) struct Counter {
    pub(crate) hits: AtomicU64,
    pub(crate) at: AtomicU64,
    pub(crate) last_lr: AtomicU64,
    /// What the entry of the last return has left.
    pub(crate) entered: Mutex<Option<Entered>>,
}

impl Counter {
    pub(crate) fn count(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }
}

impl GuestProbeHandler for Counter {
    fn hit(&self, hit: &GuestProbeHit<'_>) {
        self.hits.fetch_add(1, Ordering::Relaxed);
        self.at.store(hit.regs.pc, Ordering::Relaxed);
        self.last_lr.store(hit.regs.regs[30], Ordering::Relaxed);
        *self.entered.lock().unwrap() = hit.entered;
    }
}

/// Attaches a counter.
pub(crate) fn attach(
    model: &Model,
    at: u64,
    kind: ProbeKind,
    mode: ProbeMode,
) -> Result<(GuestLinkId, Arc<Counter>), GuestProbeError> {
    let counter = Arc::new(Counter::default());
    let probe = GuestProbe::new(VM, GuestVirt::new(at), kind, mode)?;
    let stage1 = Stage1 {
        tcr: 16 << 16 | 16,
        ..Stage1::default()
    };
    let link = model.probes.attach(&stage1, &probe, counter.clone())?;
    Ok((link, counter))
}

/// Returns how often `at` was executed on all vCPUs.
pub(crate) fn executed(model: &Model, vcpus: usize, at: u64) -> u64 {
    (0..vcpus)
        .map(|id| model.vcpu(id).executed.get(&at).copied().unwrap_or(0))
        .sum()
}
