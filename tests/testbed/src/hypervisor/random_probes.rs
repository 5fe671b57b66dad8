//! `vm probe-many`: probes on functions that are chosen at random.

use alloc::{collections::BTreeMap, sync::Arc, vec::Vec};

use axebpf::{
    platform::GuestVirt,
    probe::kprobe::{GuestProbe, GuestProbeError, ProbeKind, WalkProblem},
    symbols::KernelSymbols,
};

use super::{
    console::println,
    guest_probes::{Count, ProbeCommandError, mode_of, stage1, symbols},
    vm::Vm,
};

/// Attaches a probe to each of `count` functions of the guest's kernel, and says how many of them cannot be probed and
/// why. The same functions are chosen for the same `seed`.
pub(crate) fn attach(
    vm: &Vm,
    count: usize,
    mode: Option<&str>,
    seed: u64,
) -> Result<(), ProbeCommandError> {
    let probes = vm.probes();
    let mode = mode_of(probes, mode.unwrap_or("auto"))?;
    let symbols = symbols(vm)?;
    let mut functions = functions(&symbols);
    // It is not gone after the kernel has started.
    let lasting = symbols.lookup_name("schedule").map(|found| found.address());
    let stage1 = stage1(vm, GuestVirt::new(lasting.unwrap_or_default()))?;
    let chosen = choose(&mut functions, count, seed);
    let mut refused: BTreeMap<&'static str, Vec<GuestVirt>> = BTreeMap::new();
    for &at in chosen {
        let link = GuestProbe::new(vm.id(), at, ProbeKind::Entry, mode)
            .and_then(|probe| probes.attach(&stage1, &probe, Arc::new(Count)));
        if let Err(error) = link {
            refused.entry(class(&error)).or_default().push(at);
        }
    }
    let refusals: usize = refused.values().map(Vec::len).sum();
    println!(
        "seed {seed}: {} attached, {refusals} refused, {mode}",
        chosen.len() - refusals
    );
    for (class, places) in refused {
        for at in places {
            let name = symbols.lookup_address(at.get());
            let name = name.as_ref().map_or("?", |found| found.symbol.name());
            println!("  refused: {class}: {name}");
        }
    }
    Ok(())
}

/// Returns the addresses of all functions.
fn functions(symbols: &KernelSymbols) -> Vec<GuestVirt> {
    let code = symbols.iter().filter(|symbol| symbol.is_code());
    let mut functions: Vec<_> = code
        .map(|symbol| GuestVirt::new(symbol.address()))
        .collect();
    functions.sort_unstable();
    // Some have several names.
    functions.dedup();
    functions
}

/// Moves as many functions as are wanted to the front, and returns those.
fn choose(functions: &mut [GuestVirt], count: usize, seed: u64) -> &[GuestVirt] {
    let count = count.min(functions.len());
    let mut random = Random(seed);
    for index in 0..count {
        let left = (functions.len() - index) as u64;
        functions.swap(index, index + (random.next() % left) as usize);
    }
    &functions[..count]
}

/// Numbers without a pattern: a counter whose bits are mixed (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }
}

/// Returns what kind of refusal an error is. `docs/integration.md` says what each means.
fn class(error: &GuestProbeError) -> &'static str {
    match error {
        GuestProbeError::Refused { .. } => "not displaceable",
        GuestProbeError::NeedsStep { .. } => "needs a step",
        GuestProbeError::LandingPad { .. } => "landing pad",
        GuestProbeError::ExecutableByPrograms { .. } => "for programs, too",
        GuestProbeError::InExclusive { .. } => "in exclusives",
        GuestProbeError::NotExecutable { .. } => "not executable",
        GuestProbeError::Walk(fault) if matches!(fault.problem, WalkProblem::Invalid { .. }) => {
            "not mapped"
        }
        GuestProbeError::Alias { .. } => "probed elsewhere",
        GuestProbeError::PageMode { .. } => "other mode",
        _ => "failed",
    }
}
