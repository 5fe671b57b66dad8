//! What instruction fetches see: the worst that the architecture allows.
//!
//! A CPU executes from what it has prefetched, or else from its instruction cache, or else from the point of
//! unification, where a store arrives only when its line is cleaned. Clean and invalidate take effect at the next
//! barrier, and not in the order of the program. Between any two of them, each instruction cache speculatively fills
//! itself again.

use axebpf_platform::{HostVirt, Maintenance};

/// How many CPUs there are.
pub(crate) const CPUS: usize = 64;

/// How many words of text there are.
pub(crate) const WORDS: usize = 64;

/// Where the text is.
pub(crate) const BASE: HostVirt = HostVirt::new(0x4000_0000);

/// The words in a line of 64 bytes.
const LINE_WORDS: usize = 16;

type Text = [u32; WORDS];

#[derive(Clone, Copy)]
struct Cpu {
    cache: Text,
    prefetched: Option<(usize, u32)>,
}

pub(crate) struct Caches {
    /// What loads see.
    stored: Text,
    /// What is at the point of unification.
    unified: Text,
    cpus: [Cpu; CPUS],
    /// What takes effect at the next barrier. No vector: a CPU may be stopped in the allocator.
    pending: [Option<Maintenance>; 8],
}

impl Caches {
    /// Starts with text that is zero everywhere.
    pub(crate) const fn new() -> Self {
        let text = [0; WORDS];
        let cpu = Cpu {
            cache: text,
            prefetched: None,
        };
        Self {
            stored: text,
            unified: text,
            cpus: [cpu; CPUS],
            pending: [None; 8],
        }
    }

    /// Executes a word on `cpu`, which then goes on to prefetch it again.
    pub(crate) fn execute(&mut self, cpu: usize, word: usize) -> u32 {
        let cpu = &mut self.cpus[cpu];
        let fetched = match cpu.prefetched {
            Some((prefetched, value)) if prefetched == word => value,
            _ => cpu.cache[word],
        };
        cpu.prefetched = Some((word, fetched));
        fetched
    }

    /// Returns what a load sees.
    pub(crate) fn load(&self, word: usize) -> u32 {
        self.stored[word]
    }

    pub(crate) fn store(&mut self, word: usize, value: u32) {
        self.stored[word] = value;
    }

    pub(crate) fn synchronize(&mut self, cpu: usize) {
        self.cpus[cpu].prefetched = None;
    }

    /// Does one step of maintenance on `cpu`.
    pub(crate) fn maintain(&mut self, cpu: usize, step: Maintenance) {
        match step {
            Maintenance::Complete => {
                // Backwards: nothing orders them but the barrier.
                for step in std::mem::take(&mut self.pending)
                    .into_iter()
                    .rev()
                    .flatten()
                {
                    self.take_effect(step);
                }
            }
            Maintenance::Synchronize => self.synchronize(cpu),
            step => {
                let free = self.pending.iter_mut().find(|pending| pending.is_none());
                *free.expect("a write covers at most four lines") = Some(step);
            }
        }
    }

    fn take_effect(&mut self, step: Maintenance) {
        match step {
            Maintenance::CleanData(at) => {
                let line = line(at);
                self.unified[line.clone()].copy_from_slice(&self.stored[line]);
            }
            Maintenance::InvalidateFetched(at) => self.refill(line(at)),
            Maintenance::InvalidateAllFetched => self.refill(0..WORDS),
            _ => unreachable!("barriers take effect at once"),
        }
    }

    /// Drops `words` from all instruction caches, which fill themselves again at once.
    fn refill(&mut self, words: std::ops::Range<usize>) {
        for cpu in &mut self.cpus {
            cpu.cache[words.clone()].copy_from_slice(&self.unified[words.clone()]);
        }
    }
}

fn line(at: HostVirt) -> std::ops::Range<usize> {
    let word = word(at) / LINE_WORDS * LINE_WORDS;
    word..word + LINE_WORDS
}

/// Returns the index of the word at `at`.
pub(crate) fn word(at: HostVirt) -> usize {
    ((at.get() - BASE.get()) / 4) as usize
}

/// Returns the address of a word.
pub(crate) fn address(word: usize) -> HostVirt {
    HostVirt::new(BASE.get() + 4 * word as u64)
}
