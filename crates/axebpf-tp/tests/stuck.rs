//! What cancelling says when a CPU does not leave its hit.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};

use axebpf_hit::HitError;
use axebpf_platform::host::HOST;
use axebpf_platform::{
    Clock, Console, CoreSync, CpuId, Cpus, CurrentVcpu, ExecError, ExecMemory, ExecRegion,
    HostVirt, InterruptState, Interrupts, ReadFault, ReadMemory, TextError, TextPatch, Vcpu,
};
use axebpf_tp::{TpError, TraceHandler, TraceHit, define_event, subscribe, trace};

define_event! {
    /// Its handler keeps its CPU.
    event test:endless as Endless {}
}

/// The host, with a clock that runs a thousand times faster.
struct Hasty;

static HASTY: Hasty = Hasty;

/// Stays in its hit until it is told to leave.
struct Stay {
    begun: mpsc::Sender<()>,
    left: Arc<AtomicU64>,
    leave: Arc<AtomicU64>,
}

impl TraceHandler for Stay {
    fn hit(&self, _hit: &TraceHit<'_>) {
        self.begun.send(()).unwrap();
        while self.leave.load(Ordering::Acquire) == 0 {
            std::thread::yield_now();
        }
        self.left.fetch_add(1, Ordering::Release);
    }
}

#[test]
fn a_handler_that_may_still_run_is_an_error_and_is_not_freed() {
    axebpf_hit::install(&HASTY).unwrap();
    axebpf_tp::init().unwrap();
    let (begun, has_begun) = mpsc::channel();
    let (left, leave) = (Arc::default(), Arc::default());
    let stay = Stay {
        begun,
        left: Arc::clone(&left),
        leave: Arc::clone(&leave),
    };
    let subscription = subscribe(&endless, Arc::new(stay), None).unwrap();
    let firing = std::thread::spawn(|| trace!(endless));
    has_begun.recv().unwrap();

    let error = subscription.cancel().unwrap_err();
    assert!(
        matches!(
            error,
            TpError::Hit {
                cause: HitError::Stuck { .. }
            }
        ),
        "{error}"
    );

    // The handler goes on with memory that is still there.
    leave.store(1, Ordering::Release);
    firing.join().unwrap();
    assert_eq!(left.load(Ordering::Acquire), 1);
    assert!(has_begun.try_recv().is_err());
}

impl Clock for Hasty {
    fn now_ns(&self) -> u64 {
        HOST.now_ns().saturating_mul(1000)
    }
}

impl Cpus for Hasty {
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

impl CoreSync for Hasty {
    fn kick(&self, cpu: CpuId) {
        HOST.kick(cpu);
    }

    fn relax(&self) {
        HOST.relax();
    }

    fn synchronize_context(&self) {
        HOST.synchronize_context();
    }
}

impl TextPatch for Hasty {
    unsafe fn write_text(&self, at: HostVirt, bytes: &[u8]) -> Result<(), TextError> {
        // SAFETY: The caller keeps the contract, which is the same.
        unsafe { HOST.write_text(at, bytes) }
    }
}

impl Interrupts for Hasty {
    fn mask(&self) -> InterruptState {
        HOST.mask()
    }

    fn restore(&self, state: InterruptState) {
        HOST.restore(state);
    }
}

impl CurrentVcpu for Hasty {
    fn current_vcpu(&self) -> Option<Vcpu> {
        HOST.current_vcpu()
    }

    fn exit_reason(&self) -> Option<u32> {
        HOST.exit_reason()
    }
}

impl ExecMemory for Hasty {
    fn alloc_exec(&self, len: usize) -> Result<ExecRegion, ExecError> {
        HOST.alloc_exec(len)
    }

    fn free_exec(&self, region: ExecRegion) {
        HOST.free_exec(region);
    }
}

impl ReadMemory for Hasty {
    fn read_memory(&self, src: HostVirt, dst: &mut [u8]) -> Result<(), ReadFault> {
        HOST.read_memory(src, dst)
    }
}

impl Console for Hasty {
    fn write_console(&self, text: &[u8]) {
        HOST.write_console(text);
    }
}
