//! What the guest does to probed instructions so that they cannot be probed as they were, or at all.

use axebpf_a64::Refusal;
use axebpf_guestprobe::{LinkState, ProbeKind, ProbeMode};
use axebpf_platform::VcpuId;

use crate::asm::*;
use crate::hidden::{HALT, OTHER, place, run_other};
use crate::machine::Model;
use crate::program::attach;

/// A page with text besides the caller's.
const TEXT: u64 = 0x6000;
/// `ldxr x0, [x1]` and `stxr w2, x0, [x1]`
const EXCLUSIVES: [u32; 2] = [0xc85f_7c20, 0xc802_7c20];

#[test]
fn what_stores_into_its_own_page_in_plain_sight_is_put_back() {
    for mode in [ProbeMode::Brk, ProbeMode::Hvc] {
        let model = Model::new(1, 5, 0);
        let words = [movz(3, 7), str(3, 1, 0x100), HALT];
        place(&model, OTHER, &words);
        let (link, counter) = attach(&model, OTHER + 4, ProbeKind::Entry, mode).unwrap();
        {
            let mut vcpu = model.vcpu(0);
            vcpu.regs.regs[1] = OTHER;
            vcpu.start(OTHER);
        }
        model.run();
        assert_eq!(model.read_word(OTHER + 0x100), 7);
        assert_eq!(counter.count(), 1);
        assert_eq!(model.probes.statistics().withdrawn, 1);
        let counts = model.probes.counts(link).unwrap();
        assert_eq!((counts.hits, counts.retired), (1, 0));
        let state = model.probes.link_state(link).unwrap();
        assert_eq!(
            state,
            LinkState::Suspended {
                word: words[1],
                why: None
            }
        );
        model.probes.detach(link).unwrap();
        assert!(model.is_clean());
    }
}

#[test]
fn what_has_got_between_exclusives_is_not_probed() {
    let model = Model::new(1, 6, 0);
    place(&model, TEXT, &[NOP, NOP, NOP, RET]);
    let (link, _) = attach(&model, TEXT + 4, ProbeKind::Entry, ProbeMode::HiddenBrk).unwrap();
    let write = |words: [u32; 2]| {
        let [load, store] = words.map(|word| [word as u16, (word >> 16) as u16]);
        let words = [
            movz(3, load[0]),
            movk16(3, load[1]),
            str_w(3, 1, 0),
            movz(3, store[0]),
            movk16(3, store[1]),
            str_w(3, 1, 8),
            bl(OTHER + 24, TEXT + 12),
            HALT,
        ];
        run_other(&model, 0, TEXT, &words);
    };
    write(EXCLUSIVES);
    let why = match model.probes.link_state(link) {
        Ok(LinkState::Suspended { why, .. }) => why,
        other => panic!("{other:?}"),
    };
    assert_eq!(why, Some(Refusal::Exclusive));
    write([NOP, NOP]);
    assert_eq!(model.probes.link_state(link), Ok(LinkState::Armed));
    model.probes.detach(link).unwrap();
    assert!(model.is_clean());
}

#[test]
fn a_trap_of_the_guests_own_with_our_immediate_is_counted() {
    const OUR_IMMEDIATE: u32 = 0xd420_0000 | 0xebbf << 5;
    let model = Model::new(1, 7, 0);
    place(&model, crate::vcpu::VECTORS + 0x200, &[HALT]);
    run_other(&model, 0, 0, &[OUR_IMMEDIATE, HALT]);
    assert_eq!(model.vcpu(0).delivered.last().map(|d| d.1), Some(OTHER));
    assert_eq!(model.probes.statistics().foreign, 1);
}

#[test]
fn exits_are_not_looked_at_before_the_first_probe_and_after_the_last() {
    let model = Model::new(2, 8, 0);
    let asked = |rounds: u16| {
        let before = model.vcpu(0).asked.get();
        // Its own trap, whose handler goes on behind it.
        let back = [
            movz(5, (OTHER + 8) as u16),
            0xd61f_0000 | 5 << 5, // br x5
        ];
        place(&model, crate::vcpu::VECTORS + 0x200, &back);
        let words = [
            movz(4, rounds),
            GUEST_BRK,
            sub_imm(4, 4, 1),
            cbnz(4, OTHER + 12, OTHER + 4),
            HALT,
        ];
        run_other(&model, 0, 0, &words);
        model.vcpu(0).asked.get() - before
    };
    let run_the_other = || {
        place(&model, OTHER + 0x100, &[HALT]);
        model.vcpu(1).start(OTHER + 0x100);
        model.run();
    };
    assert_eq!(asked(20), 0);
    place(&model, TEXT, &[NOP, RET]);
    for is_reset in [false, true] {
        let (link, _) = attach(&model, TEXT, ProbeKind::Entry, ProbeMode::HiddenBrk).unwrap();
        assert!(asked(20) >= 20);
        run_the_other();
        model.probes.detach(link).unwrap();
        // The other vCPU may be on its way from the page, until it enters the guest once more.
        assert!(asked(20) >= 20);
        if is_reset {
            model.probes.reset_vcpu(VcpuId::new(1));
        } else {
            run_the_other();
        }
        asked(1);
        assert_eq!(asked(20), 0);
    }
    // One that has never run is on no way.
    let (link, _) = attach(&model, TEXT, ProbeKind::Entry, ProbeMode::HiddenBrk).unwrap();
    model.probes.detach(link).unwrap();
    asked(1);
    assert_eq!(asked(20), 0);
}
