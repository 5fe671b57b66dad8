//! Symbols that somebody gives: where the kernel runs that they are of.
//!
//! A `System.map`, and what is made of a `vmlinux`, say where a kernel was linked; `/proc/kallsyms` says where it ran
//! when somebody looked. Where it runs now is found out from the tables that it has of itself in memory: what both call
//! by the same name lies at the same distance everywhere, or it is another kernel. A kernel without such tables is
//! found by what it executes.

use alloc::{boxed::Box, sync::Arc};

use axebpf_guestprobe::GuestStage;
use axebpf_symbols::{KernelSymbols, Slide};

use super::{
    Guest, GuestError,
    extent::Text,
    symbols::{Origin, Symbols},
};

impl Guest {
    /// Takes symbols that somebody gives, and moves them by `slide`.
    pub(super) fn take_symbols(&self, table: KernelSymbols, slide: Slide) -> Arc<KernelSymbols> {
        let table = Arc::new(table.with_slide(slide));
        self.keep(Symbols::new(table, Origin::Given, slide))
    }

    /// Takes symbols that somebody gives, and moves them to where the kernel runs; if none does yet, that is done when
    /// it does. Takes long.
    pub(super) fn place_symbols(
        &self,
        table: KernelSymbols,
    ) -> Result<Arc<KernelSymbols>, GuestError> {
        let _search = self.search.lock().map_err(|_| GuestError::InHit)?;
        let starts = self.starts();
        let given = Symbols::new(Arc::new(table), Origin::Unplaced, Slide::ZERO);
        if !self.has_kernel() {
            return Ok(self.keep(given));
        }
        let placed = self.placed(&given)?;
        if self.starts() != starts {
            return Ok(self.keep(given));
        }
        let table = self.keep(placed);
        self.find_types();
        Ok(table)
    }

    /// Moves the symbols that are known to where the kernel runs. The caller has the search to itself. Takes long.
    pub(super) fn replace_symbols(&self) -> Result<Arc<KernelSymbols>, GuestError> {
        let vm = self.vm;
        let starts = self.starts();
        let given = self.known.lock().symbols.clone();
        let given = given.ok_or(GuestError::NoKernel { vm })?;
        let placed = self.placed(&given)?;
        let table = placed.table.clone();
        let mut known = self.known.lock();
        // It may have been started anew, or others may have been given.
        let is_same = |symbols: &Symbols| Arc::ptr_eq(&symbols.table, &given.table);
        if known.starts != starts || !known.symbols.as_ref().is_some_and(is_same) {
            return Err(GuestError::NoKernel { vm });
        }
        known.symbols = Some(placed);
        drop(known);
        self.find_types();
        Ok(table)
    }

    /// Tells whether a kernel runs, at its final place.
    pub(super) fn has_kernel(&self) -> bool {
        self.probes.stage() != GuestStage::Off && self.probes.stage1().is_some()
    }

    /// Returns `given`, moved to where the kernel runs.
    fn placed(&self, given: &Symbols) -> Result<Symbols, GuestError> {
        let vm = self.vm;
        let placed = self.slide_of(&given.table).and_then(|slide| {
            let table = match slide {
                Slide::ZERO => given.table.clone(),
                _ => Arc::new((*given.table).clone().with_slide(slide)),
            };
            let total = Slide::new(given.slide.get().wrapping_add(slide.get()));
            let placed = Symbols::new(table, Origin::Placed, total);
            self.check_fit(&placed)?;
            Ok(placed)
        });
        placed.map_err(|cause| GuestError::NoSlide {
            vm,
            cause: Box::new(cause),
        })
    }

    /// Returns by how far the kernel that runs is from where `given` says: from the symbols that it has of itself, or,
    /// if it has none, from where it has its text.
    fn slide_of(&self, given: &KernelSymbols) -> Result<Slide, GuestError> {
        match self.running_symbols() {
            Ok(running) => given.slide_to(&running.table).map_err(GuestError::Stranger),
            Err(none @ GuestError::Scan { .. }) => {
                let stage1 = self.probes.stage1();
                let text = Text::of(given).zip(stage1);
                let memory = &**self.probes.machine();
                text.and_then(|(text, stage1)| text.find(memory, &stage1))
                    .ok_or(none)
            }
            Err(error) => Err(error),
        }
    }

    /// Checks that symbols have functions where the kernel that runs executes something.
    pub(super) fn check_fit(&self, symbols: &Symbols) -> Result<(), GuestError> {
        let vm = self.vm;
        let stage1 = self.probes.stage1().ok_or(GuestError::NoKernel { vm })?;
        match symbols.misfit(&**self.probes.machine(), &stage1) {
            Some(at) => Err(GuestError::Elsewhere { vm, at }),
            None => Ok(()),
        }
    }

    /// Makes `symbols` what is known of the guest.
    fn keep(&self, symbols: Symbols) -> Arc<KernelSymbols> {
        let table = symbols.table.clone();
        self.known.lock().symbols = Some(symbols);
        table
    }
}
