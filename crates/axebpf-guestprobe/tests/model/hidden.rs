//! Pages whose probes the guest does not see.

use axebpf_guestprobe::{LinkState, ProbeKind, ProbeMode};
use proptest::prelude::*;

use crate::asm::*;
use crate::machine::Model;
use crate::program::*;
use crate::vcpu::VECTORS;

/// Where the second program is.
pub(crate) const OTHER: u64 = 0x5000;
/// Where it has what it stores.
const TARGET: u64 = 0x8800;

pub(crate) fn place(model: &Model, at: u64, words: &[u32]) {
    for (index, word) in words.iter().enumerate() {
        let at = at + 4 * index as u64;
        model.machine.store(at, &word.to_le_bytes());
    }
}

/// Makes vCPU `id` run `words` with x1 the address of the text, and returns when all vCPUs have halted.
pub(crate) fn run_other(model: &Model, id: usize, text: u64, words: &[u32]) {
    place(model, OTHER, words);
    {
        let mut vcpu = model.vcpu(id);
        vcpu.regs.regs[1] = text;
        vcpu.regs.regs[2] = TARGET;
        vcpu.start(OTHER);
    }
    model.run();
}

pub(crate) const HALT: u32 = 0xd400_0002;

#[test]
fn the_guest_reads_its_own_text() {
    let model = Model::new(2, 9, 3);
    load(&model, 1);
    let (link, _) = attach(&model, MIX, ProbeKind::Entry, ProbeMode::HiddenBrk).unwrap();
    let missed = executed(&model, 1, MIX) - model.probes.counts(link).unwrap().retired;
    run_other(&model, 1, MIX, &[ldr(3, 1, 0), str(3, 2, 0), HALT]);
    let read = model.read_word(TARGET) as u32;
    assert_eq!(read, PUSH_FRAME);
    assert_eq!(model.probes.statistics().reads, 1);
    assert_eq!(results(&model, 1), expected(1));
    let counts = model.probes.detach(link).unwrap();
    assert_eq!(counts.retired + missed, ROUNDS.into());
    // What is in plain sight is read.
    let (_link, _) = attach(&model, MIX, ProbeKind::Entry, ProbeMode::Brk).unwrap();
    run_other(&model, 1, MIX, &[ldr(3, 1, 0), str(3, 2, 0), HALT]);
    assert_ne!(model.read_word(TARGET) as u32, PUSH_FRAME);
}

#[test]
fn the_guest_rewrites_a_probed_instruction_and_the_probe_survives() {
    let model = Model::new(2, 4, 2);
    load(&model, 1);
    let (link, counter) = attach(&model, MIX + 4, ProbeKind::Entry, ProbeMode::HiddenBrk).unwrap();
    let missed = executed(&model, 1, MIX + 4) - model.probes.counts(link).unwrap().retired;
    model.run_for(300);
    // The same instruction with another immediate, and back before anybody can have run it: x20 stays what is
    // expected only if the first is never executed, so it is one that changes nothing either: x22 is not used.
    let replaced = add_imm(22, 22, 7);
    let words = [
        movz(3, replaced as u16),
        movk16(3, (replaced >> 16) as u16),
        str_w(3, 1, 4),
        HALT,
    ];
    let hits_before = counter.count();
    run_other(&model, 1, MIX, &words);
    assert_eq!(model.read_word(MIX) >> 32, u64::from(replaced));
    let statistics = model.probes.statistics();
    assert!(statistics.opened >= 1 && statistics.closed >= 1);
    let counts = model.probes.counts(link).unwrap();
    assert_eq!(counts.hits + missed, executed(&model, 1, MIX + 4));
    assert!(counts.hits > hits_before);
    // It was displaced as what it is now.
    assert!(model.vcpu(0).regs.regs[22] > 0);
    assert_eq!(model.probes.link_state(link), Ok(LinkState::Armed));
    model.probes.detach(link).unwrap();
    assert_eq!(model.read_word(MIX) >> 32, u64::from(replaced));
    assert!(model.is_clean());
}

