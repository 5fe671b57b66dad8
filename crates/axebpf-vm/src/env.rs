//! What a run gets from whoever starts it.

use core::fmt;

use axebpf_platform::HostVirt;

use crate::printk::PrintkSink;

/// Where the call chain of the probed code starts, for the helpers that take it (`get_stack`, `get_stackid`).
///
/// # Examples
///
/// ```
/// use axebpf_platform::HostVirt;
/// use axebpf_vm::{RunEnv, StackStart};
///
/// // The registers of a probe on a function's first instruction.
/// let (pc, x29, x30) = (0x4000_1000, 0x4010_0fe0, 0x4000_2004);
/// let start = StackStart::new(HostVirt::new(pc), HostVirt::new(x29));
/// let env = RunEnv::new().with_stack(start.with_return_address(HostVirt::new(x30)));
/// # let _ = env;
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StackStart {
    pc: HostVirt,
    frame_pointer: HostVirt,
    return_address: Option<HostVirt>,
}

impl StackStart {
    /// Takes the program counter and the frame pointer (`x29` on aarch64) of the probed code.
    ///
    /// The frame pointer names a frame record: the caller's frame pointer, then the return address (AAPCS64, section
    /// 6.4.6). It need not be right; what it names is read with care.
    #[must_use]
    pub const fn new(pc: HostVirt, frame_pointer: HostVirt) -> Self {
        Self {
            pc,
            frame_pointer,
            return_address: None,
        }
    }

    /// Returns the start with a caller that no frame record names yet: `x30` at the first instruction of a function.
    #[must_use]
    pub const fn with_return_address(mut self, address: HostVirt) -> Self {
        self.return_address = Some(address);
        self
    }

    /// Returns the program counter.
    #[must_use]
    pub const fn pc(&self) -> HostVirt {
        self.pc
    }

    /// Returns the frame pointer.
    #[must_use]
    pub const fn frame_pointer(&self) -> HostVirt {
        self.frame_pointer
    }

    /// Returns the caller that no frame record names yet, if there is one.
    #[must_use]
    pub const fn return_address(&self) -> Option<HostVirt> {
        self.return_address
    }
}

/// What a run gets from whoever starts it, besides its context.
///
/// What each kind of probe gives: all of them the cookie and where messages go; `hprobe`, `hretprobe`, `kprobe` and
/// `kretprobe` the function that they are in, which `get_func_ip` returns; `hprobe` and `hretprobe` the stack of
/// the hypervisor. What is not given, helpers answer as Linux does where there is none.
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
    stack: Option<StackStart>,
}

impl<'e> RunEnv<'e> {
    /// Makes an environment in which `trace_printk` goes nowhere and the cookie is 0.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            printk: None,
            cookie: 0,
            function: None,
            stack: None,
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

    /// Returns the environment with the call chain of the probed code.
    #[must_use]
    pub const fn with_stack(mut self, start: StackStart) -> Self {
        self.stack = Some(start);
        self
    }

    /// Returns the address of the probed function (`bpf_get_func_ip`), if the probe is in one.
    #[must_use]
    pub const fn function(&self) -> Option<u64> {
        self.function
    }

    /// Returns where the call chain of the probed code starts, if it is known.
    #[must_use]
    pub const fn stack(&self) -> Option<StackStart> {
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
            .field("stack", &self.stack)
            .finish()
    }
}
