//! What a call of a helper needs.

use core::fmt;

use axebpf_maps::MapKind;

use super::Facts;
use super::value::Value;
use crate::check_error::CheckError;
use crate::helper::{ArgKind, Helper};
use crate::target::ProgramKind;

/// A call that is checked.
pub(crate) struct Call<'c> {
    pub(crate) insn: usize,
    pub(crate) helper: Helper,
    pub(crate) facts: &'c Facts<'c>,
}

impl Call<'_> {
    /// Refuses a helper that programs of this kind cannot have.
    pub(crate) fn check_kind(&self) -> Result<(), CheckError> {
        let kind = self.facts.kind;
        // A static point is in no function that was probed, and in no guest.
        let is_for_functions = matches!(
            self.helper,
            Helper::GetFuncIp | Helper::ReadGuestKernel | Helper::ReadGuestUser
        );
        if is_for_functions && kind == ProgramKind::Tracepoint {
            return Err(CheckError::HelperNotForKind {
                insn: self.insn,
                helper: self.helper.name(),
                kind,
            });
        }
        Ok(())
    }

    /// Refuses an argument that cannot be what the helper takes.
    pub(crate) fn check_argument(
        &self,
        arg: u8,
        kind: ArgKind,
        value: Value,
    ) -> Result<(), CheckError> {
        if may_be(kind, value) {
            return Ok(());
        }
        Err(CheckError::WrongArgument {
            insn: self.insn,
            helper: self.helper.name(),
            arg,
            expected: kind,
            found: value.name(),
        })
    }

    /// Refuses a map of a kind that the helper is not for, if it is certain which map that is.
    pub(crate) fn check_map(&self, map: Option<u16>) -> Result<(), CheckError> {
        let map = map.and_then(|index| self.facts.maps.get(usize::from(index)));
        let Some(kind) = map.map(|map| map.map().kind()) else {
            return Ok(());
        };
        if takes(self.helper, kind) {
            return Ok(());
        }
        Err(CheckError::WrongMapKind {
            insn: self.insn,
            helper: self.helper.name(),
            kind,
        })
    }
}

/// Tells whether a value can be what a helper takes.
fn may_be(kind: ArgKind, value: Value) -> bool {
    let unknown = value == Value::Anything;
    match kind {
        ArgKind::Map => unknown || matches!(value, Value::Map(_)),
        ArgKind::Context => unknown || value == Value::Context,
        ArgKind::Function => unknown || value == Value::Function,
        ArgKind::Record => unknown,
        ArgKind::Key | ArgKind::Value | ArgKind::Text => {
            !value.is_handle() && value != Value::Number
        }
        // A pointer to no bytes can be 0.
        ArgKind::Readable | ArgKind::Writable => !value.is_handle(),
        ArgKind::Length => unknown || value == Value::Number,
        // As in Linux, anything that was initialised can be a number or an address.
        _ => true,
    }
}

/// Tells whether a helper is for maps of a kind. What is not listed is settled at run time.
fn takes(helper: Helper, kind: MapKind) -> bool {
    match helper {
        Helper::RingbufOutput | Helper::RingbufReserve | Helper::RingbufQuery => {
            kind == MapKind::RingBuf
        }
        Helper::TailCall => kind == MapKind::ProgArray,
        Helper::MapLookupElem | Helper::MapUpdateElem | Helper::MapDeleteElem => !matches!(
            kind,
            MapKind::RingBuf | MapKind::ProgArray | MapKind::PerfEventArray
        ),
        _ => true,
    }
}

impl fmt::Display for ArgKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Map => "a map",
            Self::Key => "a pointer to a key",
            Self::Value => "a pointer to a value",
            Self::Readable => "a pointer to memory to read",
            Self::Writable => "a pointer to memory to write",
            Self::Length => "a length",
            Self::Foreign => "an address",
            Self::Record => "a reserved record",
            Self::Context => "the context",
            Self::Function => "a function of the program",
            Self::Text => "a pointer to a string",
            Self::Number => "a number",
            Self::Any | Self::Optional => "anything",
        })
    }
}
