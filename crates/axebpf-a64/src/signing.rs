//! Signing return addresses, with which functions begin.

use crate::simulate::land;
use crate::{BranchTargets, LandingPad, PtRegs, SimulateError};

/// A key of pointer authentication for addresses of instructions (`FEAT_PAuth`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SigningKey {
    /// `APIAKey`, of `PACIASP`.
    A,
    /// `APIBKey`, of `PACIBSP`.
    B,
}

impl SigningKey {
    /// Returns the key with which `word` signs the return address, if it is `PACIASP` or `PACIBSP`.
    ///
    /// Such an instruction goes out of line, as [`classify`](crate::classify) says. A host that runs at the exception
    /// level and with the keys of the interrupted code can do without a copy, by [`sign_return`].
    ///
    /// # Examples
    ///
    /// ```
    /// use axebpf_a64::SigningKey;
    ///
    /// assert_eq!(SigningKey::of(0xd503_233f), Some(SigningKey::A)); // paciasp
    /// assert_eq!(SigningKey::of(0xd503_201f), None); // nop
    /// ```
    #[must_use]
    pub const fn of(word: u32) -> Option<Self> {
        match word {
            0xd503_233f => Some(Self::A),
            0xd503_237f => Some(Self::B),
            _ => None,
        }
    }
}

/// Executes `PACIASP` or `PACIBSP`, which is at `regs.pc`.
///
/// `sign` gets the key, the address and the modifier, and does what `PACIA` or `PACIB` does with them, which only the
/// processor can: it has the keys, and often an algorithm of its own.
///
/// # Errors
///
/// [`SimulateError::BranchTarget`] if the page is guarded and `BTYPE` is 3. Whether such a branch may come here is up
/// to `SCTLR_ELx.BT`, so the processor has to say: execute a copy in a guarded page then. Nothing has changed.
///
/// # Examples
///
/// ```
/// use axebpf_a64::{BranchTargets, PtRegs, SigningKey, sign_return};
///
/// let mut regs = PtRegs { sp: 0x1000, ..PtRegs::default() };
/// regs.regs[30] = 0x8000_0000;
/// let sign = |_: SigningKey, address: u64, modifier: u64| address | modifier << 48;
/// sign_return(SigningKey::A, &mut regs, BranchTargets::Guarded, sign)?;
/// assert_eq!(regs.return_address(), 0x1000_0000_8000_0000);
/// # Ok::<(), axebpf_a64::SimulateError>(())
/// ```
pub fn sign_return(
    key: SigningKey,
    regs: &mut PtRegs,
    targets: BranchTargets,
    sign: impl FnOnce(SigningKey, u64, u64) -> u64,
) -> Result<(), SimulateError> {
    // It is a landing pad for calls, and for jumps that a linker makes.
    land(LandingPad::Call, regs, targets)?;
    regs.regs[30] = sign(key, regs.regs[30], regs.sp);
    regs.pc = regs.pc.wrapping_add(4);
    regs.set_btype(0);
    Ok(())
}
