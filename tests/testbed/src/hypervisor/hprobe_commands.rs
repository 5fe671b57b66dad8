//! `hprobe-try` and `hprobe-sweep`: probes with handlers that only count.

use alloc::{sync::Arc, vec::Vec};

use axebpf::{
    platform::HostVirt,
    probe::hprobe::{
        self, Execution, HprobeError, HprobeHandler, HprobeHit, HprobeLink, LinkOptions, ProbePoint,
    },
    symbols::{Glob, Symbol},
};

use super::{console::println, sched, tracing};

/// For how long `hprobe-try` waits for hits.
const TRY_NS: u64 = 300_000_000;

/// Does nothing: the link counts.
pub(crate) struct Count;

impl HprobeHandler for Count {
    fn hit(&self, _hit: &HprobeHit<'_>) {}
}

/// Attaches a handler that counts to each of `points`, in one link.
pub(crate) fn count(points: &[ProbePoint]) -> Result<HprobeLink, HprobeError> {
    hprobe::attach(points, Arc::new(Count), LinkOptions::default())
}

/// Returns the first instruction of the function at `function` that is executed in a slot, as an offset.
pub(crate) fn slot_offset(function: HostVirt) -> Option<u64> {
    const LOOKED_AT: u64 = 16;
    let is_in_slot = |offset: u64| {
        let point = ProbePoint::entry(function, offset)?;
        let _link = count(&[point])?;
        let points = hprobe::list()?;
        let point = points.iter().find(|info| info.at == point.at());
        Ok::<_, HprobeError>(point.is_some_and(|info| info.execution == Execution::OutOfLine))
    };
    (0..LOOKED_AT)
        .map(|index| 4 * index)
        .find(|&offset| is_in_slot(offset).unwrap_or(false))
}

/// Probes the functions whose names match `glob` for a moment, and tells whether that was possible.
pub(crate) fn try_glob(glob: &str) -> bool {
    let (Ok(glob), Some(symbols)) = (Glob::new(glob), tracing::symbols()) else {
        println!("usage: hprobe-try GLOB");
        return false;
    };
    let points: Result<Vec<_>, _> = symbols
        .matching(&glob)
        .filter(Symbol::is_code)
        .map(|symbol| ProbePoint::entry(HostVirt::new(symbol.address()), 0))
        .collect();
    let tried = points.and_then(|points| {
        let link = count(&points)?;
        sched::sleep(TRY_NS);
        link.detach()?;
        println!(
            "{} points, {} hits, {} missed",
            points.len(),
            link.hits(),
            link.missed()
        );
        Ok(())
    });
    if let Err(error) = &tried {
        println!("error: {error}");
    }
    tried.is_ok()
}

/// What a sweep came to.
#[derive(Default)]
struct Sweep {
    probed: Vec<ProbePoint>,
    refused: usize,
    hits: u64,
    missed: u64,
}

/// Probes all functions of the hypervisor, one after the other and then all at once, each for a moment.
pub(crate) fn sweep() -> bool {
    let Some(symbols) = tracing::symbols() else {
        println!("there are no symbols");
        return false;
    };
    let mut sweep = Sweep::default();
    let mut last = None;
    for symbol in symbols.iter().filter(|symbol| symbol.is_code()) {
        if last.replace(symbol.address()) == Some(symbol.address()) {
            continue;
        }
        let probed = ProbePoint::entry(HostVirt::new(symbol.address()), 0)
            .and_then(|point| sweep.probe(point));
        if let Err(error) = probed {
            sweep.refused += 1;
            println!("{symbol}: {error}");
        }
    }
    println!(
        "one after the other: {} probed, {} refused, {} hits, {} missed",
        sweep.probed.len(),
        sweep.refused,
        sweep.hits,
        sweep.missed
    );
    let all = count(&sweep.probed).and_then(|link| {
        sched::sleep(TRY_NS);
        link.detach()?;
        println!(
            "all at once: {} hits, {} missed",
            link.hits(),
            link.missed()
        );
        Ok(())
    });
    if let Err(error) = &all {
        println!("error: {error}");
    }
    all.is_ok()
}

impl Sweep {
    fn probe(&mut self, point: ProbePoint) -> Result<(), HprobeError> {
        let link = count(&[point])?;
        sched::sleep(1_000_000);
        link.detach()?;
        self.probed.push(point);
        self.hits += link.hits();
        self.missed += link.missed();
        Ok(())
    }
}
