//! Where the parts of the image and of the machine's memory lie.

use core::{ops::Range, ptr::addr_of};

unsafe extern "C" {
    static text_begin: u8;
    static rodata_begin: u8;
    static data_begin: u8;
    static exec_pool_begin: u8;
    static exec_pool_end: u8;
}

/// Where the heap starts; `image.ld` checks that the image ends before.
const HEAP_BEGIN: u64 = 0x4120_0000;
/// Where the heap ends: machines have at least `-m 512M`. What lies behind is for [`payload`](super::payload).
const HEAP_END: u64 = 0x6000_0000;

/// Returns where the hypervisor's code lies.
pub(crate) fn text() -> Range<u64> {
    addr_of!(text_begin) as u64..addr_of!(rodata_begin) as u64
}

/// Returns where the constants lie.
pub(crate) fn rodata() -> Range<u64> {
    addr_of!(rodata_begin) as u64..addr_of!(data_begin) as u64
}

/// Returns where the variables and the boot stacks lie.
pub(crate) fn data() -> Range<u64> {
    addr_of!(data_begin) as u64..exec_pool().start
}

/// Returns where code lies that is made at run time.
pub(crate) fn exec_pool() -> Range<u64> {
    addr_of!(exec_pool_begin) as u64..addr_of!(exec_pool_end) as u64
}

/// Returns the memory that the heap hands out.
pub(crate) fn heap() -> Range<u64> {
    HEAP_BEGIN..HEAP_END
}
