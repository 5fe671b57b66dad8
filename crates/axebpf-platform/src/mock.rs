//! A platform whose time, CPU and virtual CPU a test sets.
//!
//! All state belongs to the calling thread, so tests that run side by side do not see each other. A CPU number is held
//! by one live thread at a time, as on a machine: a thread that asks holds the lowest free one, and
//! [`set_mock_cpu_id`] waits for the number that it is given. What cannot be set is as on
//! [`host`](mod@crate::host).
//!
//! # Examples
//!
//! ```
//! use axebpf_platform::mock::{MOCK, advance_mock_time, set_mock_time, set_mock_vcpu};
//! use axebpf_platform::{Clock, CurrentVcpu};
//!
//! set_mock_time(1_000);
//! advance_mock_time(234);
//! assert_eq!(MOCK.now_ns(), 1_234);
//!
//! set_mock_vcpu(7, 1);
//! assert_eq!(MOCK.current_vcpu().map(|loaded| loaded.vm.get()), Some(7));
//! ```

use core::cell::{Cell, RefCell};
use core::mem::take;
use std::thread_local;
use std::vec::Vec;

use crate::host::{self, HOST};
use crate::{
    Clock, Console, CoreSync, CpuId, Cpus, CurrentVcpu, ExecError, ExecMemory, ExecRegion,
    HostVirt, InterruptState, Interrupts, ReadFault, ReadMemory, TextError, TextPatch, Vcpu,
    VcpuId, VmId,
};

thread_local! {
    static TIME: Cell<u64> = const { Cell::new(0) };
    static VCPU: Cell<Option<Vcpu>> = const { Cell::new(None) };
    static EXIT_REASON: Cell<Option<u32>> = const { Cell::new(None) };
    static CONSOLE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The one [`MockPlatform`].
pub static MOCK: MockPlatform = MockPlatform { _private: () };

/// The platform of a test.
#[derive(Debug)]
pub struct MockPlatform {
    _private: (),
}

/// Sets this thread's clock to `ns` nanoseconds. It stands still otherwise, and starts at 0.
pub fn set_mock_time(ns: u64) {
    TIME.set(ns);
}

/// Moves this thread's clock on by `ns` nanoseconds, at most to its end.
pub fn advance_mock_time(ns: u64) {
    TIME.set(TIME.get().saturating_add(ns));
}

/// Makes this thread the CPU `id`: gives its number back, then waits until no other live thread holds `id`.
///
/// Two threads that wait for each other's number do not block each other.
///
/// # Panics
///
/// When `id` is not below [`cpu_limit`](Cpus::cpu_limit), which is 64.
pub fn set_mock_cpu_id(id: u32) {
    let limit = MOCK.cpu_limit();
    assert!(
        id < limit,
        "CPU {id} is beyond the {limit} CPUs of the mock platform"
    );
    host::move_to(id);
}

/// Loads the virtual CPU `vcpu` of the virtual machine `vm` on this thread.
pub fn set_mock_vcpu(vm: u32, vcpu: u32) {
    VCPU.set(Some(Vcpu {
        vm: VmId::new(vm),
        vcpu: VcpuId::new(vcpu),
    }));
}

/// Unloads this thread's virtual CPU and forgets its exit reason.
pub fn clear_mock_vcpu() {
    VCPU.set(None);
    EXIT_REASON.set(None);
}

/// Sets why this thread's virtual CPU last left the guest.
pub fn set_mock_exit_reason(reason: u32) {
    EXIT_REASON.set(Some(reason));
}

/// Returns what this thread wrote to the console since the last call.
#[must_use]
pub fn take_mock_console() -> Vec<u8> {
    CONSOLE.with_borrow_mut(take)
}

impl Clock for MockPlatform {
    fn now_ns(&self) -> u64 {
        TIME.get()
    }
}

impl Cpus for MockPlatform {
    fn current_cpu(&self) -> CpuId {
        HOST.current_cpu()
    }

    fn cpu_limit(&self) -> u32 {
        HOST.cpu_limit()
    }

    fn is_online(&self, cpu: CpuId) -> bool {
        HOST.is_online(cpu)
    }
}

impl CurrentVcpu for MockPlatform {
    fn current_vcpu(&self) -> Option<Vcpu> {
        VCPU.get()
    }

    fn exit_reason(&self) -> Option<u32> {
        EXIT_REASON.get()
    }
}

impl Interrupts for MockPlatform {
    fn mask(&self) -> InterruptState {
        HOST.mask()
    }

    fn restore(&self, state: InterruptState) {
        HOST.restore(state);
    }
}

impl CoreSync for MockPlatform {
    fn kick(&self, cpu: CpuId) {
        HOST.kick(cpu);
    }

    fn relax(&self) {
        HOST.relax();
    }

    fn synchronize_context(&self) {
        HOST.synchronize_context();
    }

    fn set_kick_handler(&self, handler: fn()) {
        HOST.set_kick_handler(handler);
    }
}

impl TextPatch for MockPlatform {
    fn check_text(&self, at: HostVirt, len: usize) -> Result<(), TextError> {
        HOST.check_text(at, len)
    }

    unsafe fn write_text(&self, at: HostVirt, bytes: &[u8]) -> Result<(), TextError> {
        // SAFETY: The caller keeps what both ask for.
        unsafe { HOST.write_text(at, bytes) }
    }
}

impl ExecMemory for MockPlatform {
    fn alloc_exec(&self, len: usize) -> Result<ExecRegion, ExecError> {
        HOST.alloc_exec(len)
    }

    fn free_exec(&self, region: ExecRegion) {
        HOST.free_exec(region);
    }
}

impl ReadMemory for MockPlatform {
    fn read_memory(&self, src: HostVirt, dst: &mut [u8]) -> Result<(), ReadFault> {
        HOST.read_memory(src, dst)
    }
}

impl Console for MockPlatform {
    fn write_console(&self, text: &[u8]) {
        CONSOLE.with_borrow_mut(|console| console.extend_from_slice(text));
    }
}
