//! Translation table descriptors (ARM ARM D8.3).

use crate::granule::HighBits;
use crate::regime::{Regime, Stage1, TableRights, UserAccess};

/// What a descriptor is.
pub(crate) enum Kind {
    Invalid,
    /// It points to the table of the next level.
    Table,
    /// It maps a block or a page.
    Leaf,
    /// It has a form that its level does not have.
    Reserved,
}

/// A descriptor and the level on which it was found.
#[derive(Clone, Copy)]
pub(crate) struct Descriptor {
    pub(crate) bits: u64,
    pub(crate) level: i8,
}

impl Descriptor {
    /// Tells whether bit `n` is set.
    fn bit(self, n: u32) -> bool {
        self.bits >> n & 1 != 0
    }

    pub(crate) fn kind(self, regime: &Regime) -> Kind {
        let has_blocks = regime.granule.has_blocks(self.level, regime.high_bits);
        match (self.bits & 0b11, self.level) {
            (0b11, 3) => Kind::Leaf,
            (0b11, _) => Kind::Table,
            (0b01, _) if has_blocks => Kind::Leaf,
            (0b01, _) => Kind::Reserved,
            _ => Kind::Invalid,
        }
    }

    /// Returns the address in the descriptor of a table.
    pub(crate) fn table(self, regime: &Regime) -> u64 {
        self.address(regime, regime.granule.page_bits())
    }

    /// Returns the address in the descriptor of a block or a page.
    pub(crate) fn output(self, regime: &Regime) -> u64 {
        self.address(regime, regime.granule.shift_of(self.level))
    }

    /// Returns the address in the descriptor, from bit `low` on.
    fn address(self, regime: &Regime, low: u32) -> u64 {
        let up_to = |bits: u32| self.bits & ((1 << bits) - 1) & !((1 << low) - 1);
        match regime.high_bits {
            HighBits::None => up_to(48),
            HighBits::At12 => up_to(48) | (self.bits >> 12 & 0xf) << 48,
            HighBits::At8 => up_to(50) | (self.bits >> 8 & 0b11) << 50,
        }
    }

    /// Tells whether the access flag is set.
    pub(crate) fn is_accessed(self) -> bool {
        Attributes(self.bits).is_accessed()
    }
}

/// What the descriptor of a block or a page says by itself (ARM ARM D8.3.1.2). Where nothing is translated, nothing.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Attributes(u64);

impl Attributes {
    /// Takes those of a leaf.
    pub(crate) fn of(leaf: Descriptor) -> Self {
        Self(leaf.bits)
    }

    /// Tells whether bit `n` is set.
    fn bit(self, n: u32) -> bool {
        self.0 >> n & 1 != 0
    }

    /// Returns which byte of `MAIR_EL1` describes the memory, 0 to 7.
    pub(crate) fn memory_type(self) -> u32 {
        (self.0 >> 2 & 7) as u32
    }

    /// Tells whether the access flag is set.
    pub(crate) fn is_accessed(self) -> bool {
        self.bit(10)
    }

    /// Tells whether the processor may make the page writable by a write (`DBM`), where the guest lets it.
    pub(crate) fn is_dirty_managed(self) -> bool {
        self.bit(51)
    }

    /// Tells whether programs may access the page if no table and no feature forbids it.
    pub(crate) fn names_user(self) -> bool {
        self.bit(6)
    }

    /// Tells whether programs may execute the page if no table and no feature forbids it.
    pub(crate) fn names_user_execute(self) -> bool {
        !self.bit(54)
    }
}

impl core::fmt::Debug for Attributes {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{:#x}", self.0)
    }
}

/// What the tables on the way to a page forbid.
#[derive(Clone, Copy, Default)]
pub(crate) struct Limits {
    read_only: bool,
    not_for_user: bool,
    privileged_xn: bool,
    user_xn: bool,
}

impl Limits {
    /// Adds what the descriptor of a table forbids.
    pub(crate) fn add(&mut self, table: Descriptor, table_rights: TableRights) {
        if table_rights == TableRights::Ignored {
            return;
        }
        self.privileged_xn |= table.bit(59);
        self.user_xn |= table.bit(60);
        self.not_for_user |= table.bit(61);
        self.read_only |= table.bit(62);
    }
}

/// What the guest's tables allow its kernel and its programs.
///
/// Features that take rights away depending on more than the tables (`PAN`, `UAO`, memory tagging) are not
/// considered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rights(u8);

const WRITE: u8 = 1;
const USER: u8 = 2;
const PRIVILEGED_EXECUTE: u8 = 4;
const USER_EXECUTE: u8 = 8;
const GUARDED: u8 = 16;

impl Rights {
    /// What is possible where nothing is translated.
    pub(crate) const ALL: Self = Self(WRITE | USER | PRIVILEGED_EXECUTE | USER_EXECUTE);

    /// Returns the rights of a leaf, under what the tables on the way forbid (ARM ARM D8.4).
    pub(crate) fn of(
        leaf: Descriptor,
        limits: Limits,
        stage1: &Stage1,
        user_access: UserAccess,
    ) -> Self {
        let is_disabled = user_access == UserAccess::Disabled;
        let user = leaf.bit(6) && !limits.not_for_user && !is_disabled;
        let write = !leaf.bit(7) && !limits.read_only;
        let xn_by_write = write && stage1.write_implies_xn();
        // The kernel never executes what a program can write.
        let privileged_xn = leaf.bit(53) || limits.privileged_xn || xn_by_write || user && write;
        let user_xn = leaf.bit(54) || limits.user_xn || xn_by_write && user || is_disabled;
        let mut rights = 0;
        for (right, is_given) in [
            (WRITE, write),
            (USER, user),
            (PRIVILEGED_EXECUTE, !privileged_xn),
            (USER_EXECUTE, !user_xn),
            (GUARDED, leaf.bit(50)),
        ] {
            if is_given {
                rights |= right;
            }
        }
        Self(rights)
    }

    const fn has(self, right: u8) -> bool {
        self.0 & right != 0
    }

    /// Tells whether the guest's kernel may write. It may always read.
    #[must_use]
    pub const fn privileged_write(self) -> bool {
        self.has(WRITE)
    }

    /// Tells whether the guest's kernel may execute.
    #[must_use]
    pub const fn privileged_execute(self) -> bool {
        self.has(PRIVILEGED_EXECUTE)
    }

    /// Tells whether the guest's programs may read.
    #[must_use]
    pub const fn user_read(self) -> bool {
        self.has(USER)
    }

    /// Tells whether the guest's programs may write.
    #[must_use]
    pub const fn user_write(self) -> bool {
        self.has(USER) && self.has(WRITE)
    }

    /// Tells whether the guest's programs may execute, even where they may not read.
    #[must_use]
    pub const fn user_execute(self) -> bool {
        self.has(USER_EXECUTE)
    }

    /// Tells whether indirect branches into the page have to find landing pads, on a processor that has them.
    #[must_use]
    pub const fn is_guarded(self) -> bool {
        self.has(GUARDED)
    }
}

impl core::fmt::Debug for Rights {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Rights")
            .field("privileged_write", &self.privileged_write())
            .field("privileged_execute", &self.privileged_execute())
            .field("user_read", &self.user_read())
            .field("user_write", &self.user_write())
            .field("user_execute", &self.user_execute())
            .finish()
    }
}
