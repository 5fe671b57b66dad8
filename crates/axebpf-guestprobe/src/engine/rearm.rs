//! What becomes of points when the guest has written their page.

use axebpf_a64::{Refusal, exclusive_sequence};
use axebpf_platform::GuestPhys;

use super::page::{PAGE_SIZE, trap_word};
use super::place::REACH;
use super::point::Point;
use super::text::Text;
use crate::{GuestProbeError, displace};

impl Text<'_> {
    /// Arms `point` in a hidden page that is being closed, if what the guest has put there can be displaced. In a
    /// patched one, puts what its trap displaces into the shadow, if the trap is still there.
    pub(super) fn rearm(&self, point: &Point) -> Result<(), GuestProbeError> {
        let word = self.guest_word(&point.page, point.offset())?;
        if !point.page.is_hidden() {
            let shadows = self.machine.shadow_pages().zip(point.page.shadow);
            if let Some((shadows, shadow)) = shadows.filter(|_| word == trap_word(point.page.mode))
            {
                shadows.write_shadow(shadow, point.offset(), point.word());
            }
            return Ok(());
        }
        point.set_armed(false);
        point.set_word(word);
        if self.refusal(point).is_none() {
            self.store(point, trap_word(point.page.mode))?;
            point.set_armed(true);
        }
        Ok(())
    }

    /// Returns why the instruction at `point` cannot be displaced where it is now, if it cannot.
    pub(super) fn refusal(&self, point: &Point) -> Option<Refusal> {
        let why = displace::way(point.word()).err();
        why.or_else(|| {
            self.is_between_exclusives(point)
                .then_some(Refusal::Exclusive)
        })
    }

    /// Tells whether the guest has put a sequence of exclusives around `point`, whose page is hidden: each of them
    /// would fail for ever.
    fn is_between_exclusives(&self, point: &Point) -> bool {
        const AROUND: u32 = 4 * REACH as u32;
        let first = point.offset().saturating_sub(AROUND);
        let end = (point.offset() + AROUND + 4).min(PAGE_SIZE as u32);
        let mut bytes = [0; 2 * AROUND as usize + 4];
        let bytes = &mut bytes[..(end - first) as usize];
        let from = GuestPhys::new(point.page.at.get() + u64::from(first));
        if !point.page.is_hidden() || self.machine.read_guest(from, bytes).is_err() {
            return false;
        }
        let mut words = [0; 2 * REACH as usize + 1];
        for (word, bytes) in words.iter_mut().zip(bytes.chunks_exact(4)) {
            *word = bytes.try_into().map_or(0, u32::from_le_bytes);
        }
        let index = (point.offset() - first) / 4;
        exclusive_sequence(&words[..bytes.len() / 4], index as usize).is_some()
    }
}
