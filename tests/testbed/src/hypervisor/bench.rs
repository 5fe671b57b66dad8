//! `bench`: what tracepoints and probes cost, in instructions that EL2 executes.
//!
//! Two functions are the same but for a tracepoint; one of them is also probed. Each line of output is `bench NAME
//! INSTRUCTIONS`; the cost of the counting itself is subtracted, and from that of a probe, `hprobe_*`, what the
//! function executes without. Those that begin with `guest_` are about guests: see `guest`.

mod desk;
mod guest;

use core::{arch::asm, hint::black_box};

use axebpf::probe::kprobe::GuestProbeError;
use axebpf::{
    Axebpf, LinkOptions, LoadOptions, ProbeType, ProgramId, Target, Unload,
    platform::HostVirt,
    probe::hprobe::{HprobeError, ProbePoint},
    programs,
    tracepoint::{EnableOptions, Recording, TpError, TracepointManager, trace, vmm},
};
use thiserror::Error;

pub(crate) use self::desk::{NEXT, NOTHING, next};
use super::{
    console::println,
    hprobe_commands::{self, slot_offset},
    platform::TestbedPlatform,
    pmu, tracing, vectors,
    vm_error::VmError,
};

/// The event that the twin has; `exit_count` attaches to it by its section.
const EVENT: &str = "vmm:vcpu_run_exit";

