//! What a host that uses `ktracepoint` provides: its state, its trace pipe, writing its text.
//!
//! The events themselves are in the tests: each final program has its own list of them.
#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::c_void;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, RwLock};

use ktracepoint::{ExtTracePoint, KernelTraceOps, TracePointMap, global_init_events};

static STATES: RwLock<BTreeMap<u32, ExtTracePoint<Host>>> = RwLock::new(BTreeMap::new());

/// Holds the records that `ktracepoint` itself has pushed.
pub static PIPE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Stands for the operations of a host.
#[derive(Debug)]
pub struct Host;

impl KernelTraceOps for Host {
    fn current_pid() -> u32 {
        77
    }

    fn trace_pipe_push_raw_record(record: &[u8]) {
        PIPE.lock().unwrap().push(record.to_vec());
    }

    fn trace_cmdline_push(_pid: u32) {}

    /// Writes through the kernel, which copies the page for this process.
    fn write_kernel_text(at: *mut c_void, text: &[u8]) {
        let memory = File::options().write(true).open("/proc/self/mem").unwrap();
        memory.write_all_at(text, at.addr() as u64).unwrap();
    }

    fn read_tracepoint_state<R>(id: u32, read: impl FnOnce(&ExtTracePoint<Self>) -> R) -> R {
        read(&STATES.read().unwrap()[&id])
    }

    fn write_tracepoint_state<R>(id: u32, write: impl FnOnce(&mut ExtTracePoint<Self>) -> R) -> R {
        write(STATES.write().unwrap().get_mut(&id).unwrap())
    }
}

/// Finds the events of the program, as a host does when it starts.
#[must_use]
pub fn start() -> TracePointMap<Host> {
    static_keys::global_init();
    let (tracepoints, states) = global_init_events::<Host>().unwrap();
    let states = states.into_iter().map(|state| (state.id(), state));
    STATES.write().unwrap().extend(states);
    tracepoints
}
