//! Comparing two tables of the same kernel: as it was linked, and as it runs.

use alloc::string::String;
use alloc::vec::Vec;

use super::builder::reserve;
use super::{KernelSymbolError, KernelSymbols};
use crate::Slide;

/// How many functions are compared.
const SAMPLES: usize = 64;
/// How many of them have to be in both tables, and agree.
const NEEDED: usize = 4;
/// What a slide is a multiple of. An arm64 kernel is mapped in segments of 64 KiB (Linux: `SEGMENT_ALIGN` in
/// arch/arm64/include/asm/memory.h) and moved in steps of 2 MiB (`MIN_KIMG_ALIGN`), to which an EFI loader adds by how
/// much the physical address misses such a step, itself in steps of at least 64 KiB (`EFI_KIMG_ALIGN`).
const SLIDE_ALIGN: u64 = 0x1_0000;

/// A function that is looked for in both tables.
struct Sample {
    name: String,
    linked: Occurrence,
    running: Occurrence,
}

/// Where a table has a function.
#[derive(Clone, Copy)]
enum Occurrence {
    Never,
    Once(u64),
    /// Static functions of one name say nothing.
    Often,
}

impl Occurrence {
    fn add(&mut self, address: u64) {
        *self = match self {
            Self::Never => Self::Once(address),
            _ => Self::Often,
        };
    }
}

impl KernelSymbols {
    /// Finds out by how far the kernel of `running`, which says where it runs, runs from where these symbols say: 0 if
    /// they say where it runs, too, as the text of `/proc/kallsyms` does.
    ///
    /// Functions from all over the kernel are compared by name; those with a name that occurs more than once are left
    /// out, and those of modules. All that both have must agree.
    ///
    /// # Errors
    ///
    /// [`KernelSymbolError::Strangers`] when there are not enough functions to compare,
    /// [`KernelSymbolError::Differs`] when they do not agree, and [`KernelSymbolError::BadSlide`] when no arm64 kernel
    /// can be that far from where it was linked.
    ///
    /// # Examples
    ///
    /// ```
    /// use axebpf_symbols::{KernelSymbols, Slide};
    ///
    /// let names = ["vfs_read", "vfs_write", "do_exit", "schedule"];
    /// let text = |start: u64| {
    ///     let lines = names.iter().zip((start..).step_by(0x40));
    ///     lines.map(|(name, at)| format!("{at:x} T {name}\n")).collect::<String>()
    /// };
    /// let linked = KernelSymbols::from_text(text(0xffff_8000_0801_0000).as_bytes())?;
    /// let running = KernelSymbols::from_text(text(0xffff_8000_1a21_0000).as_bytes())?;
    /// assert_eq!(linked.slide_to(&running)?, Slide::new(0x1220_0000));
    /// # Ok::<(), axebpf_symbols::KernelSymbolError>(())
    /// ```
    pub fn slide_to(&self, running: &Self) -> Result<Slide, KernelSymbolError> {
        let mut samples = self.samples()?;
        self.count_names(&mut samples, |sample| &mut sample.linked);
        running.count_names(&mut samples, |sample| &mut sample.running);
        let mut distances = samples.iter().filter_map(Sample::distance);
        let found = distances.clone().count();
        let strangers = KernelSymbolError::Strangers {
            found,
            sought: samples.len(),
            need: NEEDED,
        };
        let one = distances.next().ok_or(strangers.clone())?;
        if let Some(other) = distances.find(|other| *other != one) {
            return Err(KernelSymbolError::Differs { one, other });
        }
        if found < NEEDED {
            return Err(strangers);
        }
        if !one.get().unsigned_abs().is_multiple_of(SLIDE_ALIGN) {
            return Err(KernelSymbolError::BadSlide {
                slide: one,
                align: SLIDE_ALIGN,
            });
        }
        Ok(one)
    }

    /// Chooses functions of the kernel itself from all over it, in the order of their names.
    fn samples(&self) -> Result<Vec<Sample>, KernelSymbolError> {
        let is_own_code = |index: &usize| {
            let kind = self.name_of(*index, &mut Vec::new());
            let is_code = kind.is_some_and(|kind| matches!(kind, b'T' | b't' | b'W' | b'w'));
            is_code && self.module_of(*index).is_none()
        };
        let mut functions: Vec<u32> = Vec::new();
        reserve(&mut functions, self.len())?;
        functions.extend(
            (0..self.len())
                .filter(is_own_code)
                .map(|index| index as u32),
        );
        let step = functions.len().div_ceil(SAMPLES).max(1);
        let chosen = functions.iter().step_by(step);
        let mut samples: Vec<Sample> = chosen
            .filter_map(|&index| self.get(index as usize))
            .map(|symbol| Sample {
                name: symbol.name,
                linked: Occurrence::Never,
                running: Occurrence::Never,
            })
            .collect();
        samples.sort_by(|a, b| a.name.cmp(&b.name));
        samples.dedup_by(|a, b| a.name == b.name);
        Ok(samples)
    }

    /// Looks for the names of `samples` in one pass.
    fn count_names(&self, samples: &mut [Sample], which: impl Fn(&mut Sample) -> &mut Occurrence) {
        let mut name = Vec::new();
        for (index, &address) in self.addresses.iter().enumerate() {
            name.clear();
            if self.module_of(index).is_some() || self.name_of(index, &mut name).is_none() {
                continue;
            }
            let found = samples.binary_search_by(|sample| sample.name.as_bytes().cmp(&name));
            if let Ok(found) = found {
                which(&mut samples[found]).add(address);
            }
        }
    }
}

impl Sample {
    /// Returns how far the function runs from where it should, if each table has it once.
    fn distance(&self) -> Option<Slide> {
        match (self.linked, self.running) {
            (Occurrence::Once(linked), Occurrence::Once(running)) => {
                Some(Slide::between(linked, running))
            }
            _ => None,
        }
    }
}
