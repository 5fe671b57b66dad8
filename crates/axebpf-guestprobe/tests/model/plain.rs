//! What is simulated of the guest's accesses to memory, and what it does itself.

use std::sync::{Arc, Mutex};

use axebpf_guestprobe::{
    Capabilities, GuestProbe, GuestProbeHandler, GuestProbeHit, GuestStatistics, LinkState,
    ProbeKind, ProbeMode, StackStart, Stage1, Syndrome, SystemRegister,
};
use axebpf_platform::GuestVirt;

use crate::asm::*;
use crate::machine::{Model, PAGE, VM};
use crate::program::*;
use crate::tables;
use crate::vcpu::{EL1H, ModelVcpu, VECTORS};

/// No steps.
const FEW: Capabilities = Capabilities::FENCE
    .union(Capabilities::GUEST_TEXT)
    .union(Capabilities::TRAP_BRK)
    .union(Capabilities::WINDOW_VIEW)
    .union(Capabilities::SWITCH_VIEW)
    .union(Capabilities::WRITE_GUEST);

/// Where the probed instruction is, with nothing else in its page.
const CODE: u64 = 0x5000;
/// The page that it writes.
const DATA: u64 = 0x18;
const STACK: u64 = (DATA + 1) * PAGE;
/// `hvc #0`.
const HALT: u32 = 0xd400_0002;
const IL: u64 = 1 << 25;
const WRITE: u64 = 1 << 6;

/// What the page, or a register, is like.
#[derive(Clone, Copy, Debug)]
enum With {
    /// The descriptor has these bits instead of the access flag.
    Page(u64),
    /// There is a block of 2 MiB with these bits instead of pages.
    Block(u64),
    /// Data and tables are big-endian.
    BigEndian,
    /// The register has these bits in addition.
    Set(SystemRegister, u64),
    /// The register does not have these bits.
    Clear(SystemRegister, u64),
    /// The processor state has these bits in addition.
    State(u64),
    /// The stack pointer.
    Stack(u64),
}

/// Has a vCPU execute `word` at a probe, and returns what that has come to.
fn execute(model: &Model, word: u32, mode: ProbeMode, with: &[With]) -> GuestStatistics {
    prepare(model, word, mode, with);
    model.run_for(12);
    model.probes.statistics()
}

/// Runs the vCPU until something has happened, which takes a few exits.
fn run_until(model: &Model, has_happened: impl Fn(&Model) -> bool) {
    for _ in 0..100 {
        if has_happened(model) {
            return;
        }
        model.run_for(1);
    }
    panic!("it does not happen");
}

/// Makes a vCPU ready to execute `word` at a probe.
fn prepare(model: &Model, word: u32, mode: ProbeMode, with: &[With]) {
    load(model, 1);
    for (offset, word) in [(0, word), (4, HALT)] {
        model.machine.store(CODE + offset, &word.to_le_bytes());
    }
    {
        let mut vcpu = model.vcpu(0);
        vcpu.start(CODE);
        vcpu.regs.sp = STACK;
        for with in with {
            match *with {
                With::Page(bits) => tables::put(model, DATA, DATA << 12 | bits | 3),
                With::Block(bits) => tables::put_block(model, bits | AF),
                With::BigEndian => {
                    *vcpu.system.entry(SystemRegister::SctlrEl1).or_default() |= 1 << 25;
                    tables::make_big_endian(model);
                }
                With::Set(register, bits) => *vcpu.system.entry(register).or_default() |= bits,
                With::Clear(register, bits) => *vcpu.system.entry(register).or_default() &= !bits,
                With::State(bits) => vcpu.regs.pstate = EL1H | bits,
                With::Stack(sp) => vcpu.regs.sp = sp,
            }
        }
    }
    attach(model, CODE, ProbeKind::Entry, mode).unwrap();
}

