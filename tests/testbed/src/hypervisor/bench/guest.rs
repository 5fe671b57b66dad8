//! What exits of a guest and probes on it cost, in instructions that EL2 executes from one entry to the next.
//!
//! A guest does one thing several times in a row. The difference between more and fewer times is what one of them
//! costs, and nothing else: its exits, the hypervisor's own way through them, and its entries.

use alloc::{format, sync::Arc};

use axebpf::{
    Axebpf, LinkOptions, ProbeType, ProgramId, Target,
    platform::{GuestVirt, VmId},
    probe::kprobe::{GuestLinkId, GuestProbe, ProbeKind, ProbeMode, Stage1},
};

use super::{
    BenchError,
    desk::{self, Functions, Job, ROUNDS, Work},
    with_program,
};
use crate::hypervisor::{
    config, console::println, guest_probes::Count, platform::TestbedPlatform, tracing, vm::Vm,
    vm_commands, vms,
};

/// The times in a round of which the difference is taken.
const FEW: u64 = 4;
const MANY: u64 = 12;

/// A register of the testbed's device that can be read without effect.
const REGISTER: GuestVirt = GuestVirt::new(0x0a00_0100);

/// Measures and prints everything about guests.
pub(super) fn run() -> Result<(), BenchError> {
    with_guest("closed", |guest| {
        guest.report("guest_floor", Work::Trap)?;
        guest.report("guest_fault_closed", Work::Load(REGISTER))
    })?;
    with_guest("open", |guest| {
        guest.report("guest_exit_plain", Work::Trap)?;
        guest.report("guest_fault_plain", Work::Load(REGISTER))?;
        guest.handlers()?;
        guest.programs()?;
        guest.report("guest_exit_after_probes", Work::Trap)
    })
}

/// A guest that does what it is told.
struct Guest {
    vm: Arc<Vm>,
    functions: Functions,
}

/// Boots a guest, measures with it, and destroys it.
fn with_guest(
    probes: &str,
    measure: impl FnOnce(&Guest) -> Result<(), BenchError>,
) -> Result<(), BenchError> {
    let description = format!(
        "{}\nname = bench\nvcpus = 1\nrole = 3\nprobes = {probes}\nstart = command",
        config::BUILT_IN
    );
    let vm = vms::create(&description)?;
    let id = vm.id();
    desk::open(id);
    let measured = vm.boot().map_err(BenchError::from).and_then(|()| {
        let functions = desk::functions().ok_or(BenchError::NoGuest)?;
        measure(&Guest { vm, functions })
    });
    desk::close();
    vm_commands::shut_down(id)?;
    vms::destroy(id)?;
    measured
}

impl Guest {
    /// Prints what EL2 executes for `work`, done once.
    fn report(&self, name: &'static str, work: Work) -> Result<(), BenchError> {
        println!("bench {name} {}", count(name, work)?);
        Ok(())
    }

    /// Measures probes with a handler that does nothing.
    fn handlers(&self) -> Result<(), BenchError> {
        let Functions { store, hint, add } = self.functions;
        let (entry, brk) = (ProbeKind::Entry, ProbeMode::HiddenBrk);
        self.with_probe(store, entry, brk, |_| {
            self.report("guest_exit_probed_elsewhere", Work::Trap)?;
            self.report("guest_fault_probed_elsewhere", Work::Load(REGISTER))
        })?;
        for (name, at, mode) in [
            ("guest_hidden_brk", store, ProbeMode::HiddenBrk),
            ("guest_hidden_brk_hint", hint, ProbeMode::HiddenBrk),
            ("guest_hidden_brk_step", add, ProbeMode::HiddenBrk),
            ("guest_brk", store, ProbeMode::Brk),
            ("guest_brk_step", add, ProbeMode::Brk),
            ("guest_hvc", store, ProbeMode::Hvc),
            ("guest_hvc_step", add, ProbeMode::Hvc),
            ("guest_stage2_fault", store, ProbeMode::Stage2Fault),
            ("guest_stage2_fault_step", add, ProbeMode::Stage2Fault),
        ] {
            self.with_probe(at, entry, mode, |link| self.hits(name, at, link))?;
        }
        self.with_probe(store, ProbeKind::Return, brk, |returns| {
            self.with_probe(store, entry, brk, |_| {
                self.learn_returns(store)?;
                self.hits("guest_return", store, returns)
            })
        })
    }

