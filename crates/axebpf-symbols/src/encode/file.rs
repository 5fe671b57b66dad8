//! Writing a table as a file of its own.

use alloc::format;
use alloc::vec;
use alloc::vec::Vec;

use super::{EncodeError, Encoder, fill_section};
use crate::kernel::BEFORE_MODULE;
use crate::section::Header;
use crate::{KernelSymbol, Part};
use zerocopy::IntoBytes;

impl Encoder {
    /// Adds a symbol of a kernel, with the distance to the next one for a size; its module goes along with its name.
    ///
    /// # Errors
    ///
    /// As for [`push`](Self::push).
    pub fn push_kernel(&mut self, symbol: &KernelSymbol<'_>) -> Result<(), EncodeError> {
        // What is behind the last function of the kernel, or of a module, does not belong to it.
        let size = u32::try_from(symbol.size()).unwrap_or(0);
        let name = symbol.name();
        let (address, kind) = (symbol.address(), symbol.kind());
        match symbol.module() {
            None => self.push(name, address, size.into(), kind),
            Some(module) => {
                let name = format!("{name}{BEFORE_MODULE}[{module}]");
                self.push(&name, address, size.into(), kind)
            }
        }
    }

    /// Writes the table as a file of its own, which
    /// [`KernelSymbols::from_file`](crate::KernelSymbols::from_file) reads: with the header in front that a table has
    /// in the section of an image. It begins with `axebKSYM`, and everything in it is under a checksum.
    ///
    /// # Errors
    ///
    /// As for [`finish`](Self::finish).
    pub fn finish_file(self) -> Result<Vec<u8>, EncodeError> {
        let table = self.finish()?;
        let capacity = table.len() as u64;
        let mut file = vec![0; size_of::<Header>() + table.len()];
        let header = Header::unfilled(capacity);
        file[..size_of::<Header>()].copy_from_slice(header.as_bytes());
        // The section is as large as the table, so this cannot fail.
        fill_section(&mut file, 0, &table).map_err(|_| EncodeError::TooLarge {
            what: Part::Section,
            len: capacity,
            limit: capacity,
        })?;
        Ok(file)
    }
}
