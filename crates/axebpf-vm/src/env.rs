//! What a run gets from whoever starts it.

use core::fmt;

use crate::call_stack::CallStack;
use crate::guest::GuestTask;
use crate::printk::PrintkSink;

/// What a run gets from whoever starts it, besides its context.
///
/// What each kind of probe gives: all of them the cookie and where messages go; `hprobe`, `hretprobe`, `kprobe` and
/// `kretprobe` the function that they are in, which `get_func_ip` returns; `hretprobe` how long the call took;
/// tracepoints, `hprobe` and `hretprobe` the stack of the hypervisor; `kprobe` and `kretprobe` the guest and its stack.
/// What is not given, helpers answer as Linux does where there is none.
///
/// # Examples
///
/// ```
/// use axebpf_vm::RunEnv;
///
/// let env = RunEnv::new().with_cookie(7);
/// # let _ = env;
/// ```
#[derive(Clone, Copy, Default)]
pub struct RunEnv<'e> {
    printk: Option<&'e dyn PrintkSink>,
    cookie: u64,
    function: Option<u64>,
    call_time_ns: Option<u64>,
    stack: Option<&'e dyn CallStack>,
    guest: Option<&'e dyn GuestTask>,
}

impl<'e> RunEnv<'e> {
    /// Makes an environment in which `trace_printk` goes nowhere and the cookie is 0.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            printk: None,
            cookie: 0,
            function: None,
            call_time_ns: None,
            stack: None,
            guest: None,
        }
    }

    /// Returns the environment with `sink` for the messages of `trace_printk`.
    #[must_use]
    pub const fn with_printk(mut self, sink: &'e dyn PrintkSink) -> Self {
        self.printk = Some(sink);
        self
    }

    /// Returns the environment with the cookie of the link that runs the program.
    #[must_use]
    pub const fn with_cookie(mut self, cookie: u64) -> Self {
        self.cookie = cookie;
        self
    }

    /// Returns the environment with the address of the probed function, of the hypervisor's or the guest's.
    #[must_use]
    pub const fn with_function(mut self, address: u64) -> Self {
        self.function = Some(address);
        self
    }

    /// Returns the environment with the nanoseconds that the probed function took, at its return.
    #[must_use]
    pub const fn with_call_time_ns(mut self, duration: u64) -> Self {
        self.call_time_ns = Some(duration);
        self
    }

    /// Returns the environment with the call chain of the probed code.
    #[must_use]
    pub const fn with_stack(mut self, stack: &'e dyn CallStack) -> Self {
        self.stack = Some(stack);
        self
    }

    /// Returns the environment with the guest whose kernel is probed.
    #[must_use]
    pub const fn with_guest(mut self, guest: &'e dyn GuestTask) -> Self {
        self.guest = Some(guest);
        self
    }

    /// Returns the guest whose kernel is probed, if the probe is on one.
    #[must_use]
    pub const fn guest(&self) -> Option<&'e dyn GuestTask> {
        self.guest
    }

    /// Returns the address of the probed function (`bpf_get_func_ip`), if the probe is in one.
    #[must_use]
    pub const fn function(&self) -> Option<u64> {
        self.function
    }

    /// Returns the nanoseconds that the probed function took, if the probe is at its return.
    #[must_use]
    pub const fn call_time_ns(&self) -> Option<u64> {
        self.call_time_ns
    }

    /// Returns the call chain of the probed code, if there is one.
    #[must_use]
    pub const fn stack(&self) -> Option<&'e dyn CallStack> {
        self.stack
    }

    /// Returns where the messages of `trace_printk` go.
    #[must_use]
    pub const fn printk(&self) -> Option<&'e dyn PrintkSink> {
        self.printk
    }

    /// Returns the cookie of the link that runs the program, 0 unless the link has one.
    #[must_use]
    pub const fn cookie(&self) -> u64 {
        self.cookie
    }
}

impl fmt::Debug for RunEnv<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunEnv")
            .field("printk", &self.printk.is_some())
            .field("cookie", &self.cookie)
            .field("function", &self.function)
            .field("call_time_ns", &self.call_time_ns)
            .field("stack", &self.stack.and_then(|stack| stack.start()))
            .field("guest", &self.guest.and_then(GuestTask::task))
            .finish()
    }
}
