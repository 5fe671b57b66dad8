//! The platform on `std`: memory that is not there, threads as CPUs, signals as interrupts.

use std::ptr::null_mut;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::thread;

use axebpf_platform::host::HOST;
use axebpf_platform::{
    Clock, CoreSync, Cpus, CurrentVcpu, ExecMemory, HostVirt, Interrupts, Platform, ReadFault,
    ReadMemory, TextError, TextPatch,
};

const PAGE: usize = 4096;

/// Three pages, the middle one of which has the given protection; `None` unmaps it.
struct Pages {
    start: *mut u8,
    is_middle_mapped: bool,
}

impl Pages {
    fn with_middle(protection: Option<libc::c_int>) -> Self {
        let readable = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: A new mapping, wherever there is room.
        let start = unsafe { libc::mmap(null_mut(), 3 * PAGE, readable, flags, -1, 0) };
        assert_ne!(start, libc::MAP_FAILED);
        let start = start.cast::<u8>();
        // SAFETY: All of it was just mapped as writable.
        unsafe { start.write_bytes(0xa5, 3 * PAGE) };
        // SAFETY: Within the mapping.
        let middle = unsafe { start.add(PAGE) }.cast();
        let result = match protection {
            // SAFETY: The mapping is ours, and no reference to it exists.
            Some(protection) => unsafe { libc::mprotect(middle, PAGE, protection) },
            // SAFETY: The mapping is ours, and no reference to it exists.
            None => unsafe { libc::munmap(middle, PAGE) },
        };
        assert_eq!(result, 0);
        Self {
            start,
            is_middle_mapped: protection.is_some(),
        }
    }

    fn at(&self, offset: usize) -> HostVirt {
        HostVirt::new(self.start as u64 + offset as u64)
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        for page in 0..3 {
            // What was unmapped may be somebody else's by now.
            if page != 1 || self.is_middle_mapped {
                // SAFETY: Within the mapping.
                let start = unsafe { self.start.add(page * PAGE) }.cast();
                // SAFETY: The page is ours, and no reference to it exists.
                let result = unsafe { libc::munmap(start, PAGE) };
                assert_eq!(result, 0);
            }
        }
    }
}

/// Reads `N` bytes into memory that is not zero, which a failure must leave zero.
fn read<const N: usize>(from: HostVirt) -> Result<[u8; N], ReadFault> {
    let mut bytes = [0xff; N];
    HOST.read_memory(from, &mut bytes)
        .inspect_err(|_| assert_eq!(bytes, [0; N]))
        .map(|()| bytes)
}

#[test]
fn memory_that_is_there_is_read() {
    let bytes: Vec<u8> = (0..=255).cycle().take(3 * PAGE).collect();
    let mut copy = vec![0; 3 * PAGE];
    let from = HostVirt::new(bytes.as_ptr() as u64);
    HOST.read_memory(from, &mut copy).unwrap();
    assert_eq!(copy, bytes);
}

#[test]
fn memory_that_is_not_there_is_an_error() {
    let null = HostVirt::new(0);
    assert_eq!(read::<8>(null), Err(ReadFault { addr: null }));
    let kernel = HostVirt::new(0xffff_8000_0000_0000);
    assert_eq!(read::<8>(kernel), Err(ReadFault { addr: kernel }));
    let last = HostVirt::new(u64::MAX);
    assert_eq!(read::<1>(last), Err(ReadFault { addr: last }));
    assert!(read::<16>(HostVirt::new(u64::MAX - 3)).is_err());
    assert_eq!(read::<0>(null), Ok([]));
}

#[test]
fn a_read_stops_at_a_page_that_is_not_readable() {
    for protection in [None, Some(libc::PROT_NONE)] {
        let pages = Pages::with_middle(protection);
        let addr = pages.at(PAGE);
        assert_eq!(read::<8>(pages.at(PAGE - 8)), Ok([0xa5; 8]));
        assert_eq!(read::<8>(pages.at(PAGE - 3)), Err(ReadFault { addr }));
        assert_eq!(read::<1>(addr), Err(ReadFault { addr }));
        assert_eq!(read::<8192>(pages.at(1)), Err(ReadFault { addr }));
        let inside = pages.at(2 * PAGE - 1);
        assert_eq!(read::<2>(inside), Err(ReadFault { addr: inside }));
        assert_eq!(read::<8>(pages.at(2 * PAGE)), Ok([0xa5; 8]));
    }
}

#[test]
fn memory_that_is_only_readable_is_read() {
    let pages = Pages::with_middle(Some(libc::PROT_READ));
    assert_eq!(read::<16>(pages.at(PAGE - 8)), Ok([0xa5; 16]));
}

#[test]
fn each_live_thread_is_one_cpu() {
    let here = HOST.current_cpu();
    assert_eq!(HOST.current_cpu(), here);
    assert!(here.get() < HOST.cpu_limit());
    assert!(HOST.is_online(here));
    let (tell, told) = mpsc::channel();
    let (release, released) = mpsc::channel::<()>();
    let other = thread::spawn(move || {
        tell.send(HOST.current_cpu()).unwrap();
        let _ = released.recv();
    });
    let there = told.recv().unwrap();
    assert_ne!(there, here);
    assert!(HOST.is_online(there));
    drop(release);
    other.join().unwrap();
}

#[test]
fn numbers_of_threads_that_ended_are_given_out_again() {
    // Many more threads than there are numbers, one after the other.
    for _ in 0..300 {
        thread::spawn(|| HOST.current_cpu()).join().unwrap();
    }
}

