//! The heap: all memory behind the image.

use core::alloc::{GlobalAlloc, Layout};

use talc::{TalcLock, source::Manual};

use super::{image, lock::RawLock};

#[global_allocator]
static HEAP: TalcLock<RawLock, Manual> = TalcLock::new(Manual);

/// A block of 2 MiB.
const BLOCK: Layout = match Layout::from_size_align(2 << 20, 2 << 20) {
    Ok(layout) => layout,
    Err(_) => panic!("2 MiB are no size for a block"),
};

/// Hands all free memory to the heap. Called once, before anything allocates.
pub(crate) fn init() {
    let range = image::heap();
    let len = (range.end - range.start) as usize;
    // SAFETY: the memory is normal RAM that nothing else uses, and it stays the heap's for ever.
    let claimed = unsafe { HEAP.lock().claim(range.start as *mut u8, len) };
    assert!(claimed.is_some(), "the heap is too small for its allocator");
}

/// Allocates `pages` zeroed pages, aligned to a page, or `None` when there is no memory left.
pub(crate) fn alloc_pages(pages: usize) -> Option<u64> {
    let layout = page_layout(pages)?;
    // SAFETY: the layout has a non-zero size.
    let at = unsafe { HEAP.alloc_zeroed(layout) };
    (!at.is_null()).then_some(at as u64)
}

/// Frees what [`alloc_pages`] returned for as many `pages`.
///
/// # Safety
///
/// `at` came from `alloc_pages(pages)`, and nothing uses the memory any more.
pub(crate) unsafe fn free_pages(at: u64, pages: usize) {
    if let Some(layout) = page_layout(pages) {
        // SAFETY: the caller says that this is what `alloc_pages` returned, with the same layout.
        unsafe { HEAP.dealloc(at as *mut u8, layout) }
    }
}

fn page_layout(pages: usize) -> Option<Layout> {
    (pages > 0)
        .then(|| Layout::from_size_align(pages * 4096, 4096).ok())
        .flatten()
}

/// Allocates a zeroed block of 2 MiB, aligned to its size, or `None` when there is no memory left for one.
pub(crate) fn alloc_block() -> Option<u64> {
    // SAFETY: the layout has a non-zero size.
    let at = unsafe { HEAP.alloc_zeroed(BLOCK) };
    (!at.is_null()).then_some(at as u64)
}

/// Frees what [`alloc_block`] returned.
///
/// # Safety
///
/// `at` came from `alloc_block`, and nothing uses the memory any more.
pub(crate) unsafe fn free_block(at: u64) {
    // SAFETY: the caller says that this is what `alloc_block` returned.
    unsafe { HEAP.dealloc(at as *mut u8, BLOCK) }
}
