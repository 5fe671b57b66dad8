//! `vm probe`, `vm probes` and `vm unprobe`: probes on a guest's kernel whose handlers only count.

use alloc::{boxed::Box, collections::BTreeMap, format, string::String, sync::Arc, vec::Vec};

use axebpf::{
    platform::{CpuId, GuestPhys, GuestVirt, VmId},
    probe::kprobe::{
        GuestLinkId, GuestProbe, GuestProbeError, GuestProbeHandler, GuestProbeHit, KernelScan,
        KernelScanError, ProbeKind, ProbeMode, ProbedGuest,
    },
    symbols::{KernelSymbolError, KernelSymbols},
};
use spin::Once;
use thiserror::Error;

use super::{console::println, lock::Lock, sched, task::Task, vm::Vm, vms};

/// How often return sites are armed that hits have asked for.
const DEFERRED_NS: u64 = 4_000_000;

/// The symbols of the guests that were asked for.
static SYMBOLS: Lock<BTreeMap<VmId, Arc<KernelSymbols>>> = Lock::new(BTreeMap::new());

/// What is wrong with a command.
#[derive(Debug, Error)]
#[non_exhaustive]
pub(crate) enum ProbeCommandError {
    /// The guest runs no kernel with translation enabled yet.
    #[error("the guest's kernel does not run yet")]
    NoKernel,
    /// A name is no symbol of the guest's kernel.
    #[error("the guest's kernel has no symbol `{name}`")]
    NoSymbol {
        /// The name.
        name: String,
    },
    /// A word is no mode.
    #[error("`{name}` is no mode; there are auto, brk, hvc, hidden-brk and stage2-fault")]
    NoMode {
        /// The word.
        name: String,
    },
    /// The symbols cannot be found.
    #[error(transparent)]
    Scan(#[from] KernelScanError),
    /// What was found are no symbols.
    #[error(transparent)]
    Symbols(#[from] KernelSymbolError),
    /// The place cannot be probed.
    #[error(transparent)]
    Probe(#[from] GuestProbeError),
}

/// Does nothing: the link counts.
pub(crate) struct Count;

impl GuestProbeHandler for Count {
    fn hit(&self, _hit: &GuestProbeHit<'_>) {}
}

/// Finds the symbols of the guest of `vm` in its memory, unless that was done before.
pub(crate) fn symbols(vm: &Vm) -> Result<Arc<KernelSymbols>, ProbeCommandError> {
    if let Some(known) = SYMBOLS.lock().get(&vm.id()) {
        return Ok(known.clone());
    }
    let memory = vm.memory();
    let range = GuestPhys::new(memory.start)..GuestPhys::new(memory.end);
    let tables = KernelScan::new(&**vm.probes().machine(), range)?.kallsyms()?;
    let found = Arc::new(KernelSymbols::from_compressed(tables)?);
    SYMBOLS.lock().insert(vm.id(), found.clone());
    Ok(found)
}

/// Forgets what is known of VM `id`, which is gone.
pub(crate) fn forget(id: VmId) {
    // Dropped behind the lock, which keeps interrupts masked.
    let known = SYMBOLS.lock().remove(&id);
    drop(known);
}

/// Attaches a probe at `place`, a symbol or an address, in `mode`.
pub(crate) fn attach(vm: &Vm, place: &str, mode: Option<&str>) -> Result<(), ProbeCommandError> {
    let (place, kind) = match place.strip_prefix("ret:") {
        Some(place) => (place, ProbeKind::Return),
        None => (place, ProbeKind::Entry),
    };
    let probes = vm.probes();
    let mode = mode_of(probes, mode.unwrap_or("auto"))?;
    let at = address_of(vm, place)?;
    let stage1 = probes.stage1().ok_or(ProbeCommandError::NoKernel)?;
    let probe = GuestProbe::new(vm.id(), at, kind, mode)?;
    let link = probes.attach(&stage1, &probe, Arc::new(Count))?;
    start_deferred();
    println!("link {}: {place} at {at}, {mode}", link.get());
    Ok(())
}

/// Attaches a probe to each of `count` functions of the guest's kernel, spread evenly over it from one that `seed`
/// chooses, and says how many of them cannot be probed.
pub(crate) fn attach_many(
    vm: &Vm,
    count: usize,
    seed: usize,
    mode: Option<&str>,
) -> Result<(), ProbeCommandError> {
    let probes = vm.probes();
    let mode = mode_of(probes, mode.unwrap_or("auto"))?;
    let stage1 = probes.stage1().ok_or(ProbeCommandError::NoKernel)?;
    let symbols = symbols(vm)?;
    let functions: Vec<_> = symbols.iter().filter(|symbol| symbol.is_code()).collect();
    let stride = (functions.len() / count.max(1)).max(1);
    let mut refused: BTreeMap<String, usize> = BTreeMap::new();
    let mut attached = 0;
    for function in functions
        .iter()
        .skip(seed % stride)
        .step_by(stride)
        .take(count)
    {
        let at = GuestVirt::new(function.address());
        let link = GuestProbe::new(vm.id(), at, ProbeKind::Entry, mode)
            .and_then(|probe| probes.attach(&stage1, &probe, Arc::new(Count)));
        match link {
            Ok(_) => attached += 1,
            Err(error) => *refused.entry(reason(&error)).or_default() += 1,
        }
    }
    println!(
        "{attached} of {} functions are probed, {mode}",
        functions.len()
    );
    for (reason, count) in refused {
        println!("  {count} refused: {reason}");
    }
    Ok(())
}

/// Returns what an error says, without the addresses in it.
fn reason(error: &GuestProbeError) -> String {
    let text = format!("{error}");
    let words: Vec<&str> = text
        .split(' ')
        .filter(|word| !word.contains("0x"))
        .collect();
    words.join(" ")
}

fn mode_of(probes: &ProbedGuest, name: &str) -> Result<ProbeMode, ProbeCommandError> {
    match name {
        "auto" => Ok(probes
            .capabilities()
            .best_mode()
            .map_err(GuestProbeError::from)?),
        "hidden-brk" => Ok(ProbeMode::HiddenBrk),
        "brk" => Ok(ProbeMode::Brk),
        "hvc" => Ok(ProbeMode::Hvc),
        "stage2-fault" => Ok(ProbeMode::Stage2Fault),
        _ => Err(ProbeCommandError::NoMode { name: name.into() }),
    }
}

fn address_of(vm: &Vm, place: &str) -> Result<GuestVirt, ProbeCommandError> {
    let (name, offset) = place.split_once('+').unwrap_or((place, "0"));
    let no_symbol = || ProbeCommandError::NoSymbol { name: place.into() };
    let offset = number(offset).ok_or_else(no_symbol)?;
    let base = match number(name) {
        Some(address) => address,
        None => symbols(vm)?
            .lookup_name(name)
            .ok_or_else(no_symbol)?
            .address(),
    };
    Ok(GuestVirt::new(base.wrapping_add(offset)))
}

fn number(text: &str) -> Option<u64> {
    match text.strip_prefix("0x") {
        Some(digits) => u64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Prints the probes of `vm` and what they have counted.
pub(crate) fn print(vm: &Vm) -> Result<(), ProbeCommandError> {
    let probes = vm.probes();
    println!(
        "{:>4} {:>12} {:>12} {:>8}  STATE",
        "LINK", "HITS", "RETIRED", "MISSED"
    );
    // With many, only those that have something to tell.
    let links = probes.links();
    let shown = |hits| links.len() <= 32 || hits != 0;
    for &link in &links {
        let counts = probes.counts(link)?;
        if !shown(counts.hits) {
            continue;
        }
        println!(
            "{:>4} {:>12} {:>12} {:>8}  {:?}",
            link.get(),
            counts.hits,
            counts.retired,
            counts.missed,
            probes.link_state(link)?
        );
    }
    println!("{:?}", probes.statistics());
    Ok(())
}

/// Detaches the probe of link `number`, or all.
pub(crate) fn detach(vm: &Vm, number: Option<u64>) -> Result<(), ProbeCommandError> {
    let probes = vm.probes();
    let chosen = |link: &GuestLinkId| number.is_none_or(|number| link.get() == number);
    let links: Vec<GuestLinkId> = probes.links().into_iter().filter(chosen).collect();
    for &link in &links {
        let counts = probes.detach(link)?;
        if links.len() > 32 && counts.hits == 0 {
            continue;
        }
        println!(
            "link {}: {} hits, {} retired, {} missed",
            link.get(),
            counts.hits,
            counts.retired,
            counts.missed
        );
    }
    Ok(())
}

/// Starts the task that arms return sites, once.
pub(crate) fn start_deferred() {
    static STARTED: Once<()> = Once::new();
    STARTED.call_once(|| {
        let body = Box::new(|| {
            loop {
                sched::sleep(DEFERRED_NS);
                run_deferred();
            }
        });
        match Task::new("guest-probes".into(), CpuId::new(0), None, body) {
            Some(task) => sched::spawn(Arc::new(task)),
            None => println!("no memory left for the task that arms return sites"),
        }
    });
}

fn run_deferred() {
    for vm in vms::all() {
        if vm.probes().has_deferred()
            && let Err(error) = vm.probes().run_deferred()
        {
            println!("vm {}: a return site is not armed: {error}", vm.id());
        }
    }
}
