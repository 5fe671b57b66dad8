//! `vm probe`, `vm probes` and `vm unprobe`: probes on a guest's kernel whose handlers only count.

use alloc::{string::String, sync::Arc, vec::Vec};

use axebpf::{
    platform::GuestVirt,
    probe::kprobe::{
        Access, GuestLinkId, GuestProbe, GuestProbeError, GuestProbeHandler, GuestProbeHit,
        ProbeKind, ProbeMode, ProbedGuest, Stage1,
    },
    symbols::KernelSymbols,
};
use thiserror::Error;

use super::{console::println, sched, tracing, vm::Vm};

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
    /// A word is no number.
    #[error("`{word}` is no number")]
    NoNumber {
        /// The word.
        word: String,
    },
    /// There is no link with a number.
    #[error("no probe on the guest has number {link}; `vm probes` shows what there is")]
    NoLink {
        /// The number.
        link: u64,
    },
    /// Nobody keeps the symbols of guests.
    #[error("axebpf has not started, so that no symbols are known")]
    NoAxebpf,
    /// The symbols are not known.
    #[error(transparent)]
    Symbols(#[from] axebpf::Error),
    /// The place cannot be probed.
    #[error(transparent)]
    Probe(#[from] GuestProbeError),
}

/// Does nothing: the link counts.
pub(crate) struct Count;

impl GuestProbeHandler for Count {
    fn hit(&self, _hit: &GuestProbeHit<'_>) {}
}

/// Returns the symbols of the kernel that the guest of `vm` runs, which are those that programs are attached by.
pub(super) fn symbols(vm: &Vm) -> Result<Arc<KernelSymbols>, ProbeCommandError> {
    let axebpf = tracing::axebpf().ok_or(ProbeCommandError::NoAxebpf)?;
    Ok(axebpf.guest_symbols(vm.id())?)
}

/// Returns how the kernel of the guest of `vm` translates addresses, `at` among them.
///
/// A Linux kernel with page table isolation has other tables at the edges to its programs, which map hardly anything. A
/// vCPU may have been seen just there: look again, a few times.
pub(super) fn stage1(vm: &Vm, at: GuestVirt) -> Result<Stage1, ProbeCommandError> {
    const TRIES: u32 = 25;
    const PAUSE_NS: u64 = 4_000_000;
    let probes = vm.probes();
    let seen = || probes.stage1().ok_or(ProbeCommandError::NoKernel);
    let mut stage1 = seen()?;
    for _ in 0..TRIES {
        let found = stage1.translate(&**probes.machine(), at, Access::Fetch);
        if found.is_ok() {
            break;
        }
        sched::sleep(PAUSE_NS);
        stage1 = seen()?;
    }
    Ok(stage1)
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
    let stage1 = stage1(vm, at)?;
    let probe = GuestProbe::new(vm.id(), at, kind, mode)?;
    let link = probes.attach(&stage1, &probe, Arc::new(Count))?;
    println!("link {}: {place} at {at}, {mode}", link.get());
    Ok(())
}

/// Returns the mode that is called `name`.
pub(super) fn mode_of(probes: &ProbedGuest, name: &str) -> Result<ProbeMode, ProbeCommandError> {
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

/// Reads a number: hexadecimal with `0x`, or decimal.
pub(super) fn number(text: &str) -> Option<u64> {
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
    if let (Some(link), []) = (number, links.as_slice()) {
        return Err(ProbeCommandError::NoLink { link });
    }
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
