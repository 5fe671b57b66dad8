//! Setting up probes on the hypervisor's own functions.

use alloc::{string::String, vec::Vec};
use core::ops::Range;

use axebpf_hprobe::{Blacklist, BranchTargets, Config, Protection, SignFn, StoreFn};
use axebpf_platform::{HostVirt, Platform};
use axebpf_symbols::{Glob, Symbol, SymbolTable};

use super::{
    FUNCTIONS, Functions,
    closed::{CLOSED, Closed, NEVER_REACHED, Reach},
};
use crate::Error;

/// What a hypervisor says about itself before its functions can be probed.
///
/// Closed to probes without being asked is what a hit executes in axebpf and in the platform, and what writing text
/// executes, with all that these call. A hypervisor adds its own trap entry and exit.
///
/// # Examples
///
/// ```no_run
/// use axebpf::HprobeSetup;
/// use axebpf::platform::HostVirt;
/// use axebpf::probe::hprobe::Protection;
/// # fn symbols() -> &'static axebpf::symbols::SymbolTable<'static> { unimplemented!() }
/// # fn simulated_store(_: u64, _: &[u8]) {}
/// # let (text, vectors) = (0x4020_0000..0x4040_0000, 0x4020_0800..0x4020_1000);
///
/// // After `Axebpf::new`, when the symbols are there.
/// HprobeSetup::new(symbols(), HostVirt::new(text.start)..HostVirt::new(text.end))
///     .close_range(HostVirt::new(vectors.start)..HostVirt::new(vectors.end), Protection::TrapEntry)
///     .close("my_hypervisor::vectors::*", Protection::TrapEntry)
///     .install()?;
/// # Ok::<(), axebpf::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "it does nothing until it is installed"]
pub struct HprobeSetup {
    symbols: &'static SymbolTable<'static>,
    text: Range<HostVirt>,
    ranges: Vec<(Range<HostVirt>, Protection)>,
    closed: Vec<Closed<String>>,
    never_reached: Vec<String>,
    branch_targets: BranchTargets,
    store: Option<StoreFn>,
    sign: Option<SignFn>,
    return_capacity: Option<usize>,
}

impl HprobeSetup {
    /// Starts with the symbols of the image and the range of its text.
    pub fn new(symbols: &'static SymbolTable<'static>, text: Range<HostVirt>) -> Self {
        Self {
            symbols,
            text,
            ranges: Vec::new(),
            closed: Vec::new(),
            never_reached: Vec::new(),
            branch_targets: BranchTargets::Unimplemented,
            store: None,
            sign: None,
            return_capacity: None,
        }
    }

    /// Closes a range of text, such as the exception vectors.
    pub fn close_range(mut self, range: Range<HostVirt>, why: Protection) -> Self {
        self.ranges.push((range, why));
        self
    }

    /// Closes the functions whose names match `glob`, mangled or demangled.
    pub fn close(self, glob: &str, why: Protection) -> Self {
        self.close_to(glob, why, Reach::Alone)
    }

    /// Closes the functions whose names match `glob`, and those that they call, directly or through others.
    ///
    /// Calls through pointers are not followed.
    pub fn close_reachable(self, glob: &str, why: Protection) -> Self {
        self.close_to(glob, why, Reach::WithCallees)
    }

    fn close_to(mut self, glob: &str, why: Protection, reach: Reach) -> Self {
        self.closed.push(Closed {
            glob: glob.into(),
            why,
            reach,
        });
        self
    }

    /// Says that the functions whose names match `glob` are never come to in a hit although there is a call, such as
    /// what reports a bug. They stay open.
    pub fn never_reached(mut self, glob: &str) -> Self {
        self.never_reached.push(glob.into());
        self
    }

    /// Says what indirect branches find in the text (`FEAT_BTI`). Nothing in particular, unless told.
    pub fn with_branch_targets(mut self, branch_targets: BranchTargets) -> Self {
        self.branch_targets = branch_targets;
        self
    }

    /// Has stores to the stack simulated, as [`Config::with_store`] says.
    pub fn with_store(mut self, store: StoreFn) -> Self {
        self.store = Some(store);
        self
    }

    /// Has the signing of return addresses simulated, as [`Config::with_signing`] says.
    pub fn with_signing(mut self, sign: SignFn) -> Self {
        self.sign = Some(sign);
        self
    }

    /// Says how many calls can be waiting for their return at a time, in all.
    pub fn with_return_capacity(mut self, calls: usize) -> Self {
        self.return_capacity = Some(calls);
        self
    }

    /// Works out what is closed, and opens the rest to probes. Once for each image, after
    /// [`Axebpf::new`](crate::Axebpf::new).
    ///
    /// # Errors
    ///
    /// [`Error::Hprobe`] when it was called before, when there is no platform yet, or when the functions that are
    /// closed cannot be followed; [`Error::BadGlob`] for a glob that is none.
    pub fn install(self) -> Result<(), Error> {
        let platform = axebpf_hit::platform().ok_or(Error::NoHprobes)?;
        let blacklist = self.blacklist(platform)?;
        let mut config = Config::new(blacklist.clone()).with_branch_targets(self.branch_targets);
        if let Some(store) = self.store {
            config = config.with_store(store);
        }
        if let Some(sign) = self.sign {
            config = config.with_signing(sign);
        }
        if let Some(calls) = self.return_capacity {
            config = config.with_return_capacity(calls);
        }
        axebpf_hprobe::install(config)?;
        FUNCTIONS.call_once(|| Functions {
            symbols: self.symbols,
            blacklist,
            platform,
        });
        Ok(())
    }

