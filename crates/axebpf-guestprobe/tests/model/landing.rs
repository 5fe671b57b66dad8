//! Landing pads of indirect branches, which a trap has to be if it takes the place of one.

use std::sync::atomic::Ordering;

use axebpf_guestprobe::{GuestProbeError, ProbeKind, ProbeMode};
use axebpf_platform::GuestVirt;

use crate::asm::*;
use crate::machine::Model;
use crate::program::attach;

/// Where the instruction is, with nothing else in its page.
const CODE: u64 = 0x5000;

/// All there are: `BTI c`, `BTI j`, `BTI jc`, `PACIASP` and `PACIBSP`.
const PADS: [u32; 5] = [0xd503_245f, 0xd503_249f, 0xd503_24df, PACIASP, 0xd503_237f];
/// What no indirect branch lands on: `BTI` without an operand, `PACIA1716`, and the usual.
const OTHERS: [u32; 5] = [0xd503_241f, 0xd503_211f, NOP, PUSH_FRAME, RET];

const MODES: [ProbeMode; 4] = [
    ProbeMode::HiddenBrk,
    ProbeMode::Brk,
    ProbeMode::Hvc,
    ProbeMode::Stage2Fault,
];

/// Attaches a probe in `mode` at `word`.
fn attempt(model: &Model, word: u32, mode: ProbeMode) -> Result<(), GuestProbeError> {
    model.machine.store(CODE, &word.to_le_bytes());
    let (link, _) = attach(model, CODE, ProbeKind::Entry, mode)?;
    model.probes.detach(link).map(drop)
}

#[test]
fn hvc_takes_the_place_of_no_landing_pad() {
    let model = Model::new(1, 2, 0);
    let has = |branch_targets| {
        let flag = &model.machine.has_branch_targets;
        flag.store(branch_targets, Ordering::Relaxed);
    };
    for mode in MODES {
        for word in PADS {
            has(true);
            let expected = match mode {
                ProbeMode::Hvc => Err(GuestProbeError::LandingPad {
                    at: GuestVirt::new(CODE),
                    word,
                }),
                _ => Ok(()),
            };
            assert_eq!(attempt(&model, word, mode), expected, "{mode} {word:#x}");
            // To other processors they are hints.
            has(false);
            assert_eq!(attempt(&model, word, mode), Ok(()), "{mode} {word:#x}");
        }
        has(true);
        for word in OTHERS {
            assert_eq!(attempt(&model, word, mode), Ok(()), "{mode} {word:#x}");
        }
    }
    assert!(model.is_clean());
}
