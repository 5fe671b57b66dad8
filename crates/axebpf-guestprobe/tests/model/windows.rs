//! How pages whose points are stage-2 faults are run.

use axebpf_guestprobe::{LinkState, ProbeKind, ProbeMode};

use crate::asm::*;
use crate::hidden::{HALT, OTHER, place, run_other};
use crate::machine::Model;
use crate::program::attach;

/// The page of the probed function.
const TEXT: u64 = 0x6000;
const ROUNDS: u16 = 50;

/// Calls what is at `text` again and again.
fn call(model: &Model, text: u64) {
    let words = [
        movz(4, ROUNDS),
        bl(OTHER + 4, text),
        sub_imm(4, 4, 1),
        cbnz(4, OTHER + 12, OTHER + 4),
        HALT,
    ];
    run_other(model, 0, 0, &words);
}

#[test]
fn a_call_of_a_function_costs_two_exits() {
    // The first instruction is simulated, or stepped, which is an exit of its own.
    for (first, exits_of_a_call) in [(NOP, 2), (eor(6, 6, 7, 1), 3)] {
        let model = Model::new(1, 3, 0);
        place(&model, TEXT, &[first, NOP, NOP, RET]);
        let (link, counter) =
            attach(&model, TEXT, ProbeKind::Entry, ProbeMode::Stage2Fault).unwrap();
        call(&model, TEXT);
        assert_eq!(counter.count(), ROUNDS.into());
        let counts = model.probes.counts(link).unwrap();
        assert_eq!(counts.retired, ROUNDS.into());
        // The last one ends the program.
        assert_eq!(model.vcpu(0).exits, exits_of_a_call * u64::from(ROUNDS) + 1);
        assert_eq!(
            model.probes.link_state(link),
            Ok(LinkState::Partly {
                debugging: 0,
                windows: Some(ROUNDS.into())
            })
        );
        model.probes.detach(link).unwrap();
        assert!(model.is_clean());
    }
}

#[test]
fn points_beside_each_other_are_all_seen() {
    let model = Model::new(1, 4, 0);
    place(&model, TEXT, &[NOP, NOP, NOP, RET]);
    let links = [0, 4, 8].map(|offset| {
        attach(
            &model,
            TEXT + offset,
            ProbeKind::Entry,
            ProbeMode::Stage2Fault,
        )
        .unwrap()
    });
    call(&model, TEXT);
    for (link, counter) in links {
        assert_eq!(counter.count(), ROUNDS.into());
        model.probes.detach(link).unwrap();
    }
    assert!(model.is_clean());
}