    /// Makes the list of what must not be probed. What the hypervisor says comes first, as the first reason is shown.
    fn blacklist(&self, platform: &'static dyn Platform) -> Result<Blacklist, Error> {
        let mut blacklist = Blacklist::new(self.text.clone())?;
        for (range, why) in &self.ranges {
            blacklist.protect(range.clone(), *why)?;
        }
        for at in axebpf_tp::events().flat_map(axebpf_tp::Event::places) {
            let end = at.checked_add(4).unwrap_or(at);
            blacklist.protect(at..end, Protection::Patched)?;
        }
        let ends = self.ends()?;
        let function_at = |at: HostVirt| self.function_at(at, &ends);
        // Called through pointers, so that nothing else leads there.
        let store = self.store.map(|store| HostVirt::new(store as usize as u64));
        let sign = self.sign.map(|sign| HostVirt::new(sign as usize as u64));
        let called = store.into_iter().chain(sign);
        blacklist.protect_reachable(called, &function_at, platform, Protection::HitPath)?;
        let own = self.closed.iter().map(|closed| Closed {
            glob: closed.glob.as_str(),
            why: closed.why,
            reach: closed.reach,
        });
        for Closed { glob, why, reach } in own.chain(CLOSED) {
            let glob = compile(glob)?;
            let functions = self.symbols.matching(&glob).filter(Symbol::is_code);
            match reach {
                Reach::Alone => {
                    for symbol in functions {
                        blacklist.protect(self.range(&symbol), why)?;
                    }
                }
                Reach::WithCallees => {
                    let roots: Vec<_> = functions.map(|s| HostVirt::new(s.address())).collect();
                    blacklist.protect_reachable(roots, &function_at, platform, why)?;
                }
            }
        }
        Ok(blacklist)
    }

    /// Returns where the functions are at which a search ends.
    fn ends(&self) -> Result<Vec<u64>, Error> {
        let own = self.never_reached.iter().map(String::as_str);
        let mut ends = Vec::new();
        for glob in own.chain(NEVER_REACHED) {
            let glob = compile(glob)?;
            ends.extend(self.symbols.matching(&glob).map(|symbol| symbol.address()));
        }
        ends.sort_unstable();
        Ok(ends)
    }

    /// Returns the function around an address, unless it is where a search ends. Where there is none that is known, it
    /// is one that starts there.
    fn function_at(&self, at: HostVirt, ends: &[u64]) -> Option<Range<HostVirt>> {
        if !self.text.contains(&at) {
            return None;
        }
        let Some(location) = self.symbols.lookup_address(at.get()) else {
            return Some(at..self.next_symbol(at));
        };
        let is_end = ends.binary_search(&location.symbol.address()).is_ok();
        (location.symbol.is_code() && !is_end).then(|| self.range(&location.symbol))
    }

    /// Returns where a function is. One of unknown size, as assembly often is, goes on to the next symbol.
    fn range(&self, symbol: &Symbol<'_>) -> Range<HostVirt> {
        let start = HostVirt::new(symbol.address());
        match symbol.size() {
            0 => start..self.next_symbol(start),
            size => start..HostVirt::new(symbol.address().saturating_add(size)),
        }
    }

    /// Returns where the first symbol behind `at` is, or the text ends. That is at least one instruction further.
    fn next_symbol(&self, at: HostVirt) -> HostVirt {
        let addresses = self.symbols.iter().map(|symbol| symbol.address());
        let mut behind = addresses.filter(|&address| address > at.get());
        let next = behind.next().map_or(self.text.end, HostVirt::new);
        let least = HostVirt::new(at.get().saturating_add(4));
        next.min(self.text.end).max(least)
    }
}

fn compile(glob: &str) -> Result<Glob, Error> {
    Glob::new(glob).map_err(|cause| Error::BadGlob {
        text: glob.into(),
        cause,
    })
}

#[cfg(test)]
mod tests {
    use axebpf_symbols::{Encoder, Slide};

    use super::*;

    #[test]
    fn functions_without_a_size_or_a_symbol_are_closed_up_to_the_next_symbol() {
        let mut encoder = Encoder::new();
        for (name, address, size) in [
            ("sized", 0x1000, 16),
            ("assembly", 0x1020, 0),
            ("last", 0x1080, 0),
            ("elsewhere", 0x3000, 0),
        ] {
            encoder.push(name, address, size, 't').unwrap();
        }
        let blob = encoder.finish().unwrap().leak();
        let table = SymbolTable::from_blob(blob, Slide::ZERO).unwrap();
        let text = HostVirt::new(0x1000)..HostVirt::new(0x2000);
        let setup = HprobeSetup::new(alloc::boxed::Box::leak(table.into()), text);
        let closed = |at| setup.function_at(HostVirt::new(at), &[0x1000]);
        let range = |start, end| Some(HostVirt::new(start)..HostVirt::new(end));
        assert_eq!(closed(0x1008), None, "a search ends there");
        assert_eq!(closed(0x1010), range(0x1010, 0x1020));
        assert_eq!(closed(0x1020), range(0x1020, 0x1080));
        assert_eq!(closed(0x1080), range(0x1080, 0x2000));
        assert_eq!(closed(0x3000), None, "that is no text");
        let elsewhere = setup.symbols.lookup_name("elsewhere").unwrap();
        assert_eq!(Some(setup.range(&elsewhere)), range(0x3000, 0x3004));
    }
}