const AF: u64 = tables::AF;
const READ_ONLY: u64 = 1 << 7;
const USER: u64 = 1 << 6;
const NO_USER_EXECUTE: u64 = 1 << 54;
const DBM: u64 = 1 << 51;
const HA: With = With::Set(SystemRegister::TcrEl1, 1 << 39);
const HD: With = With::Set(SystemRegister::TcrEl1, 1 << 40);
const PAN: With = With::State(1 << 22);
const EPAN: With = With::Set(SystemRegister::SctlrEl1, 1 << 57);
const BLOCK: With = With::Block(0);
/// Tag checks are faults.
const TCF: With = With::Set(SystemRegister::SctlrEl1, 1 << 40);
const TCO: With = With::State(1 << 25);

/// A page of this kind of memory, by its place in `tables::MAIR`.
const fn memory(index: u64) -> With {
    With::Page(AF | index << 2)
}

#[test]
fn plain_accesses_are_simulated() {
    for with in [
        &[] as &[With],
        &[With::Page(AF | DBM), HD],
        // With tags that nobody checks, and for a short time in the cache.
        &[memory(1)],
        &[memory(1), TCF, TCO],
        &[TCF],
        &[memory(5)],
        &[PAN],
        &[With::Page(AF | NO_USER_EXECUTE), PAN, EPAN],
        &[With::Page(AF | USER)],
    ] {
        let model = Model::new(1, 2, 0);
        let seen = execute(&model, PUSH_FRAME, ProbeMode::HiddenBrk, with);
        assert_eq!(seen.steps, 0, "{with:?}");
        assert!(model.vcpu(0).halted);
    }
}

/// What is right where the guest does it, and perhaps not where EL2 does.
const PECULIAR: [&[With]; 13] = [
    &[With::Clear(SystemRegister::SctlrEl1, 1)],
    &[With::Clear(SystemRegister::SctlrEl1, 1 << 2)],
    &[With::BigEndian],
    &[memory(2)],
    &[memory(3)],
    &[memory(4)],
    &[memory(6)],
    &[memory(1), TCF],
    &[TCF, With::Set(SystemRegister::TcrEl1, 1 << 61)],
    &[With::Page(0), HA],
    &[With::Page(AF | DBM | READ_ONLY), HD],
    &[PAN, EPAN],
    // Programs are kept out by the processor, and the kernel by itself.
    &[
        With::Page(AF | USER),
        PAN,
        With::Set(SystemRegister::TcrEl1, 1 << 55),
    ],
];

#[test]
fn peculiar_accesses_are_the_guests_own() {
    // A granule that does not exist: what the processor takes it for is its own choice.
    let unknown = [With::Set(SystemRegister::TcrEl1, 3 << 14)];
    for with in PECULIAR.into_iter().chain([&unknown as &[With]]) {
        let model = Model::new(1, 2, 0);
        let seen = execute(&model, PUSH_FRAME, ProbeMode::HiddenBrk, with);
        assert_eq!(seen.steps, 1, "{with:?}");
        assert!(model.vcpu(0).halted);
    }
}

#[test]
fn without_steps_a_probe_gives_way() {
    for with in PECULIAR {
        for mode in [ProbeMode::Brk, ProbeMode::Hvc, ProbeMode::Stage2Fault] {
            let model = Model::with(1, 2, 0, FEW);
            let seen = execute(&model, PUSH_FRAME, mode, with);
            // Nothing is made up: the instruction was executed, once, and no exception was taken.
            assert!(model.vcpu(0).halted, "{with:?} {mode}");
            assert_eq!(executed(&model, 1, CODE), 1);
            assert_eq!(executed(&model, 1, VECTORS + 0x200), 0);
            let link = model.probes.links()[0];
            let state = model.probes.link_state(link).unwrap();
            if mode == ProbeMode::Stage2Fault {
                assert!(matches!(state, LinkState::Partly { .. }));
                assert_eq!((seen.withdrawn, seen.windows), (0, 1));
            } else {
                let word = PUSH_FRAME;
                assert_eq!(state, LinkState::Suspended { word, why: None });
                assert_eq!((seen.withdrawn, seen.errors), (1, 0));
            }
            model.probes.detach(link).unwrap();
            assert!(model.is_clean());
            assert_eq!(model.read_word(CODE) as u32, PUSH_FRAME);
        }
    }
}

