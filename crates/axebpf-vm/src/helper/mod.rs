//! The helpers: what programs can call, with Linux's numbers and meanings.

mod call;
mod each;
mod foreign;
mod format;
mod identity;
mod ip;
mod map;
mod printk;
mod probe;
mod queue;
mod refused;
mod ring;
mod stack;
mod steer;

pub(crate) use call::{HelperFault, Helpers};
pub use refused::RefusedHelper;
pub use stack::MAX_STACK_DEPTH;

/// What a helper takes as an argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ArgKind {
    /// A number.
    Number,
    /// A map of the program.
    Map,
    /// A pointer to a key of the map in the first argument.
    Key,
    /// A pointer to a value of the map in the first argument.
    Value,
    /// A pointer to memory to read; the next argument is its length in bytes.
    Readable,
    /// A pointer to memory to write; the next argument is its length in bytes.
    Writable,
    /// The length of the memory in the argument before.
    Length,
    /// Any address, which need not be one of the program's.
    Foreign,
    /// A reserved record of a ring buffer.
    Record,
    /// The context, as the program got it.
    Context,
    /// The address of a function of the program.
    Function,
    /// Anything, which the helper hands on as it is.
    Any,
    /// A pointer to a string of the program's with a terminating NUL.
    Text,
    /// Anything, and nothing if the helper does not look at it.
    Optional,
}

