//! `hprobe-sweep instructions` and `hprobe-sweep returns`: probes wherever probes may be.

use alloc::vec::Vec;

use axebpf::{
    platform::HostVirt,
    probe::hprobe::{HprobeError, ProbePoint},
    symbols::Symbol,
};

use super::{console::println, hprobe_commands::count, sched, tracing};

/// How long each function is probed.
const MOMENT_NS: u64 = 1_000_000;
/// How long all functions are probed at once.
const ALL_NS: u64 = 1_000_000_000;

/// How many instructions are probed at once: each may take a slot.
const AT_ONCE: usize = 512;

/// What the probes of one sweep have counted.
#[derive(Default)]
struct Counts {
    probed: usize,
    refused: usize,
    hits: u64,
    missed: u64,
}

impl Counts {
    /// Probes those of `points` that may be probed, for `ns` nanoseconds, all at once. Leaves out the others.
    fn probe(&mut self, points: &mut Vec<ProbePoint>, ns: u64) -> Result<(), HprobeError> {
        while !points.is_empty() {
            match count(points) {
                Ok(link) => {
                    sched::sleep(ns);
                    link.detach()?;
                    self.probed += points.len();
                    self.hits += link.hits();
                    self.missed += link.missed();
                    return Ok(());
                }
                Err(error) => {
                    let refused = refused(&error).ok_or(error)?;
                    points.retain(|point| point.at() != refused);
                    self.refused += 1;
                }
            }
        }
        Ok(())
    }

    fn print(&self, what: &str) {
        let Self {
            probed,
            refused,
            hits,
            missed,
        } = self;
        println!("{what}: {probed} probed, {refused} refused, {hits} hits, {missed} missed");
    }
}

/// Returns the place that must not be probed, if that is what is wrong.
fn refused(error: &HprobeError) -> Option<HostVirt> {
    match *error {
        HprobeError::Protected { at, .. }
        | HprobeError::Refused { at, .. }
        | HprobeError::InExclusiveSequence { at, .. }
        | HprobeError::NotText { at, .. } => Some(at),
        _ => None,
    }
}

/// Returns the functions, one for each address.
fn functions() -> Vec<Symbol<'static>> {
    let Some(symbols) = tracing::symbols() else {
        return Vec::new();
    };
    let mut functions: Vec<_> = symbols.iter().filter(Symbol::is_code).collect();
    functions.dedup_by_key(|symbol| symbol.address());
    functions
}

/// Probes all instructions of each function at once, as far as there are slots, one function after the other.
pub(crate) fn instructions() -> bool {
    let all = |symbol: &Symbol<'_>| {
        let start = HostVirt::new(symbol.address());
        let offsets = (0..symbol.size().max(4)).step_by(4);
        offsets
            .map(|offset| ProbePoint::entry(start, offset))
            .collect()
    };
    finish(each(all).map(drop))
}

/// Probes the return of each function, one after the other, and then of all at once.
pub(crate) fn returns() -> bool {
    let point = |symbol: &Symbol<'_>| ProbePoint::returning(HostVirt::new(symbol.address()));
    let all_at_once = |mut points: Vec<ProbePoint>| {
        let mut counts = Counts::default();
        counts.probe(&mut points, ALL_NS)?;
        counts.print("all at once");
        Ok(())
    };
    finish(each(|symbol| Ok(Vec::from([point(symbol)?]))).and_then(all_at_once))
}

/// Probes the places that `points` says for each function, one function after the other, and returns those that may be
/// probed.
fn each(
    points: impl Fn(&Symbol<'_>) -> Result<Vec<ProbePoint>, HprobeError>,
) -> Result<Vec<ProbePoint>, HprobeError> {
    let mut counts = Counts::default();
    let mut probed = Vec::new();
    for symbol in functions() {
        for points in points(&symbol)?.chunks(AT_ONCE) {
            let mut points = points.to_vec();
            counts
                .probe(&mut points, MOMENT_NS)
                .inspect_err(|_| println!("at {symbol}"))?;
            probed.append(&mut points);
        }
    }
    counts.print("one after the other");
    Ok(probed)
}

fn finish(result: Result<(), HprobeError>) -> bool {
    if let Err(error) = &result {
        println!("error: {error}");
    }
    result.is_ok()
}