#[test]
fn memory_that_is_not_there_yet_is_no_fault() {
    let nowhere = [With::Page(0x80_0000 | AF)];
    let model = Model::with(1, 2, 0, FEW);
    let seen = execute(&model, PUSH_FRAME, ProbeMode::Hvc, &nowhere);
    assert_eq!(seen.withdrawn, 1);
    drop(model);
    // Nor is a table that is not.
    let model = Model::with(1, 2, 0, FEW);
    let nowhere = [With::Set(SystemRegister::Ttbr0El1, 0x80_0000)];
    let seen = execute(&model, PUSH_FRAME, ProbeMode::Hvc, &nowhere);
    assert_eq!(seen.withdrawn, 1);
}

#[test]
fn the_page_of_a_probe_can_be_read() {
    // ldr x0, .+8
    let literal = 0x5800_0040;
    for mode in MODES {
        let capabilities = if mode == ProbeMode::HiddenBrk {
            Capabilities::all()
        } else {
            FEW
        };
        let model = Model::with(1, 2, 0, capabilities);
        let value = 0x1122_3344_5566_7788_u64;
        model.machine.store(CODE + 8, &value.to_le_bytes());
        let seen = execute(&model, literal, mode, &[]);
        assert_eq!(model.vcpu(0).regs.regs[0], value, "{mode}");
        assert_eq!((seen.steps, seen.reads, seen.withdrawn), (0, 0, 0));
        assert_eq!(executed(&model, 1, VECTORS + 0x200), 0);
    }
}

/// `stp x0, x1, [x2, #-16]!`
const STORE_PAIR: u32 = 0xa9bf_0440;
/// `str x0, [x2, #8]!`
const STORE: u32 = 0xf800_8c40;

#[test]
fn unaligned_accesses_are_the_guests_own() {
    for (word, base, steps) in [
        (STORE, STACK - 16, 0),
        (STORE, STACK - 15, 1),
        (STORE, STACK - 12, 1),
        (STORE_PAIR, STACK - 8, 0),
        (STORE_PAIR, STACK - 4, 1),
        // str w0, [x2, #8]!
        (0xb800_8c40, STACK - 12, 0),
        (0xb800_8c40, STACK - 14, 1),
        // ldr x0, .+12, and ldr w0, .+12
        (0x5800_0060, 0, 1),
        (0x1800_0060, 0, 0),
    ] {
        let model = Model::new(1, 2, 0);
        model.vcpu(0).regs.regs[2] = base;
        let seen = execute(&model, word, ProbeMode::HiddenBrk, &[]);
        assert_eq!(seen.steps, steps, "{word:#x} {base:#x}");
    }
}

#[test]
fn sixteen_aligned_bytes_are_stored_at_once() {
    for (base, stores) in [(STACK, 1), (STACK - 0x100, 1), (STACK + 8, 2)] {
        let model = Model::new(1, 2, 0);
        {
            let mut vcpu = model.vcpu(0);
            vcpu.regs.regs[..3].copy_from_slice(&[0x55, 0xaa, base]);
        }
        // One block of 2 MiB, of which the pages are one piece for stage 1.
        load(&model, 1);
        let seen = execute(&model, STORE_PAIR, ProbeMode::HiddenBrk, &[BLOCK]);
        assert_eq!(seen.steps, 0);
        assert_eq!(
            model.machine.calls.lock().unwrap().stores,
            stores,
            "{base:#x}"
        );
        assert_eq!(model.read_word(base - 16), 0x55);
        assert_eq!(model.read_word(base - 8), 0xaa);
    }
}

