//! The call chain of the probed code, as its probe knows it.

use axebpf_hit::HitGuard;
use axebpf_platform::HostVirt;

/// Where the call chain of the probed code starts.
///
/// It is also the simplest [`CallStack`]: one of the hypervisor that no return probe has touched.
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
/// let start = start.with_return_address(HostVirt::new(x30));
/// let env = RunEnv::new().with_stack(&start);
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
    /// 6.4.6). It need not be right; what it names is read with care. 0 names none.
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

/// The number of bits of an address below those that a signed return address keeps its code in, unless a
/// [`CallStack`] says otherwise.
pub const DEFAULT_ADDRESS_BITS: u32 = 48;

/// The call chain of the probed code, for the helpers that take it (`get_stack`, `get_stackid`).
///
/// Each kind of probe has one of its own. Nothing of it is asked unless the program calls such a helper. All methods
/// are called during a hit: they allocate nothing and wait for nothing.
pub trait CallStack {
    /// Returns where the chain starts; `None` when that is not known.
    fn start(&self) -> Option<StackStart>;

    /// Reads a frame record, two words: the caller's frame pointer, then the return address; `None` when there is none
    /// that can be read.
    ///
    /// `frame` can be any address. Reads the hypervisor's memory, fault-safe; a stack that is elsewhere, such as a
    /// guest's, is read otherwise.
    fn read_frame(&self, guard: &HitGuard, frame: HostVirt) -> Option<[u64; 2]> {
        let mut record = [0; 16];
        let read = guard.platform().read_memory(frame, &mut record);
        let word = u128::from_le_bytes(record);
        read.ok().map(|()| [word as u64, (word >> 64) as u64])
    }

    /// Returns where a function goes back to, when `saved` is the return address in the frame record at `frame`, or at
    /// the start of the chain (`frame` is `None`).
    ///
    /// As a rule the same. A return probe that put the address of a trampoline there knows better.
    fn real_return(&self, frame: Option<HostVirt>, saved: HostVirt) -> HostVirt {
        let _ = frame;
        saved
    }

    /// Returns the number of bits of the addresses of this stack, 64 at most ([`DEFAULT_ADDRESS_BITS`]).
    ///
    /// The bits of a return address above them are those of its signature (FEAT_PAuth) and are left out: all become bit
    /// 55, as `XPACI` makes them (Arm ARM, pseudocode of `Strip`).
    fn address_bits(&self) -> u32 {
        DEFAULT_ADDRESS_BITS
    }
}

impl CallStack for StackStart {
    fn start(&self) -> Option<StackStart> {
        Some(*self)
    }
}
