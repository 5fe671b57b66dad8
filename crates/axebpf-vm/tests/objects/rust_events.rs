//! Exits of a guest in Rust without any crate: counted by reason, timed per virtual CPU, and streamed when they are
//! slow.
#![no_std]
#![no_main]

use core::cell::UnsafeCell;
use core::mem::transmute;
use core::panic::PanicInfo;

#[repr(C)]
struct MapDef {
    kind: u32,
    key_size: u32,
    value_size: u32,
    max_entries: u32,
    flags: u32,
}

#[repr(transparent)]
struct Map(UnsafeCell<MapDef>);

unsafe impl Sync for Map {}

const fn map(kind: u32, key_size: u32, value_size: u32, max_entries: u32) -> Map {
    Map(UnsafeCell::new(MapDef { kind, key_size, value_size, max_entries, flags: 0 }))
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "maps")]
static COUNTS: Map = map(1, 8, 8, 16);

#[unsafe(no_mangle)]
#[unsafe(link_section = "maps")]
static STARTS: Map = map(1, 4, 8, 16);

#[unsafe(no_mangle)]
#[unsafe(link_section = "maps")]
static SLOW: Map = map(27, 0, 0, 4096);

/// The nanoseconds from which on an exit is slow. Set before loading.
#[unsafe(no_mangle)]
static LIMIT_NS: u64 = 1000;

#[repr(C)]
pub struct Event {
    common: u64,
    vcpu: u32,
    reason: u32,
}

#[repr(C)]
struct Slow {
    vcpu: u32,
    reason: u32,
    ns: u64,
}

impl Map {
    fn get<K>(&self, key: &K) -> Option<&mut u64> {
        let lookup: extern "C" fn(*const Map, *const K) -> *mut u64 = unsafe { transmute(1usize) };
        unsafe { lookup(self, key).as_mut() }
    }

    fn set<K>(&self, key: &K, value: u64) -> i64 {
        let update: extern "C" fn(*const Map, *const K, *const u64, u64) -> i64 = unsafe { transmute(2usize) };
        update(self, key, &value, 0)
    }
}

fn now() -> u64 {
    let ktime: extern "C" fn() -> u64 = unsafe { transmute(5usize) };
    ktime()
}

#[inline(never)]
fn count(event: &Event) {
    let key = [event.vcpu, event.reason];
    match COUNTS.get(&key) {
        Some(count) => *count += 1,
        None => {
            COUNTS.set(&key, 1);
        }
    }
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "tp/vmm/vcpu_run_exit")]
pub extern "C" fn exit(event: &Event) -> i64 {
    count(event);
    STARTS.set(&event.vcpu, now())
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "tp/vmm/vcpu_run_enter")]
pub extern "C" fn enter(event: &Event) -> i64 {
    let output: extern "C" fn(*const Map, *const Slow, u64, u64) -> i64 = unsafe { transmute(130usize) };
    let Some(start) = STARTS.get(&event.vcpu) else {
        return 1;
    };
    let ns = now() - *start;
    if ns < unsafe { core::ptr::read_volatile(&raw const LIMIT_NS) } {
        return 2;
    }
    let slow = Slow { vcpu: event.vcpu, reason: event.reason, ns };
    output(&SLOW, &slow, size_of::<Slow>() as u64, 0)
}

#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 4] = *b"GPL\0";

#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    loop {}
}