macro_rules! helpers {
    ($($(#[$doc:meta])* $helper:ident = $id:literal, $name:literal, [$($arg:ident),*];)*) => {
        /// A helper that programs can call.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        #[repr(u16)]
        pub enum Helper {
            $($(#[$doc])* $helper = $id,)*
        }

        impl Helper {
            /// All helpers, by number.
            pub const ALL: &'static [Self] = &[$(Self::$helper),*];

            /// Returns the name that `bpf_helpers.h` gives the helper, without `bpf_`.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$helper => $name,)*
                }
            }

            /// Returns what the helper takes, in order.
            #[must_use]
            pub const fn args(self) -> &'static [ArgKind] {
                match self {
                    $(Self::$helper => &[$(ArgKind::$arg),*],)*
                }
            }
        }
    };
}

helpers! {
    /// Returns a pointer to the live value of a key, or 0.
    MapLookupElem = 1, "map_lookup_elem", [Map, Key];
    /// Writes a value under a condition (`BPF_ANY`, `BPF_NOEXIST`, `BPF_EXIST`).
    MapUpdateElem = 2, "map_update_elem", [Map, Key, Value, Number];
    /// Removes a key.
    MapDeleteElem = 3, "map_delete_elem", [Map, Key];
    /// Copies memory of the hypervisor, or of the guest at a probe on its kernel.
    ProbeRead = 4, "probe_read", [Writable, Length, Foreign];
    /// Returns the nanoseconds since the machine started.
    KtimeGetNs = 5, "ktime_get_ns", [];
    /// Records a message, which the reader formats.
    TracePrintk = 6, "trace_printk", [Readable, Length, Optional, Optional, Optional];
    /// Returns a number that nobody should rely on to be a secret.
    GetPrandomU32 = 7, "get_prandom_u32", [];
    /// Returns the number of the CPU.
    GetSmpProcessorId = 8, "get_smp_processor_id", [];
    /// Goes on in another program, and does not return.
    TailCall = 12, "tail_call", [Context, Map, Number];
    /// Returns the virtual machine that is loaded on this CPU in the upper 32 bits, its virtual CPU in the lower ones;
    /// all ones when there is none. At a probe on a guest's kernel, the guest's process and thread.
    GetCurrentPidTgid = 14, "get_current_pid_tgid", [];
    /// Writes what is loaded on this CPU as text: `vm3/vcpu0`, or `hypervisor`; at a probe on a guest's kernel, the
    /// name of the guest's task.
    GetCurrentComm = 16, "get_current_comm", [Writable, Length];
    /// Writes a record to this CPU's buffer of events.
    PerfEventOutput = 25, "perf_event_output", [Context, Map, Number, Readable, Length];
    /// Returns the number of the probed code's call chain in a map of stack traces.
    GetStackid = 27, "get_stackid", [Context, Map, Number];
    /// Returns where the guest's kernel keeps its running task, at a probe on it; 0 elsewhere, and where the kernel has
    /// just been entered from a program.
    GetCurrentTask = 35, "get_current_task", [];
    /// Copies a string of the hypervisor, or of the guest at a probe on its kernel.
    ProbeReadStr = 45, "probe_read_str", [Writable, Length, Foreign];
    /// Writes the call chain of the probed code.
    GetStack = 67, "get_stack", [Context, Writable, Length, Number];
    /// Adds a value to a queue or stack, or a member to a bloom filter.
    MapPushElem = 87, "map_push_elem", [Map, Value, Number];
    /// Takes the next value out of a queue or stack.
    MapPopElem = 88, "map_pop_elem", [Map, Value];
    /// Copies the next value of a queue or stack, or tells whether a value may be a member of a bloom filter.
    MapPeekElem = 89, "map_peek_elem", [Map, Value];
    /// Returns the number of the virtual machine that is loaded on this CPU, or all ones.
    GetCurrentVmId = 100, "get_current_vm_id", [];
    /// Returns the number of the virtual CPU that is loaded on this CPU, or all ones.
    GetCurrentVcpuId = 101, "get_current_vcpu_id", [];
    /// Returns why the loaded virtual CPU last left the guest, or all ones.
    GetExitReason = 102, "get_exit_reason", [];
    /// Copies memory of a guest's program, at a probe on the guest's kernel; fails elsewhere.
    ProbeReadUser = 112, "probe_read_user", [Writable, Length, Foreign];
    /// Copies memory of the hypervisor, or of the guest's kernel at a probe on it.
    ProbeReadKernel = 113, "probe_read_kernel", [Writable, Length, Foreign];
    /// Copies a string of a guest's program, at a probe on the guest's kernel; fails elsewhere.
    ProbeReadUserStr = 114, "probe_read_user_str", [Writable, Length, Foreign];
    /// Copies a string of the hypervisor, or of the guest's kernel at a probe on it.
    ProbeReadKernelStr = 115, "probe_read_kernel_str", [Writable, Length, Foreign];
    /// Returns the ticks since the machine started, of 4 ms each.
    Jiffies64 = 118, "jiffies64", [];
    /// Returns the nanoseconds since the machine started; it never sleeps.
    KtimeGetBootNs = 125, "ktime_get_boot_ns", [];
    /// Copies a record into a ring buffer.
    RingbufOutput = 130, "ringbuf_output", [Map, Readable, Length, Number];
    /// Reserves a record in a ring buffer.
    RingbufReserve = 131, "ringbuf_reserve", [Map, Number, Number];
    /// Hands a reserved record to the reader.
    RingbufSubmit = 132, "ringbuf_submit", [Record, Number];
    /// Gives a reserved record back.
    RingbufDiscard = 133, "ringbuf_discard", [Record, Number];
    /// Returns how far a ring buffer is filled.
    RingbufQuery = 134, "ringbuf_query", [Map, Number];
    /// Calls a function of the program for each entry of a map.
    ForEachMapElem = 164, "for_each_map_elem", [Map, Function, Any, Number];
    /// Makes text of a format and values.
    Snprintf = 165, "snprintf", [Writable, Length, Text, Readable, Length];
    /// Returns the address of the probed function, or 0.
    GetFuncIp = 173, "get_func_ip", [Context];
    /// Returns the cookie of the link that runs the program, or 0.
    GetAttachCookie = 174, "get_attach_cookie", [Context];
    /// Records a message with up to twelve values, which the reader formats.
    TraceVprintk = 177, "trace_vprintk", [Readable, Length, Readable, Length];
    /// Calls a function of the program a number of times.
    Loop = 181, "loop", [Number, Function, Any, Number];
    /// Compares two strings.
    Strncmp = 182, "strncmp", [Readable, Length, Text];
    /// Returns a pointer to the live value that a key has on another CPU, or 0.
    MapLookupPercpuElem = 195, "map_lookup_percpu_elem", [Map, Key, Number];
    /// Returns the nanoseconds that the probed function took, at its return, or all ones.
    GetCallTimeNs = 0x1000, "get_call_time_ns", [];
    /// Copies memory of a guest's kernel, at a probe on it; fails elsewhere, and tracepoint programs cannot have it.
    ReadGuestKernel = 0x1001, "read_guest_kernel", [Writable, Length, Foreign];
    /// Copies memory of a guest's program, at a probe on the guest's kernel; fails elsewhere, and tracepoint programs
    /// cannot have it.
    ReadGuestUser = 0x1002, "read_guest_user", [Writable, Length, Foreign];
}

impl Helper {
    /// Returns the helper with Linux's number `id`, or the hypervisor's.
    #[must_use]
    pub fn from_id(id: i32) -> Option<Self> {
        Self::ALL
            .iter()
            .copied()
            .find(|helper| i32::from(helper.id()) == id)
    }

    /// Tells whether the helper calls functions of the program or goes on in another one.
    pub(crate) const fn steers(self) -> bool {
        matches!(self, Self::TailCall | Self::Loop | Self::ForEachMapElem)
    }

    /// Returns why the helper with that number is not here, if it is one that Linux gives to tracing programs.
    #[must_use]
    pub fn refusal(id: i32) -> Option<&'static RefusedHelper> {
        let id = u16::try_from(id).ok()?;
        refused::REFUSED.iter().find(|refused| refused.id == id)
    }

    /// Returns the helper's number.
    #[must_use]
    pub const fn id(self) -> u16 {
        self as u16
    }
}