thread_local! {
    static KICKS: AtomicU32 = const { AtomicU32::new(0) };
}

fn count_kick() {
    KICKS.with(|kicks| kicks.fetch_add(1, Ordering::Relaxed));
}

fn kicks() -> u32 {
    KICKS.with(|kicks| kicks.load(Ordering::Relaxed))
}

#[test]
fn a_kick_interrupts_a_thread_unless_it_masks_interrupts() {
    HOST.set_kick_handler(count_kick);
    let (tell, told) = mpsc::channel();
    let (kicked, wait) = mpsc::channel::<()>();
    let other = thread::spawn(move || {
        let cpu = HOST.current_cpu();
        let before = kicks();
        tell.send(cpu).unwrap();
        // Blocked in the kernel, which a signal interrupts.
        wait.recv().unwrap();
        assert_eq!(kicks(), before + 1);

        let outer = HOST.mask();
        let inner = HOST.mask();
        tell.send(cpu).unwrap();
        wait.recv().unwrap();
        assert_eq!(kicks(), before + 1);
        HOST.restore(inner);
        assert_eq!(kicks(), before + 1);
        HOST.restore(outer);
        assert_eq!(kicks(), before + 2);
    });
    for _ in 0..2 {
        let cpu = told.recv().unwrap();
        HOST.kick(cpu);
        kicked.send(()).unwrap();
    }
    other.join().unwrap();
}

#[test]
fn there_is_no_guest_on_the_host() {
    assert_eq!(HOST.current_vcpu(), None);
    assert_eq!(HOST.exit_reason(), None);
}

#[test]
fn what_is_not_text_is_not_written() {
    let data = [1_u8; 4];
    let at = HostVirt::new(data.as_ptr() as u64);
    let not_text = |at| Err(TextError::NotText { at, len: 4 });
    assert_eq!(HOST.check_text(at, 4), not_text(at));
    let nowhere = HostVirt::new(0x1000);
    assert_eq!(HOST.check_text(nowhere, 4), not_text(nowhere));
    // SAFETY: Nothing can be there.
    let written = unsafe { HOST.write_text(nowhere, &[0; 4]) };
    assert_eq!(written, not_text(nowhere));
    let last = HostVirt::new(u64::MAX - 3);
    // SAFETY: Nothing can be there.
    assert_eq!(unsafe { HOST.write_text(last, &[0; 4]) }, not_text(last));
}

/// `mov eax, 7; ret`
#[cfg(target_arch = "x86_64")]
const SEVEN: [u8; 6] = [0xb8, 7, 0, 0, 0, 0xc3];

#[cfg(target_arch = "x86_64")]
#[test]
fn executable_memory_is_written_executed_and_given_back() {
    use core::mem::transmute;

    let region = HOST.alloc_exec(PAGE + 1).unwrap();
    let (start, len) = (region.start, region.len);
    assert_eq!(len, 2 * PAGE);
    HOST.check_text(start, len).unwrap();
    // The code lies across both pages.
    let at = HostVirt::new(start.get() + PAGE as u64 - 3);
    // SAFETY: Nothing executes there yet.
    unsafe { HOST.write_text(at, &SEVEN) }.unwrap();
    // SAFETY: A function of this type was just written there.
    let seven = unsafe { transmute::<*const (), extern "C" fn() -> u32>(at.get() as *const ()) };
    assert_eq!(seven(), 7);
    // What is not such a region is left alone.
    HOST.free_exec(axebpf_platform::ExecRegion { start, len: PAGE });
    assert_eq!(seven(), 7);
    HOST.free_exec(region);
}

#[cfg(target_arch = "x86_64")]
#[test]
fn text_is_written_and_stays_protected() {
    #[inline(never)]
    extern "C" fn answer() -> u32 {
        std::hint::black_box(42)
    }

    let function = std::hint::black_box(answer as extern "C" fn() -> u32);
    let at = HostVirt::new(function as usize as u64);
    let mut before = SEVEN;
    HOST.read_memory(at, &mut before).unwrap();
    let protection = protection_of(at);
    assert_eq!(protection, "r-xp");
    // SAFETY: Only this thread executes the function, and what is written is a function of its type.
    unsafe { HOST.write_text(at, &SEVEN) }.unwrap();
    assert_eq!(function(), 7);
    // SAFETY: As above.
    unsafe { HOST.write_text(at, &before) }.unwrap();
    assert_eq!(function(), 42);
    assert_eq!(protection_of(at), protection);
}

/// Returns what may be done with the memory at `at`.
#[cfg(target_arch = "x86_64")]
fn protection_of(at: HostVirt) -> String {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let address = |digits: &str| u64::from_str_radix(digits, 16).unwrap();
    let of_line = |line: &str| {
        let mut words = line.split(' ');
        let (start, end) = words.next()?.split_once('-')?;
        let is_it = (address(start)..address(end)).contains(&at.get());
        is_it.then(|| words.next().map(str::to_owned))?
    };
    maps.lines().find_map(of_line).unwrap()
}

#[test]
fn time_does_not_run_backwards() {
    let times: Vec<_> = (0..1000).map(|_| HOST.now_ns()).collect();
    assert!(times.is_sorted());
}

#[test]
fn platforms_can_be_told_apart() {
    let platform: &dyn Platform = &HOST;
    assert_eq!(platform.platform_type(), HOST.platform_type());
}
