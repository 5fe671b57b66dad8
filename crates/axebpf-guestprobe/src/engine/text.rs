//! How the text of pages, and what vCPUs see of it, is changed.

use core::sync::atomic::{AtomicU64, Ordering};

use axebpf_platform::GuestPhys;

use super::page::{PAGE_SIZE, Page, trap_word};
use super::point::Point;
use crate::integration::{Backing, Capabilities, GuestMachine, PageAccess, Stage2Error, View};
use crate::{GuestMemoryFault, GuestProbeError, ProbeMode};

/// How much of a page is copied at once.
const PIECE: usize = 256;

/// What it takes to change text and mappings of one VM. The caller holds the text lock, except where nothing is
/// mapped yet.
pub(super) struct Text<'a> {
    pub(super) machine: &'a dyn GuestMachine,
    pub(super) capabilities: Capabilities,
    /// How often mappings were changed.
    pub(super) changes: &'a AtomicU64,
}

impl Text<'_> {
    fn map(
        &self,
        view: View,
        page: &Page,
        backing: Backing,
        access: PageAccess,
    ) -> Result<(), Stage2Error> {
        let missing = Stage2Error::NoView { view };
        let stage2 = self.machine.stage2().ok_or(missing)?;
        // Before, for who faults on what is in between; after, for who sees the change itself.
        self.changes.fetch_add(1, Ordering::AcqRel);
        let result = stage2.map_page(view, page.at, backing, access);
        self.changes.fetch_add(1, Ordering::AcqRel);
        result
    }

    fn kick_out(&self) {
        if let Some(kick) = self.machine.kick_vcpus() {
            kick.kick_out();
        }
    }

    /// Returns the guest's own word at byte `offset` of `page`.
    pub(super) fn guest_word(&self, page: &Page, offset: u32) -> Result<u32, GuestMemoryFault> {
        let mut bytes = [0; 4];
        let at = GuestPhys::new(page.at.get() + u64::from(offset));
        self.machine.read_guest(at, &mut bytes)?;
        // Instructions are little-endian whatever data is (ARM ARM B2.8.1).
        Ok(u32::from_le_bytes(bytes))
    }

    /// Tells whether pages of `mode` have a shadow.
    fn needs_shadow(&self, mode: ProbeMode) -> bool {
        match mode {
            ProbeMode::HiddenBrk => true,
            ProbeMode::Brk | ProbeMode::Hvc => self.capabilities.can_step(mode),
            ProbeMode::Stage2Fault => false,
        }
    }

    /// Makes a page that is to have points of `mode`. Until [`release`](Self::release), it is not the guest's alone.
    pub(super) fn prepare(&self, at: GuestPhys, mode: ProbeMode) -> Result<Page, GuestProbeError> {
        let mut page = Page::new(at, mode, None);
        let result = self.prepare_all(&mut page);
        if let Err(error) = result {
            self.release(&page)?;
            return Err(error);
        }
        Ok(page)
    }

    fn prepare_all(&self, page: &mut Page) -> Result<(), GuestProbeError> {
        if self.needs_shadow(page.mode) {
            // Nobody writes between the copy and its use: no vCPU, and no hit that simulates a store. Those that begin
            // later see that text is being changed.
            self.stop_writes(page)?;
            axebpf_hit::quiesce()?;
            if let Some(shadows) = self.machine.shadow_pages() {
                page.shadow = Some(shadows.create_shadow(page.at)?);
            }
        }
        self.map_original(page)?;
        self.show(page)?;
        Ok(())
    }

    /// Keeps the guest from writing a page that has, or is to have, a shadow, and from executing the shadow.
    fn stop_writes(&self, page: &Page) -> Result<(), Stage2Error> {
        let original = if page.is_hidden() {
            PageAccess::ReadExecute
        } else {
            PageAccess::None
        };
        self.map_window(page, PageAccess::None)?;
        self.map(View::Original, page, Backing::Guest, original)?;
        self.map(View::Main, page, Backing::Guest, PageAccess::None)
    }

    /// Maps what is executed without traps, and what the view for single pages has of the page.
    fn map_original(&self, page: &Page) -> Result<(), Stage2Error> {
        let backing = match (page.mode, page.shadow) {
            (ProbeMode::HiddenBrk, _) => Backing::Guest,
            (ProbeMode::Brk | ProbeMode::Hvc, Some(shadow)) => Backing::Shadow(shadow),
            (ProbeMode::Stage2Fault, _) => {
                return self.map(View::Window, page, Backing::Guest, PageAccess::All);
            }
            _ => return Ok(()),
        };
        // What is written there would not be noticed either.
        self.map_window(page, PageAccess::None)?;
        self.map(View::Original, page, backing, PageAccess::ReadExecute)
    }

    /// Says what vCPUs in the view for single pages may do with a page that is none of those.
    fn map_window(&self, page: &Page, access: PageAccess) -> Result<(), Stage2Error> {
        if self.capabilities.contains(Capabilities::WINDOW_VIEW) {
            self.map(View::Window, page, Backing::Guest, access)?;
        }
        Ok(())
    }

    /// Maps what vCPUs execute normally.
    fn show(&self, page: &Page) -> Result<(), Stage2Error> {
        let (backing, access) = match (page.mode, page.shadow) {
            (ProbeMode::HiddenBrk, Some(shadow)) => {
                (Backing::Shadow(shadow), PageAccess::ExecuteOnly)
            }
            (ProbeMode::Stage2Fault, _) => (Backing::Guest, PageAccess::ReadWrite),
            _ if page.is_closed() => (Backing::Guest, PageAccess::ReadExecute),
            _ => (Backing::Guest, PageAccess::All),
        };
        self.map(View::Main, page, backing, access)
    }

    /// Keeps vCPUs from the text of `page`: fetches fault until [`show`](Self::show), and each vCPU has synchronised
    /// its context since.
    fn block(&self, page: &Page) -> Result<(), Stage2Error> {
        let access = if page.is_hidden() || page.is_closed() {
            PageAccess::None
        } else {
            PageAccess::ReadWrite
        };
        self.map(View::Main, page, Backing::Guest, access)?;
        self.kick_out();
        Ok(())
    }

    /// Gives a page back to the guest as it was. No point is armed in it.
    pub(super) fn release(&self, page: &Page) -> Result<(), Stage2Error> {
        let main = self.map(View::Main, page, Backing::Guest, PageAccess::All);
        let original = if self.needs_shadow(page.mode) {
            self.map(View::Original, page, Backing::Guest, PageAccess::All)
        } else {
            Ok(())
        };
        let window = self.map_window(page, PageAccess::ReadWrite);
        // What may still be mapped is not freed.
        main.and(original).and(window)?;
        // Nobody fetches from the copy any more, but somebody may hold what was fetched.
        self.kick_out();
        if let Some((shadows, shadow)) = self.machine.shadow_pages().zip(page.shadow) {
            shadows.free_shadow(shadow);
        }
        Ok(())
    }

    /// Puts the trapping instruction at `point`, which displaces `expected`.
    pub(super) fn arm(&self, point: &Point, expected: u32) -> Result<(), GuestProbeError> {
        let page = &*point.page;
        if page.mode == ProbeMode::Stage2Fault {
            point.set_armed(true);
            return Ok(());
        }
        if page.is_hidden() && page.is_open() {
            // It is armed when the guest has written what it wants to.
            return Ok(());
        }
        if page.is_open() {
            // The guest may be executing what it could write, which must not get the trap.
            self.close(page, core::iter::empty())?;
        }
        self.block(page)?;
        let result = self.replace(point, expected);
        self.show(page)?;
        result
    }

    /// Writes the trapping instruction of a point whose page is blocked.
    fn replace(&self, point: &Point, expected: u32) -> Result<(), GuestProbeError> {
        let word = self.guest_word(&point.page, point.offset())?;
        if word != expected {
            return Err(GuestProbeError::Changed { at: point.at });
        }
        point.set_word(word);
        self.store(point, trap_word(point.page.mode))?;
        point.set_armed(true);
        Ok(())
    }

    /// Stores `word` at `point`, where it is executed.
    pub(super) fn store(&self, point: &Point, word: u32) -> Result<(), GuestMemoryFault> {
        let page = &*point.page;
        match (page.mode, page.shadow) {
            (ProbeMode::HiddenBrk, Some(shadow)) => {
                if let Some(shadows) = self.machine.shadow_pages() {
                    shadows.write_shadow(shadow, point.offset(), word);
                }
            }
            (ProbeMode::Brk | ProbeMode::Hvc, _) => {
                if let Some(text) = self.machine.guest_text() {
                    text.write_text(point.phys, word)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// Puts the displaced instruction back at `point`.
    pub(super) fn disarm(&self, point: &Point) -> Result<(), GuestProbeError> {
        let page = &*point.page;
        if !point.is_armed() {
            return Ok(());
        }
        if page.mode == ProbeMode::Stage2Fault || page.is_hidden() && page.is_open() {
            point.set_armed(false);
            return Ok(());
        }
        self.block(page)?;
        let result = self.restore(point);
        self.show(page)?;
        result?;
        point.set_armed(false);
        Ok(())
    }

    /// Writes the displaced instruction of a point whose page is blocked.
    fn restore(&self, point: &Point) -> Result<(), GuestMemoryFault> {
        let page = &*point.page;
        // What the guest has written over a trap in its own memory is the guest's.
        if !page.is_hidden() && self.guest_word(page, point.offset())? != trap_word(page.mode) {
            return Ok(());
        }
        self.store(point, point.word())
    }

    /// Lets the guest write a page. For as long, nobody executes a hidden one, and a patched one nobody in the view
    /// without traps.
    pub(super) fn open(&self, page: &Page) -> Result<(), Stage2Error> {
        if page.is_open() {
            return Ok(());
        }
        self.map_window(page, PageAccess::ReadWrite)?;
        if page.is_hidden() {
            self.map(View::Main, page, Backing::Guest, PageAccess::ReadWrite)?;
            self.map(View::Original, page, Backing::Guest, PageAccess::All)?;
        } else {
            // In this order: what is executed there is never older than what others can have written.
            self.map(View::Original, page, Backing::Guest, PageAccess::ReadWrite)?;
            self.map(View::Main, page, Backing::Guest, PageAccess::All)?;
        }
        page.set_open(true);
        Ok(())
    }

    /// Takes the traps of `points` out of `page`, where they are in plain sight, and lets the guest execute and write
    /// it in all views, until something is armed in it again.
    pub(super) fn give_up<'p>(
        &self,
        page: &Page,
        points: impl Iterator<Item = &'p Point>,
    ) -> Result<(), GuestProbeError> {
        for point in points {
            self.disarm(point)?;
        }
        self.map_window(page, PageAccess::ReadWrite)?;
        self.map(View::Original, page, Backing::Guest, PageAccess::All)?;
        self.map(View::Main, page, Backing::Guest, PageAccess::All)?;
        page.set_open(true);
        Ok(())
    }

    /// Makes the shadow what the guest has written, with `points` armed anew if the page is hidden, and without traps
    /// if it is patched; and has it executed again.
    pub(super) fn close<'p>(
        &self,
        page: &Page,
        points: impl Iterator<Item = &'p Point> + Clone,
    ) -> Result<(), GuestProbeError> {
        let Some((shadows, shadow)) = self.machine.shadow_pages().zip(page.shadow) else {
            return Ok(());
        };
        // Nobody writes from here on, and nobody executes the shadow.
        self.stop_writes(page)?;
        self.kick_out();
        let mut bytes = [0; PIECE];
        for start in (0..PAGE_SIZE as u32).step_by(PIECE) {
            let from = GuestPhys::new(page.at.get() + u64::from(start));
            self.machine.read_guest(from, &mut bytes)?;
            for (offset, word) in (start..).step_by(4).zip(bytes.chunks_exact(4)) {
                let word = word.try_into().map_or(0, u32::from_le_bytes);
                if shadows.read_shadow(shadow, offset) != word {
                    shadows.write_shadow(shadow, offset, word);
                }
            }
        }
        for point in points {
            self.rearm(point)?;
        }
        page.set_open(false);
        self.map_original(page)?;
        self.show(page)?;
        Ok(())
    }
}
