//! Accesses to emulated devices: from the syndrome of a data abort to the device and back.

/// What a data abort says about the access that caused it (ARM ARM D24.2.40, ISS of a data abort).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Access {
    /// Reads or writes.
    pub(crate) kind: AccessKind,
    /// How many bytes.
    pub(crate) size: u32,
    /// The general register that holds or takes the value; 31 is the zero register.
    pub(crate) register: usize,
    sign_extend: bool,
    wide: bool,
}

/// Reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AccessKind {
    /// A load.
    Read,
    /// A store.
    Write,
}

impl Access {
    /// Decodes the syndrome `esr`, or `None` when it does not describe the access: pairs, write-back and vector
    /// registers.
    pub(crate) fn decode(esr: u64) -> Option<Self> {
        let bit = |number: u32| esr >> number & 1 == 1;
        bit(24).then(|| Self {
            kind: if bit(6) {
                AccessKind::Write
            } else {
                AccessKind::Read
            },
            size: 1 << (esr >> 22 & 3),
            register: (esr >> 16 & 31) as usize,
            sign_extend: bit(21),
            wide: bit(15),
        })
    }

    /// Returns what the register holds after a load that read `raw`.
    pub(crate) fn loaded(self, raw: u64) -> u64 {
        let unused = 64 - self.size * 8;
        let value = raw << unused;
        let value = if self.sign_extend {
            (value as i64 >> unused) as u64
        } else {
            value >> unused
        };
        if self.wide {
            value
        } else {
            value & 0xffff_ffff
        }
    }

    /// Returns what a store of a register that holds `value` writes.
    pub(crate) fn stored(self, value: u64) -> u64 {
        let unused = 64 - self.size * 8;
        value << unused >> unused
    }
}
