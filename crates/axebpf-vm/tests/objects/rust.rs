//! A program in Rust without any crate: a map with the layout of `struct bpf_map_def`, and a function that is called.
#![no_std]
#![no_main]

use core::cell::UnsafeCell;
use core::panic::PanicInfo;

#[repr(C)]
struct MapDef {
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
    id: u32,
    pinning: u32,
}

#[repr(transparent)]
struct Map(UnsafeCell<MapDef>);

unsafe impl Sync for Map {}

const fn map(kind: u32, value_size: u32, max_entries: u32, pinning: u32) -> Map {
    let (key_size, flags, id) = (4, 0, 0);
    Map(UnsafeCell::new(MapDef { kind, key_size, value_size, max_entries, flags, id, pinning }))
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "maps")]
static SUMS: Map = map(2, 8, 4, 1);

static STEPS: [u64; 4] = [10, 20, 30, 40];

#[inline(never)]
fn step(index: u64) -> u64 {
    let index = index as usize & 3;
    unsafe { core::ptr::read_volatile(&raw const STEPS[index]) }
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "tp/vmm/page_fault")]
pub extern "C" fn sum(context: *const u64) -> u64 {
    let lookup: extern "C" fn(*const Map, *const u32) -> *mut u64 = unsafe { core::mem::transmute(1usize) };
    let key = 2u32;
    let value = lookup(&raw const SUMS, &raw const key);
    if value.is_null() {
        return 0;
    }
    let index = unsafe { *context.add(1) };
    unsafe { *value += step(index) };
    unsafe { *value }
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 4] = *b"GPL\0";

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}