#[test]
fn a_store_into_the_next_page_is_noticed_there() {
    let model = Model::new(1, 2, 0);
    load(&model, 1);
    let next = STACK;
    model.machine.store(next, &NOP.to_le_bytes());
    model.machine.store(next + 4, &NOP.to_le_bytes());
    attach(&model, next + 4, ProbeKind::Entry, ProbeMode::HiddenBrk).unwrap();
    model.vcpu(0).regs.regs[..3].copy_from_slice(&[0, 0x1_0000_0000, next + 8]);
    let seen = execute(&model, STORE_PAIR, ProbeMode::HiddenBrk, &[BLOCK]);
    assert_eq!(seen.steps, 1);
    assert_eq!(model.machine.calls.lock().unwrap().stores, 0);
}

#[test]
fn a_fault_is_of_the_level_and_the_kind_that_the_tables_say() {
    let taken = |with: &[With], word: u32| {
        let model = Model::with(1, 2, 0, FEW);
        let seen = execute(&model, word, ProbeMode::Brk, with);
        assert_eq!(seen.withdrawn, 0, "{with:?}");
        let vcpu = model.vcpu(0);
        assert_eq!(vcpu.system[&SystemRegister::ElrEl1], CODE, "{with:?}");
        let far = vcpu.system.get(&SystemRegister::FarEl1).copied();
        (vcpu.system[&SystemRegister::EsrEl1], far)
    };
    let abort = |iss: u64| 0x25 << 26 | IL | iss;
    let here = Some(STACK - 16);
    for (with, status) in [
        (&[With::Page(AF | READ_ONLY)] as &[With], 0b00_1111),
        (&[With::Page(AF | READ_ONLY | DBM)], 0b00_1111),
        (&[With::Page(AF | USER), PAN], 0b00_1111),
        (&[With::Block(READ_ONLY)], 0b00_1110),
        (&[With::Page(0)], 0b00_1011),
        (&[With::Set(SystemRegister::TcrEl1, 1 << 7)], 0b00_0100),
        (
            &[
                With::Page(1 << 47 | AF),
                With::Clear(SystemRegister::TcrEl1, 5 << 32),
            ],
            0b00_0011,
        ),
    ] {
        let expected = (abort(WRITE | status), here);
        assert_eq!(taken(with, PUSH_FRAME), expected, "{with:?}");
    }
    let unaligned = With::Stack(STACK - 8);
    assert_eq!(taken(&[unaligned], PUSH_FRAME), (0x26 << 26 | IL, None));
    // Where that is not checked, it is no fault.
    let model = Model::with(1, 2, 0, FEW);
    let unchecked = With::Clear(SystemRegister::SctlrEl1, 1 << 3);
    prepare(&model, PUSH_FRAME, ProbeMode::Brk, &[unaligned, unchecked]);
    run_until(&model, |model| model.probes.statistics().withdrawn > 0);
    assert_eq!(model.vcpu(0).regs.pc, CODE);
}

#[test]
fn data_of_a_big_endian_kernel_is_read_as_such() {
    // Frames of a kernel that has not turned translation on, from a handler.
    let model = Model::new(1, 2, 0);
    load(&model, 1);
    let big_endian = With::Set(SystemRegister::SctlrEl1, 1 << 25);
    let flat = With::Clear(SystemRegister::SctlrEl1, 1);
    model.machine.store(0x9000, &0x9020_u64.to_be_bytes());
    model.machine.store(0x9008, &0x1111_u64.to_be_bytes());
    model.vcpu(0).regs.regs[29] = 0x9000;
    prepare(&model, NOP, ProbeMode::HiddenBrk, &[big_endian, flat]);
    let tracer = Arc::new(Tracer::default());
    let at = GuestVirt::new(CODE);
    let probe = GuestProbe::new(VM, at, ProbeKind::Entry, ProbeMode::HiddenBrk).unwrap();
    let attached = model
        .probes
        .attach(&Stage1::default(), &probe, tracer.clone());
    attached.unwrap();
    model.run();
    assert_eq!(*tracer.stack.lock().unwrap(), [CODE, 0x1111]);
    // The lower half of the second word.
    assert_eq!(*tracer.number.lock().unwrap(), Some(0x1111));
}

