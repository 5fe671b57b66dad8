//! Reading objects for the types of what their programs look at (CO-RE).

#[cfg(feature = "guest-kprobe")]
use axebpf_platform::VmId;
use axebpf_vm::ObjectFile;
#[cfg(feature = "guest-kprobe")]
use axebpf_vm::{AttachTarget, LoadError};

#[cfg(feature = "guest-kprobe")]
use crate::Target;
use crate::{Error, LoadOptions, Registry};

impl Registry {
    /// Reads the object, for the types that it is adapted to.
    #[cfg(not(feature = "guest-kprobe"))]
    pub(super) fn parse(&self, elf: &[u8], options: &LoadOptions<'_>) -> Result<ObjectFile, Error> {
        Ok(match options.types {
            Some(types) => ObjectFile::parse_for(elf, types)?,
            None => ObjectFile::parse(elf)?,
        })
    }

    /// Reads the object, for the types that it is adapted to. They are looked for without the management lock.
    #[cfg(feature = "guest-kprobe")]
    pub(super) fn parse(&self, elf: &[u8], options: &LoadOptions<'_>) -> Result<ObjectFile, Error> {
        if let Some(types) = options.types {
            return Ok(ObjectFile::parse_for(elf, types)?);
        }
        if let Some(vm) = options.types_of {
            return Ok(ObjectFile::parse_for(elf, &self.guest_types(Some(vm))?)?);
        }
        let without = match ObjectFile::parse(elf) {
            Err(error @ LoadError::NoTargetTypes { .. }) => error,
            other => return Ok(other?),
        };
        let Some(vm) = guest_of(elf)? else {
            return Err(without.into());
        };
        Ok(ObjectFile::parse_for(elf, &self.guest_types(vm)?)?)
    }
}

/// Returns the guest that the sections of all programs name, or `Some(None)` if they mean the only one; `None` if there
/// are other programs, or they are for several guests.
#[cfg(feature = "guest-kprobe")]
fn guest_of(elf: &[u8]) -> Result<Option<Option<VmId>>, Error> {
    let mut guests = ObjectFile::program_sections(elf)?
        .into_iter()
        .map(|section| {
            let target = AttachTarget::parse(&section);
            match target.and_then(Target::try_from) {
                Ok(Target::GuestFunction { vm, .. }) => Some(vm),
                _ => None,
            }
        });
    let Some(Some(first)) = guests.next() else {
        return Ok(None);
    };
    Ok(guests.all(|guest| guest == Some(first)).then_some(first))
}
