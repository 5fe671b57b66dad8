//! What a register holds, as far as this layer of verification tells values apart.

use crate::op::Reg;

/// What a register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    /// Nothing yet, on one path at least.
    Nothing,
    /// A number that was made of numbers, which is no address of anything.
    Number,
    /// The context, as the program got it.
    Context,
    /// An address in a stack frame.
    Frame,
    /// A map, by its index among the program's.
    Map(u16),
    /// A function of the program.
    Function,
    /// Any of these but [`Nothing`](Self::Nothing), or something else: what memory or a helper gave.
    Anything,
}

impl Value {
    /// Returns what a register holds where two paths meet.
    pub(crate) fn join(self, other: Self) -> Self {
        match (self, other) {
            _ if self == other => self,
            (Self::Nothing, _) | (_, Self::Nothing) => Self::Nothing,
            _ => Self::Anything,
        }
    }

    /// Tells whether this is an address that only the program and its helpers make sense of.
    pub(crate) fn is_handle(self) -> bool {
        matches!(self, Self::Map(_) | Self::Function)
    }
}

impl Value {
    /// Returns what errors call the value.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Nothing => "nothing",
            Self::Number => "a number",
            Self::Context => "the context",
            Self::Frame => "an address in the stack",
            Self::Map(_) => "a map",
            Self::Function => "a function",
            Self::Anything => "something",
        }
    }
}

/// What all registers hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Registers([Value; 11]);

impl Registers {
    /// The start of the main function.
    pub(crate) const MAIN: Self = Self::EMPTY
        .with(Reg::R1, Value::Context)
        .with(Reg::R2, Value::Number);

    /// The start of a function that is called by its address or by a helper: it gets all arguments.
    pub(crate) const BY_ADDRESS: Self = Self::EMPTY
        .with(Reg::R1, Value::Anything)
        .with(Reg::R2, Value::Anything)
        .with(Reg::R3, Value::Anything)
        .with(Reg::R4, Value::Anything)
        .with(Reg::R5, Value::Anything);

    const EMPTY: Self = Self([Value::Nothing; 11]).with(Reg::R10, Value::Frame);

    pub(crate) const fn with(mut self, register: Reg, value: Value) -> Self {
        self.0[register as usize] = value;
        self
    }

    pub(crate) fn get(&self, register: Reg) -> Value {
        self.0[register as usize]
    }

    pub(crate) fn set(&mut self, register: Reg, value: Value) {
        self.0[register as usize] = value;
    }

    /// Returns the start of a function that is called with these registers.
    pub(crate) fn called(&self) -> Self {
        let mut callee = Self::EMPTY;
        for register in Reg::ARGUMENTS {
            callee.set(register, self.get(register));
        }
        callee
    }

    /// Goes on after a call, which leaves something in `r0` and nothing in the registers of the arguments.
    pub(crate) fn after_call(&mut self, result: Value) {
        for register in Reg::ARGUMENTS {
            self.set(register, Value::Nothing);
        }
        self.set(Reg::R0, result);
    }

    /// Adds another path to this point; tells whether that changed anything.
    pub(crate) fn join(&mut self, other: &Self) -> bool {
        let before = *self;
        for (own, other) in self.0.iter_mut().zip(other.0) {
            *own = own.join(other);
        }
        *self != before
    }
}
