//! `bench`: what a tracepoint costs, in instructions that EL2 executes.
//!
//! Two functions are the same but for a tracepoint. Each line of output is `bench NAME INSTRUCTIONS`; the cost of the
//! counting itself is subtracted.

use core::hint::black_box;

use axebpf::{
    LinkOptions, LoadOptions, Unload, programs,
    tracepoint::{EnableOptions, Recording, TpError, TracepointManager, trace, vmm},
};
use thiserror::Error;

use super::{console::println, pmu, tracing};

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
    /// A program could not be loaded or attached.
    #[error(transparent)]
    Axebpf(#[from] axebpf::Error),
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
    with_program("exit_count", empty)
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

fn with_program(name: &str, empty: u64) -> Result<(), BenchError> {
    let axebpf = tracing::axebpf().ok_or(BenchError::NoAxebpf)?;
    let Some(object) = programs::find(name) else {
        return Ok(());
    };
    let object = axebpf.load(name, object.elf, &LoadOptions::default())?;
    let measured = axebpf
        .programs()
        .map_err(BenchError::from)
        .and_then(|programs| {
            for program in programs.iter().filter(|program| program.object == object) {
                let link = axebpf.attach(program.id, &LinkOptions::default())?;
                report(name, bench_twin_traced, empty);
                axebpf.detach(link)?;
            }
            Ok(())
        });
    axebpf.unload(object, Unload::Force)?;
    measured
}
