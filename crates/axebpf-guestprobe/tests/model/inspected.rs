//! What an inspection says of an instruction, and what an attach does with it.

use axebpf_guestprobe::{
    Capabilities, Displaced, GuestProbe, GuestProbeError, Insn, ProbeKind, ProbeMode, Stage1, Way,
    inspect,
};
use axebpf_platform::GuestVirt;
use proptest::prelude::*;

use crate::asm::*;
use crate::machine::{Model, VM};
use crate::program::attach;

/// Where the instruction is, with nothing else in its page.
const CODE: u64 = 0x5000;

fn inspected(model: &Model, word: u32) -> Result<Displaced, GuestProbeError> {
    model.machine.store(CODE, &word.to_le_bytes());
    let at = GuestVirt::new(CODE);
    let probe = GuestProbe::new(VM, at, ProbeKind::Entry, ProbeMode::Brk)?;
    inspect(&probe, &Stage1::default(), &*model.machine)
}

#[test]
fn what_the_guest_can_step_is_stepped() {
    let model = Model::new(1, 2, 0);
    for (word, text) in [
        (0x8b02_0020, "add x0, x1, x2"),
        (0xf940_0020, "ldr x0, [x1]"),
        (PACIASP, "paciasp"),
        // What a hypervisor cannot execute out of line.
        (0xd503_42df, "msr daifset, #2"),
        (0xd538_4020, "mrs x0, elr_el1"),
        (0xd518_2000, "msr ttbr0_el1, x0"),
        (0xd508_871f, "tlbi vmalle1"),
        (0x1901_0440, "cpyfp [x0]!, [x1]!, x2!"),
        (0x9c00_0040, "ldr q0, .+8"),
        (0xd65f_0bff, "retaa"),
        // A processor may lack it.
        (0xd538_4260, "mrs x0, pan"),
    ] {
        assert_eq!(inspected(&model, word).unwrap().way, Way::Step, "{text}");
    }
    for word in [PUSH_FRAME, NOP, RET, 0xaa1e_03e9, 0xd53b_4200] {
        let way = inspected(&model, word).unwrap().way;
        assert!(matches!(way, Way::Simulate(_)), "{word:#010x} {way:?}");
    }
    assert_eq!(
        inspected(&model, NOP).unwrap().way,
        Way::Simulate(Insn::Nop)
    );
    for word in [ERET, GUEST_BRK, 0xc85f_7c20] {
        let refused = inspected(&model, word);
        assert!(matches!(refused, Err(GuestProbeError::Refused { .. })));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    /// Where nothing can be stepped, attaching tells how an instruction would be executed.
    #[test]
    fn an_attach_does_what_was_said(word: u32) {
        let few = Capabilities::FENCE
            | Capabilities::GUEST_TEXT
            | Capabilities::TRAP_BRK
            | Capabilities::WRITE_GUEST;
        let model = Model::with(1, 2, 0, few);
        let said = inspected(&model, word);
        let done = attach(&model, CODE, ProbeKind::Entry, ProbeMode::Brk).map(drop);
        match said.map(|displaced| displaced.way) {
            Ok(Way::Simulate(_)) => prop_assert_eq!(done, Ok(())),
            Ok(Way::Step) => {
                let needs_step = matches!(done, Err(GuestProbeError::NeedsStep { .. }));
                prop_assert!(needs_step, "{:?}", done);
            }
            Err(refused) => prop_assert_eq!(done, Err(refused)),
        }
    }
}
