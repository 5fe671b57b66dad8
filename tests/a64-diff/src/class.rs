//! Classes of instructions.

/// How the registers have to be for an instruction to do something worth looking at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// Any values.
    Anything,
    /// Rn near memory, and an offset in the word that is small.
    Base,
    /// Rn so that Rn and the scaled 12 bits of offset are near memory.
    BaseAndImmediate,
    /// Rn near memory, Rm small.
    BaseAndRegister,
    /// The offset in the word so that the literal is in memory.
    Literal,
    /// Some registers are addresses of code.
    Branch,
}

/// Whether the oracle can execute a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Native {
    /// It can.
    Runs,
    /// The instructions are privileged, or newer than QEMU 7.2; hand-written vectors test them.
    Lacks,
    /// They read what changes on its own, or wait.
    Varies,
}

/// Instructions that are encoded alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// What they are.
    pub name: &'static str,
    /// The bits that all of them share.
    pub mask: u32,
    /// The values of these bits.
    pub value: u32,
    /// What their registers need.
    pub aim: Aim,
    /// Whether the oracle can execute them.
    pub native: Native,
}

impl Class {
    /// Tells whether `word` is one of them.
    #[must_use]
    pub fn has(&self, word: u32) -> bool {
        word & self.mask == self.value
    }
}
