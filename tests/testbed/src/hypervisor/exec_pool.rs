//! Executable memory that is handed out at run time: a few pages near the text, so that branches reach both ways.

use axebpf::platform::{ExecError, ExecRegion, HostVirt};

use super::{image, lock::Lock};

const PAGE: usize = 4096;

/// Which pages are taken, one bit each.
static TAKEN: Lock<u32> = Lock::new(0);

/// Returns `len` bytes, rounded up to whole pages.
pub(crate) fn alloc(len: usize) -> Result<ExecRegion, ExecError> {
    let pool = image::exec_pool();
    let pages = len.div_ceil(PAGE).max(1);
    let all = (pool.end - pool.start) as usize / PAGE;
    let mut taken = TAKEN.lock();
    let last = all.checked_sub(pages).ok_or(ExecError::Exhausted { len })?;
    let first = (0..=last)
        .find(|&first| *taken & mask(first, pages) == 0)
        .ok_or(ExecError::Exhausted { len })?;
    *taken |= mask(first, pages);
    let start = HostVirt::new(pool.start + (first * PAGE) as u64);
    Ok(ExecRegion {
        start,
        len: pages * PAGE,
    })
}

/// Takes back what [`alloc`] returned.
pub(crate) fn free(region: &ExecRegion) {
    let first = (region.start.get() - image::exec_pool().start) as usize / PAGE;
    *TAKEN.lock() &= !mask(first, region.len / PAGE);
}

fn mask(first: usize, pages: usize) -> u32 {
    let ones = 1_u64
        .checked_shl(pages as u32)
        .map_or(u64::MAX, |bit| bit - 1);
    (ones << first) as u32
}
