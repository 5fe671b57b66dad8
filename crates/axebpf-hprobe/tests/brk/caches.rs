//! What instruction fetches see: the worst that the architecture allows.
//!
//! A CPU that synchronises its context fetches all there is from its instruction cache at once, and goes on executing
//! that. The cache takes a line from the point of unification when the line is invalidated, and at no other time; a
//! store gets there when its line is cleaned. Clean and invalidate take effect at the next barrier, the last one first.

use axebpf_platform::{HostVirt, Maintenance};

/// How many CPUs there are.
const CPUS: usize = 64;
/// Words of text, and of the executable memory behind it.
pub(crate) const WORDS: usize = 2048;
/// Where the text is.
pub(crate) const BASE: u64 = 0x4000_0000;
/// The words in a line of 64 bytes.
const LINE: usize = 16;

type Text = Vec<u32>;

struct Cpu {
    cache: Text,
    /// What was fetched since the last synchronisation. No option of a vector: a CPU may be stopped in the allocator.
    fetched: Text,
    has_fetched: bool,
}

pub(crate) struct Caches {
    /// What loads see.
    stored: Text,
    /// What is at the point of unification.
    unified: Text,
    cpus: Vec<Cpu>,
    /// What takes effect at the next barrier. With room for all: a CPU may be stopped in the allocator.
    pending: Vec<Maintenance>,
}

impl Caches {
    pub(crate) fn new() -> Self {
        let cpu = |_| Cpu {
            cache: vec![0; WORDS],
            fetched: vec![0; WORDS],
            has_fetched: false,
        };
        Self {
            stored: vec![0; WORDS],
            unified: vec![0; WORDS],
            cpus: (0..CPUS).map(cpu).collect(),
            pending: Vec::with_capacity(64),
        }
    }

    /// Puts `words` where they were for ever: in all caches.
    pub(crate) fn boot(&mut self, first: usize, words: &[u32]) {
        let place = first..first + words.len();
        self.stored[place.clone()].copy_from_slice(words);
        self.unified[place.clone()].copy_from_slice(words);
        for cpu in &mut self.cpus {
            cpu.cache[place.clone()].copy_from_slice(words);
            cpu.has_fetched = false;
        }
    }

    /// Fetches a word on `cpu`.
    pub(crate) fn fetch(&mut self, cpu: usize, word: usize) -> u32 {
        let cpu = &mut self.cpus[cpu];
        if !cpu.has_fetched {
            cpu.fetched.copy_from_slice(&cpu.cache);
            cpu.has_fetched = true;
        }
        cpu.fetched[word]
    }

    /// Returns what a load sees.
    pub(crate) fn load(&self, word: usize) -> u32 {
        self.stored[word]
    }

    pub(crate) fn store(&mut self, word: usize, value: u32) {
        self.stored[word] = value;
    }

    pub(crate) fn synchronize(&mut self, cpu: usize) {
        self.cpus[cpu].has_fetched = false;
    }

    /// Does one step of maintenance on `cpu`.
    pub(crate) fn maintain(&mut self, cpu: usize, step: Maintenance) {
        match step {
            Maintenance::Complete => {
                while let Some(step) = self.pending.pop() {
                    self.take_effect(step);
                }
            }
            Maintenance::Synchronize => self.synchronize(cpu),
            step => self.pending.push(step),
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
    let word = word(at.get()) / LINE * LINE;
    word..word + LINE
}

/// Returns the index of the word at `at`.
pub(crate) fn word(at: u64) -> usize {
    ((at - BASE) / 4) as usize
}