/// What can keep a measurement from being one.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum BenchError {
    /// The CPU has no counter for instructions.
    #[error(
        "this CPU does not count instructions (PMCEID0_EL0 bit 8 is clear); run QEMU with -icount shift=0"
    )]
    NoCounter,
    /// The counter does not count.
    #[error("the counter stands still; run QEMU with -icount shift=0")]
    NoIcount,
    /// Somebody listens to the tracepoint already.
    #[error("{EVENT} is in use; `trace disable {EVENT}` and detach its links first")]
    InUse,
    /// There is no tracing.
    #[error("axebpf did not start")]
    NoAxebpf,
    /// A tracepoint could not be switched.
    #[error(transparent)]
    Tracepoint(#[from] TpError),
    /// A function could not be probed.
    #[error(transparent)]
    Hprobe(#[from] HprobeError),
    /// A program could not be loaded or attached.
    #[error(transparent)]
    Axebpf(#[from] axebpf::Error),
    /// A VM could not be made, or not be stopped.
    #[error(transparent)]
    Vm(#[from] VmError),
    /// A function of the guest could not be probed.
    #[error(transparent)]
    GuestProbe(#[from] GuestProbeError),
    /// The guest does not do what it is told.
    #[error("the guest does not answer")]
    NoGuest,
    /// The same thing does not take the same instructions each time.
    #[error("`{name}` takes another number of instructions each time")]
    Unsteady {
        /// What was measured.
        name: &'static str,
    },
    /// A probe has not seen what the guest did.
    #[error("`{name}`: {calls} calls were hit {hits} times")]
    Hits {
        /// What was measured.
        name: &'static str,
        /// How often the guest called the function.
        calls: u64,
        /// How often its probe was hit.
        hits: u64,
    },
}

#[inline(never)]
extern "C" fn nothing(argument: u64) -> u64 {
    argument
}

/// Something that the twins call, as functions of a hypervisor do.
#[inline(never)]
fn callee(argument: u64) -> u64 {
    black_box(argument) + 1
}

/// The twin without a tracepoint.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn bench_twin_plain(argument: u64) -> u64 {
    let first = callee(argument);
    callee(first ^ argument)
}

/// The twin with a tracepoint.
#[unsafe(no_mangle)]
#[inline(never)]
extern "C" fn bench_twin_traced(argument: u64) -> u64 {
    let first = callee(argument);
    trace!(vmm::vcpu_run_exit {
        vm_id: 0,
        vcpu_id: 0,
        reason: 0,
        pc: argument,
        esr: 0,
        far: 0,
        gpa: 0,
    });
    callee(first ^ argument)
}

/// Measures and prints everything.
pub(crate) fn run() -> Result<(), BenchError> {
    if !pmu::counts_instructions() {
        return Err(BenchError::NoCounter);
    }
    pmu::start();
    let empty = pmu::count(nothing);
    if empty == 0 {
        return Err(BenchError::NoIcount);
    }
    if vmm::vcpu_run_exit.enabled() {
        return Err(BenchError::InUse);
    }
    println!("bench empty {empty}");
    report("plain", bench_twin_plain, empty);
    report("disabled", bench_twin_traced, empty);
    with_manager("statistics", Recording::Off, empty)?;
    with_manager("recorded", Recording::On, empty)?;
    with_program("exit_count", |axebpf, program| {
        with_link(
            axebpf,
            program,
            None,
            "exit_count",
            bench_twin_traced,
            empty,
        )
    })?;
    hprobes(empty)?;
    guest::run()
}

/// Does nothing but to trap, and to return from that.
extern "C" fn bench_trap(argument: u64) -> u64 {
    // SAFETY: the vector for synchronous exceptions goes on behind it, with all registers as they were.
    unsafe { asm!("brk #{}", const vectors::BENCH_BRK, options(nostack, preserves_flags)) };
    argument
}

/// Measures what probes on a function cost, above what the function does without, with a handler that does nothing.
fn hprobes(empty: u64) -> Result<(), BenchError> {
    let target: extern "C" fn(u64) -> u64 = bench_twin_plain;
    let function = HostVirt::new(target as usize as u64);
    report("hprobe_floor", bench_trap, empty);
    let plain = pmu::count(bench_twin_plain);
    let entry = ProbePoint::entry(function, 0)?;
    let returning = ProbePoint::returning(function)?;
    let in_slot = slot_offset(function).map(|offset| ProbePoint::entry(function, offset));
    let measured: [(&str, &[ProbePoint]); 3] = [
        ("hprobe_simulated", &[entry]),
        ("hprobe_slot", &[in_slot.unwrap_or(Ok(entry))?]),
        ("hprobe_entry_and_return", &[entry, returning]),
    ];
    for (name, points) in measured {
        let link = hprobe_commands::count(points)?;
        report(name, bench_twin_plain, plain);
        link.detach()?;
    }
    let slot = slot_offset(function).unwrap_or(0);
    with_program("func_count", |axebpf, program| {
        for (name, kind, offset) in [
            ("hprobe_simulated_program", ProbeType::Hprobe, 0),
            ("hprobe_slot_program", ProbeType::Hprobe, slot),
        ] {
            let target = function_target(kind, offset);
            with_link(
                axebpf,
                program,
                Some(&target),
                name,
                bench_twin_plain,
                plain,
            )?;
        }
        Ok(())
    })?;
    with_program("func_latency", |axebpf, program| {
        let target = function_target(ProbeType::Hretprobe, 0);
        let name = "hprobe_return_program";
        with_link(
            axebpf,
            program,
            Some(&target),
            name,
            bench_twin_plain,
            plain,
        )
    })
}

fn function_target(kind: ProbeType, offset: u64) -> Target {
    Target::Function {
        kind,
        symbol: "bench_twin_plain".into(),
        offset,
    }
}

fn report(name: &str, work: extern "C" fn(u64) -> u64, empty: u64) {
    println!("bench {name} {}", pmu::count(work).saturating_sub(empty));
}

fn with_manager(name: &str, recording: Recording, empty: u64) -> Result<(), BenchError> {
    let manager = TracepointManager::global();
    manager.enable_with(
        EVENT,
        EnableOptions {
            recording,
            ..EnableOptions::default()
        },
    )?;
    report(name, bench_twin_traced, empty);
    manager.disable(EVENT)?;
    Ok(())
}

/// Loads a shipped object, and measures with each of its programs.
fn with_program(
    name: &str,
    measure: impl Fn(&Axebpf<TestbedPlatform>, ProgramId) -> Result<(), BenchError>,
) -> Result<(), BenchError> {
    let axebpf = tracing::axebpf().ok_or(BenchError::NoAxebpf)?;
    let Some(object) = programs::find(name) else {
        return Ok(());
    };
    let object = axebpf.load(name, object.elf, &LoadOptions::default())?;
    let measured = axebpf
        .programs()
        .map_err(BenchError::from)
        .and_then(|programs| {
            let mut own = programs.iter().filter(|program| program.object == object);
            own.try_for_each(|program| measure(axebpf, program.id))
        });
    axebpf.unload(object, Unload::Force)?;
    measured
}

/// Measures `work` while `program` is attached, to where its section says unless to `target`.
fn with_link(
    axebpf: &Axebpf<TestbedPlatform>,
    program: ProgramId,
    target: Option<&Target>,
    name: &str,
    work: extern "C" fn(u64) -> u64,
    without: u64,
) -> Result<(), BenchError> {
    let options = LinkOptions::default();
    let link = match target {
        Some(target) => axebpf.attach_to(program, target, &options)?,
        None => axebpf.attach(program, &options)?,
    };
    report(name, work, without);
    axebpf.detach(link)?;
    Ok(())
}
