//! Guests decide how large the tables are that are copied out of them; a hypervisor that has not as much memory left
//! answers with an error.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    ptr,
    sync::atomic::{AtomicUsize, Ordering},
};

use axebpf_guestprobe::{GuestMemory, GuestMemoryFault, KernelScan, KernelScanError};
use axebpf_platform::GuestPhys;
use axebpf_symbols::{CompressedSymbols, KernelSymbolError, KernelSymbols};

/// The system's allocator, as long as nobody asks for more than [`LARGEST`] bytes at once.
struct Limited;

static LARGEST: AtomicUsize = AtomicUsize::new(usize::MAX);

// SAFETY: what is allocated is the system's, and null says that there is none.
unsafe impl GlobalAlloc for Limited {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > LARGEST.load(Ordering::Relaxed) {
            return ptr::null_mut();
        }
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        // SAFETY: the system has allocated it, with this layout.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Limited = Limited;

/// A guest whose memory is zero from address 0 on.
struct Zeroes;

impl GuestMemory for Zeroes {
    fn read_guest(&self, _at: GuestPhys, bytes: &mut [u8]) -> Result<(), GuestMemoryFault> {
        bytes.fill(0);
        Ok(())
    }
}

/// Does `work` while no more than 64 KiB can be allocated at once.
fn with_little_memory<T>(work: impl FnOnce() -> T) -> T {
    LARGEST.store(64 << 10, Ordering::Relaxed);
    let result = work();
    LARGEST.store(usize::MAX, Ordering::Relaxed);
    result
}

/// One test, because the limit holds for all threads.
#[test]
fn what_does_not_fit_is_an_error() {
    const LEN: u64 = 1 << 20;
    let range = GuestPhys::new(0)..GuestPhys::new(LEN);
    let scan = KernelScan::new(&Zeroes, range.clone()).unwrap();
    let copied = with_little_memory(|| scan.copy(&range));
    let bytes = LEN as usize;
    assert_eq!(copied, Err(KernelScanError::NoMemory { bytes }));
    assert_eq!(scan.copy(&range), Ok(vec![0; bytes]));

    const COUNT: usize = 100_000;
    let tables = CompressedSymbols {
        names: [2, b'T', b'x'].repeat(COUNT),
        token_table: (0..=255).flat_map(|token| [token_of(token), 0]).collect(),
        offsets: (0..COUNT as u32).collect(),
        base: 0,
    };
    let again = tables.clone();
    let read = with_little_memory(|| KernelSymbols::from_compressed(tables));
    let read = read.map(|symbols| symbols.len());
    assert!(matches!(read, Err(KernelSymbolError::NoMemory { bytes }) if bytes >= 8 * COUNT));
    let read = KernelSymbols::from_compressed(again).map(|symbols| symbols.len());
    assert_eq!(read, Ok(COUNT));
}

/// Returns what a token stands for: itself, where that is a letter.
fn token_of(token: u8) -> u8 {
    if token.is_ascii_graphic() {
        token
    } else {
        b'_'
    }
}
