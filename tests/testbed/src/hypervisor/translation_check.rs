//! Comparing the walker of guests' translation tables with the processor's own translation.

use axebpf::platform::{GuestPhys, GuestVirt};
use axebpf::probe::kprobe::{Access, GuestMachine, Stage1, Translation, WalkFault, WalkProblem};

use super::{
    console::println,
    translation_oracle::{Answer, Attempt, Oracle},
    vcpu::Vcpu,
    vm::Vm,
};

/// How many addresses are checked with interrupts masked.
pub(crate) const BATCH: usize = 32;
/// How many words come before the addresses in a request: `TTBR0_EL1`, `TTBR1_EL1`, `TCR_EL1`, `SCTLR_EL1`.
const HEADER: usize = 4;
/// How many disagreements are printed before they are only counted.
const SHOWN: u64 = 20;
/// How often an address is looked at again before walker and processor are said to disagree: other vCPUs may change the
/// tables in between.
const TRIES: u32 = 5;

/// What came of some checks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Addresses about which walker and processor were compared, for reads and writes of the kernel and of programs.
    pub(crate) checked: u64,
    /// Those that are mapped.
    pub(crate) mapped: u64,
    /// Those whose tables lie where the guest has no memory.
    pub(crate) outside: u64,
    /// Those on which walker and processor disagree.
    pub(crate) wrong: u64,
    /// Those that programs could read, if `FEAT_E0PD` did not keep them out.
    pub(crate) closed: u64,
    /// Addresses that were not checked: what becomes of them is the processor's to say.
    pub(crate) undecided: u64,
}

impl Tally {
    /// Adds another one.
    pub(crate) fn add(&mut self, other: &Self) {
        self.checked += other.checked;
        self.mapped += other.mapped;
        self.outside += other.outside;
        self.wrong += other.wrong;
        self.closed += other.closed;
        self.undecided += other.undecided;
    }

    /// Returns how many addresses it is about.
    pub(crate) fn asked(&self) -> u64 {
        self.checked + self.undecided
    }
}

/// Handles a guest's request at guest-physical address `at`: registers, then `count` addresses.
pub(crate) fn request(vm: &Vm, vcpu: &Vcpu, at: u64, count: u64) -> Option<Tally> {
    let machine = &**vm.probes().machine();
    let mut header = [0; HEADER];
    read_words(machine, at, &mut header)?;
    let [ttbr0, ttbr1, tcr, sctlr] = header;
    let stage1 = Stage1 {
        ttbr0,
        ttbr1,
        tcr,
        sctlr,
    };
    let mut tally = Tally::default();
    let mut done = 0;
    while done < count {
        let mut addresses = [0; BATCH];
        let len = (count - done).min(BATCH as u64) as usize;
        let from = at.checked_add(8 * (HEADER as u64 + done))?;
        read_words(machine, from, &mut addresses[..len])?;
        check(vm, vcpu, &stage1, &addresses[..len], &mut tally);
        done += len as u64;
    }
    Some(tally)
}

fn read_words(machine: &dyn GuestMachine, at: u64, words: &mut [u64]) -> Option<()> {
    for (word, at) in words.iter_mut().zip((at..).step_by(8)) {
        let mut bytes = [0; 8];
        machine.read_guest(GuestPhys::new(at), &mut bytes).ok()?;
        *word = u64::from_le_bytes(bytes);
    }
    Some(())
}

/// Checks up to [`BATCH`] addresses with the translation that `stage1` describes. Called by the vCPU's own task.
pub(crate) fn check(vm: &Vm, vcpu: &Vcpu, stage1: &Stage1, addresses: &[u64], tally: &mut Tally) {
    for &address in addresses {
        map_tables(vm, stage1, address);
    }
    let mut wrong = [None; BATCH];
    {
        let oracle = Oracle::new(stage1);
        for (&address, wrong) in addresses.iter().zip(&mut wrong) {
            *wrong = check_one(vm, &oracle, stage1, address, tally);
        }
    }
    for (&address, wrong) in addresses.iter().zip(&wrong) {
        let Some(wrong) = wrong else { continue };
        tally.wrong += 1;
        if tally.wrong <= SHOWN {
            println!(
                "vm {} vcpu {}: walker and processor disagree about {address:#x}: {wrong:x?} with {stage1:x?}",
                vm.id(),
                vcpu.id()
            );
        }
    }
}

/// Gives the guest the memory of its tables that it has not touched yet, so that stage 2 does not end the walk.
fn map_tables(vm: &Vm, stage1: &Stage1, address: u64) {
    const LEVELS: usize = 5;
    for _ in 0..LEVELS {
        match walk(vm, stage1, address).map_err(|fault| fault.problem) {
            Err(WalkProblem::Table { fault, .. }) if vm.memory().contains(&fault.at.get()) => {
                if vm.map(GuestPhys::new(fault.at.get() & !0xfff)).is_err() {
                    return;
                }
            }
            _ => return,
        }
    }
}

fn walk(vm: &Vm, stage1: &Stage1, address: u64) -> Result<Translation, WalkFault> {
    stage1.translate(
        &**vm.probes().machine(),
        GuestVirt::new(address),
        Access::Data,
    )
}

/// What walker and processor say about an address.
#[derive(Clone, Copy, Debug)]
struct Disagreement {
    #[expect(dead_code, reason = "for printing")]
    walker: Result<Translation, WalkProblem>,
    #[expect(dead_code, reason = "for printing")]
    attempt: Attempt,
    #[expect(dead_code, reason = "for printing")]
    expected: Answer,
    #[expect(dead_code, reason = "for printing")]
    processor: Answer,
}