    /// Calls `function` until the place to which it returns is known and armed.
    fn learn_returns(&self, function: GuestVirt) -> Result<(), BenchError> {
        count("guest_return", Work::Call(function)).ok();
        self.vm.probes().run_deferred()?;
        Ok(())
    }

    /// Prints what a hit of `link`, which is on the function at `at`, costs, and checks that there were hits.
    fn hits(&self, name: &'static str, at: GuestVirt, link: GuestLinkId) -> Result<(), BenchError> {
        let probes = self.vm.probes();
        let before = probes.counts(link)?;
        self.report(name, Work::Call(at))?;
        let after = probes.counts(link)?;
        let hits = after.hits - before.hits;
        let retired = after.retired - before.retired;
        check_hits(name, hits.min(retired))
    }

    /// Attaches a handler that does nothing for as long as `measure` takes.
    fn with_probe(
        &self,
        at: GuestVirt,
        kind: ProbeKind,
        mode: ProbeMode,
        measure: impl FnOnce(GuestLinkId) -> Result<(), BenchError>,
    ) -> Result<(), BenchError> {
        let probes = self.vm.probes();
        let probe = GuestProbe::new(self.vm.id(), at, kind, mode)?;
        let link = probes.attach(&self.stage1()?, &probe, Arc::new(Count))?;
        let measured = measure(link);
        probes.detach(link)?;
        measured
    }

    fn stage1(&self) -> Result<Stage1, BenchError> {
        self.vm.probes().stage1().ok_or(BenchError::NoGuest)
    }

    /// Measures the shipped programs.
    fn programs(&self) -> Result<(), BenchError> {
        let at = self.functions.store;
        let axebpf = tracing::axebpf().ok_or(BenchError::NoAxebpf)?;
        // Found before the programs are attached, which then know the task.
        axebpf.guest_types(Some(self.vm.id()))?;
        for (name, object) in [
            ("guest_program", "func_count"),
            ("guest_syscalls", "guest_syscalls"),
        ] {
            with_program(object, |axebpf, program| {
                self.with_link(axebpf, program, || self.report(name, Work::Call(at)))
            })?;
        }
        Ok(())
    }

    /// Attaches `program` for as long as `measure` takes, and checks that it has run.
    fn with_link(
        &self,
        axebpf: &Axebpf<TestbedPlatform>,
        program: ProgramId,
        measure: impl FnOnce() -> Result<(), BenchError>,
    ) -> Result<(), BenchError> {
        let target = target(self.vm.id(), self.functions.store);
        let link = axebpf.attach_to(program, &target, &LinkOptions::default())?;
        let measured = measure();
        let counts = axebpf.detach(link)?;
        measured?;
        check_hits("guest_program", counts.hits)
    }
}

/// Names the function at `at` in the guest of VM `vm`.
fn target(vm: VmId, at: GuestVirt) -> Target {
    Target::GuestFunction {
        kind: ProbeType::Kprobe,
        vm: Some(vm),
        symbol: format!("{:#x}", at.get()),
        offset: 0,
    }
}

/// Counts the instructions of `work`, done once.
fn count(name: &'static str, work: Work) -> Result<u64, BenchError> {
    let least = |times| {
        let rounds = desk::measure(Job { work, times }).ok_or(BenchError::NoGuest)?;
        if rounds.agreeing < 2 {
            return Err(BenchError::Unsteady { name });
        }
        Ok(rounds.least)
    };
    let (few, many) = (least(FEW)?, least(MANY)?);
    let added = many.saturating_sub(few);
    if !added.is_multiple_of(MANY - FEW) {
        return Err(BenchError::Unsteady { name });
    }
    Ok(added / (MANY - FEW))
}

/// Checks that there were as many hits as calls.
fn check_hits(name: &'static str, hits: u64) -> Result<(), BenchError> {
    let calls = u64::from(ROUNDS) * (FEW + MANY);
    if hits == calls {
        Ok(())
    } else {
        Err(BenchError::Hits { name, calls, hits })
    }
}