#[test]
fn a_probe_waits_while_there_is_an_instruction_that_cannot_be_displaced() {
    let model = Model::new(1, 4, 0);
    load(&model, 1);
    model.vcpu(0).halted = true;
    // A trap of the guest's own ends its vCPU.
    place(&model, VECTORS + 0x200, &[HALT]);
    let (link, counter) = attach(&model, LEAF, ProbeKind::Entry, ProbeMode::HiddenBrk).unwrap();
    let write = |word: u32| {
        let words = [
            movz(3, word as u16),
            movk16(3, (word >> 16) as u16),
            str_w(3, 1, 0),
            bl(OTHER + 12, LEAF + 4),
            HALT,
        ];
        run_other(&model, 0, LEAF, &words);
    };
    // A kprobe of the guest's own.
    write(GUEST_BRK);
    let state = model.probes.link_state(link).unwrap();
    assert!(matches!(
        state,
        LinkState::Suspended {
            word: GUEST_BRK,
            why: Some(_)
        }
    ));
    // The guest meets its own trap, and none of ours.
    run_other(&model, 0, LEAF, &[bl(OTHER, LEAF), HALT]);
    assert_eq!(model.vcpu(0).delivered.last().map(|d| d.1), Some(LEAF));
    assert_eq!(counter.count(), 0);
    write(NOP);
    assert_eq!(model.probes.link_state(link), Ok(LinkState::Armed));
    run_other(&model, 0, LEAF, &[bl(OTHER, LEAF), HALT]);
    assert_eq!(counter.count(), 1);
}

#[test]
fn text_that_writes_its_own_page_gets_on() {
    for mode in MODES {
        let model = Model::new(2, 11, 2);
        load(&model, 1);
        let own = MIX + 0x200;
        // Nobody executes what is written.
        place(
            &model,
            own,
            &[str_w(3, 1, 0x400), ldr(3, 1, 0x400), str(3, 2, 0), HALT],
        );
        let (_a, _) = attach(&model, MIX, ProbeKind::Entry, mode).unwrap();
        {
            let mut vcpu = model.vcpu(1);
            vcpu.regs.regs[1] = MIX;
            vcpu.regs.regs[2] = TARGET;
            vcpu.regs.regs[3] = 0x1234_5678;
            vcpu.start(own);
        }
        model.run();
        assert_eq!(model.read_word(TARGET) as u32, 0x1234_5678, "{mode}");
        assert_eq!(results(&model, 1), expected(1));
    }
}

#[test]
fn a_probed_store_that_writes_a_hidden_page_is_seen() {
    let model = Model::new(1, 3, 0);
    load(&model, 1);
    model.vcpu(0).halted = true;
    let (_a, leaf) = attach(&model, LEAF, ProbeKind::Entry, ProbeMode::HiddenBrk).unwrap();
    place(
        &model,
        OTHER,
        &[
            movz(3, NOP as u16),
            movk16(3, (NOP >> 16) as u16),
            str_w(3, 1, 0),
            bl(OTHER + 12, LEAF),
            HALT,
        ],
    );
    let (store, _) = attach(&model, OTHER + 8, ProbeKind::Entry, ProbeMode::HiddenBrk).unwrap();
    {
        let mut vcpu = model.vcpu(0);
        vcpu.regs.regs[1] = LEAF;
        vcpu.start(OTHER);
    }
    model.run();
    assert_eq!(leaf.count(), 1);
    let counts = model.probes.counts(store).unwrap();
    assert_eq!((counts.hits, counts.retired), (1, 1));
    assert_eq!(model.read_word(LEAF) as u32, NOP);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn text_that_is_rewritten_while_it_is_probed(seed: u64, unrest in 0_u64..8, rewrites in 1_usize..6) {
        let model = Model::new(3, seed, unrest);
        load(&model, 2);
        let places = [MIX, MIX + 8, LEAF];
        let links: Vec<_> = places
            .iter()
            .map(|&at| attach(&model, at, ProbeKind::Entry, ProbeMode::HiddenBrk).unwrap())
            .collect();
        // x23 is nobody's: both forms of the instruction do the same for the result.
        let forms = [eor(23, 20, 20, 3), eor(23, 20, 20, 5)];
        place(&model, OTHER, &[str_w(3, 1, 0), str_w(4, 1, 0), sub_imm(5, 5, 1), cbnz(5, OTHER + 12, OTHER), HALT]);
        {
            let mut vcpu = model.vcpu(2);
            vcpu.regs.regs[1] = MIX + 0x100;
            vcpu.regs.regs[3] = forms[0].into();
            vcpu.regs.regs[4] = forms[1].into();
            vcpu.regs.regs[5] = rewrites as u64;
            vcpu.start(OTHER);
        }
        model.run();
        prop_assert_eq!(results(&model, 2), expected(2));
        prop_assert_eq!(model.read_word(MIX + 0x100) as u32, forms[1]);
        for (link, counter) in links {
            let counts = model.probes.detach(link).unwrap();
            prop_assert_eq!(counts.hits, counter.count());
            prop_assert_eq!(counts.hits, counts.retired);
        }
        prop_assert!(model.is_clean());
        prop_assert_eq!(model.probes.statistics().errors, 0);
    }
}