fn check_one(
    vm: &Vm,
    oracle: &Oracle,
    stage1: &Stage1,
    address: u64,
    tally: &mut Tally,
) -> Option<Disagreement> {
    let mut last = None;
    for _ in 0..TRIES {
        let found = walk(vm, stage1, address).map_err(|fault| fault.problem);
        match compare(oracle, stage1, address, found) {
            Comparison::Same => {
                tally.checked += 1;
                tally.mapped += u64::from(found.is_ok());
                tally.outside += u64::from(matches!(found, Err(WalkProblem::Table { .. })));
                tally.closed += u64::from(is_closed_page(vm, stage1, address));
                return None;
            }
            Comparison::Undecided => {
                tally.undecided += 1;
                return None;
            }
            Comparison::Different(disagreement) => last = Some(disagreement),
        }
    }
    tally.checked += 1;
    last
}

/// What comes of comparing walker and processor at an address.
enum Comparison {
    /// They agree on all attempts.
    Same,
    /// They do not agree on this one.
    Different(Disagreement),
    /// They agree where the architecture says what has to be.
    Undecided,
}

fn compare(
    oracle: &Oracle,
    stage1: &Stage1,
    address: u64,
    found: Result<Translation, WalkProblem>,
) -> Comparison {
    let mut comparison = Comparison::Same;
    for attempt in Attempt::ALL {
        let Some(expected) = expected(stage1, address, attempt, found) else {
            comparison = Comparison::Undecided;
            continue;
        };
        let processor = oracle.ask(attempt, address);
        if processor != expected {
            return Comparison::Different(Disagreement {
                walker: found,
                attempt,
                expected,
                processor,
            });
        }
    }
    comparison
}

/// Returns what the processor should say where the walker says `found`; nothing where the architecture leaves it to
/// the processor.
fn expected(
    stage1: &Stage1,
    address: u64,
    attempt: Attempt,
    found: Result<Translation, WalkProblem>,
) -> Option<Answer> {
    const TRANSLATION: u8 = 0b00_0100;
    const ACCESS_FLAG: u8 = 0b00_1000;
    const PERMISSION: u8 = 0b00_1100;
    const UNSUPPORTED: u8 = 0xff;
    let is_closed = attempt.is_user() && is_closed_to_programs(stage1, address);
    let status = match found {
        // The walker has to know by itself what is closed.
        Ok(found) if is_allowed(attempt, &found) => {
            return Some(Answer::Page(found.at.get() & !0xfff));
        }
        _ if is_closed => TRANSLATION,
        Ok(found) => on_level(PERMISSION, found.level),
        Err(WalkProblem::OutOfRange | WalkProblem::Disabled) => TRANSLATION,
        Err(
            WalkProblem::Invalid { level }
            | WalkProblem::Reserved {
                level: level @ 3, ..
            },
        ) => on_level(TRANSLATION, level),
        // A block on a level that has none is invalid (ARM ARM D8.3.1), but QEMU maps it, at least up to 7.2.
        Err(WalkProblem::Reserved { .. }) => return None,
        Err(WalkProblem::AddressSize { level, .. }) => on_level(0, level),
        Err(WalkProblem::AccessFlag { level }) => on_level(ACCESS_FLAG, level),
        Err(WalkProblem::Table { .. }) => return Some(Answer::Stage2),
        Err(WalkProblem::Unsupported { .. }) => return None,
        Err(_) => UNSUPPORTED,
    };
    Some(Answer::Fault(status))
}

fn is_allowed(attempt: Attempt, found: &Translation) -> bool {
    match attempt {
        Attempt::KernelRead => true,
        Attempt::KernelWrite => found.rights.privileged_write(),
        Attempt::UserRead => found.rights.user_read(),
        Attempt::UserWrite => found.rights.user_write(),
    }
}

/// Tells whether `FEAT_E0PD` keeps programs out of the range of `address`, with a fault as if nothing were mapped
/// there.
fn is_closed_to_programs(stage1: &Stage1, address: u64) -> bool {
    const E0PD0: u32 = 55;
    let is_enabled = stage1.sctlr & 1 != 0;
    is_enabled && stage1.tcr >> (E0PD0 + (address >> 55 & 1) as u32) & 1 != 0
}

/// Tells whether `FEAT_E0PD` is all that keeps programs from reading what is at `address`.
fn is_closed_page(vm: &Vm, stage1: &Stage1, address: u64) -> bool {
    const CLOSED: u64 = 3 << 55;
    let open = Stage1 {
        tcr: stage1.tcr & !CLOSED,
        ..*stage1
    };
    is_closed_to_programs(stage1, address)
        && walk(vm, &open, address).is_ok_and(|found| found.rights.user_read())
}

/// Returns the status of a fault on `level`, of the kind that has `kind` on level 0 (ARM ARM D24.2.40).
fn on_level(kind: u8, level: i8) -> u8 {
    const SIZE_BELOW_0: u8 = 0b10_1001;
    const TRANSLATION_BELOW_0: u8 = 0b10_1011;
    match (u8::try_from(level), kind) {
        (Ok(level), _) => kind | level,
        (Err(_), 0) => SIZE_BELOW_0,
        (Err(_), _) => TRANSLATION_BELOW_0,
    }
}
