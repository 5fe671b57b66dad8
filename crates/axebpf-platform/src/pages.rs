//! Reading memory page by page: the unit in which memory is there or is not.

use crate::{HostVirt, ReadFault};

/// A divisor of every page size there is.
const PAGE: u64 = 4096;

/// Fills `dst` from `src` with `read`, which gets pieces that each lie within one page and returns how many bytes it
/// has filled: all, or as many as there were before the first that cannot be read.
pub(crate) fn read_pages(
    src: HostVirt,
    dst: &mut [u8],
    mut read: impl FnMut(HostVirt, &mut [u8]) -> usize,
) -> Result<(), ReadFault> {
    let mut done = 0;
    while done < dst.len() {
        let Some(at) = src.checked_add(done as u64) else {
            // The memory ended with the address space.
            return Err(fault(HostVirt::new(u64::MAX), dst));
        };
        let in_page = PAGE - at.get() % PAGE;
        let end = dst.len().min(done.saturating_add(in_page as usize));
        let piece = &mut dst[done..end];
        let filled = read(at, piece);
        if filled < piece.len() {
            return Err(fault(HostVirt::new(at.get() + filled as u64), dst));
        }
        done = end;
    }
    Ok(())
}

fn fault(addr: HostVirt, dst: &mut [u8]) -> ReadFault {
    dst.fill(0);
    ReadFault { addr }
}
