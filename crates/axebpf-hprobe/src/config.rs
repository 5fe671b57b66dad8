//! What the hypervisor says once, before the first probe.

use core::fmt;

use axebpf_a64::{BranchTargets, MemoryFault, SigningKey};

use crate::Blacklist;

/// Stores `bytes` (4, 8 or 16 of them) at an address, as a store of the interrupted code would, or says that this
/// would fault.
///
/// # Safety
///
/// The interrupted code is about to store there.
pub type StoreFn = unsafe fn(u64, &[u8]) -> Result<(), MemoryFault>;

/// Signs an address with a modifier, by the key that the interrupted code would take: `PACIA` or `PACIB`.
pub type SignFn = fn(SigningKey, u64, u64) -> u64;

/// What the hypervisor says once, before the first probe.
#[derive(Clone)]
pub struct Config {
    pub(crate) blacklist: Blacklist,
    pub(crate) branch_targets: BranchTargets,
    pub(crate) store: Option<StoreFn>,
    pub(crate) sign: Option<SignFn>,
    pub(crate) return_capacity: usize,
}

impl Config {
    /// How many calls with probed returns can be in flight, unless the hypervisor says otherwise.
    const RETURN_CAPACITY: usize = 4096;

    /// Starts with a processor that has no branch targets (`FEAT_BTI`), and stores that are not simulated.
    #[must_use]
    pub fn new(blacklist: Blacklist) -> Self {
        Self {
            blacklist,
            branch_targets: BranchTargets::Unimplemented,
            store: None,
            sign: None,
            return_capacity: Self::RETURN_CAPACITY,
        }
    }

    /// Says what indirect branches in the text of the hypervisor have to find.
    ///
    /// With [`BranchTargets::Guarded`], the pages of [`ExecMemory`](axebpf_platform::ExecMemory) are guarded, too.
    #[must_use]
    pub fn with_branch_targets(mut self, branch_targets: BranchTargets) -> Self {
        self.branch_targets = branch_targets;
        self
    }

    /// Has stores to the stack, with which most functions begin, simulated by `store`.
    ///
    /// It runs in hits, and an abort that it takes must show in no register of what was interrupted. Without it, such
    /// instructions are executed out of line, which takes another trap.
    #[must_use]
    pub fn with_store(mut self, store: StoreFn) -> Self {
        self.store = Some(store);
        self
    }

    /// Has `PACIASP` and `PACIBSP`, with which functions begin that sign their return addresses, simulated by `sign`.
    ///
    /// It runs in hits. Without it, they are executed out of line, which takes another trap.
    #[must_use]
    pub fn with_signing(mut self, sign: SignFn) -> Self {
        self.sign = Some(sign);
        self
    }

    /// Says for how many calls with probed returns there is room.
    #[must_use]
    pub fn with_return_capacity(mut self, calls: usize) -> Self {
        self.return_capacity = calls;
        self
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("blacklist", &self.blacklist)
            .field("branch_targets", &self.branch_targets)
            .field("simulates_stores", &self.store.is_some())
            .field("simulates_signing", &self.sign.is_some())
            .field("return_capacity", &self.return_capacity)
            .finish()
    }
}