/// Remembers the stack of the last hit, and the number behind the first word and a half of its frame.
#[derive(Default)]
struct Tracer {
    stack: Mutex<Vec<u64>>,
    number: Mutex<Option<u32>>,
}

impl GuestProbeHandler for Tracer {
    fn hit(&self, hit: &GuestProbeHit<'_>) {
        let mut trace = [0; 8];
        let len = hit.guest.stack(hit.regs, StackStart::InFrame, &mut trace);
        *self.stack.lock().unwrap() = trace[..len].to_vec();
        let at = GuestVirt::new(hit.regs.regs[29] + 12);
        *self.number.lock().unwrap() = hit.guest.read_u32(at).ok();
    }
}

/// Until it begins, has the vCPU get on with a step; returns whether its interrupts are held then.
fn is_held_for(word: u32, masks: u64) -> bool {
    let model = Model::new(1, 2, 0);
    let state = With::State(masks);
    prepare(&model, word, ProbeMode::HiddenBrk, &[state]);
    run_until(&model, |model| model.vcpu(0).is_stepping);
    model.vcpu(0).holds
}

#[test]
fn interrupts_are_not_held_from_who_looks_for_them() {
    let [irq, fiq] = [1 << 7, 1 << 6];
    // mrs x0, icc_iar1_el1; mrs x0, isr_el1; ldr w0, [x0], which may be an interrupt controller
    for word in [0xd538_cc00, 0xd538_c100, 0xb940_0000] {
        assert!(is_held_for(word, 0), "{word:#x}");
        for masks in [irq, fiq, irq | fiq] {
            assert!(!is_held_for(word, masks), "{word:#x} {masks:#x}");
        }
    }
    // wfe, wfi, wfet x0, wfit x3
    for word in [0xd503_205f, 0xd503_207f, 0xd503_1000, 0xd503_1023] {
        assert!(!is_held_for(word, 0), "{word:#x}");
    }
}

#[test]
fn what_a_processor_may_lack_is_read_by_itself() {
    // mrs x0 of pan, uao, allint, dit, ssbs, tco
    for word in [
        0xd538_4260,
        0xd538_4280,
        0xd538_4300,
        0xd53b_42a0,
        0xd53b_42c0,
        0xd53b_42e0,
    ] {
        let model = Model::new(1, 2, 0);
        prepare(&model, word, ProbeMode::HiddenBrk, &[]);
        run_until(&model, |model| model.vcpu(0).is_stepping);
        assert_eq!(model.probes.statistics().steps, 1);
    }
    // mrs x0 of spsel, currentel, nzcv, daif
    for word in [0xd538_4200, 0xd538_4240, 0xd53b_4200, 0xd53b_4220] {
        let model = Model::new(1, 2, 0);
        assert_eq!(execute(&model, word, ProbeMode::HiddenBrk, &[]).steps, 0);
        assert!(model.vcpu(0).halted);
    }
}

#[test]
fn exceptions_mask_those_that_cannot_be_masked_as_the_guest_says() {
    const ALLINT: u64 = 1 << 13;
    for (spintmask, masked) in [(0, ALLINT), (1 << 62, 0)] {
        for before in [0, ALLINT] {
            let mut vcpu = ModelVcpu::new(0);
            vcpu.regs.pstate = EL1H | before;
            vcpu.system.insert(SystemRegister::SctlrEl1, spintmask);
            vcpu.deliver(&Syndrome {
                esr: 0x3c << 26 | IL,
                ..Syndrome::default()
            });
            assert_eq!(vcpu.regs.pstate & ALLINT, masked);
            assert_eq!(vcpu.system[&SystemRegister::SpsrEl1], EL1H | before);
        }
    }
}
