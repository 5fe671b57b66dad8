//! Putting a table into the section that an image reserves for it.

use zerocopy::little_endian::U64;
use zerocopy::{FromBytes, IntoBytes};

use crate::section::Header;
use crate::{Part, SymbolError};

/// Puts `table` into `section`, the content of the section [`SECTION_NAME`](crate::SECTION_NAME) in an
/// image file, which was linked at `link_address`.
///
/// A table that is there already is replaced.
///
/// # Errors
///
/// [`SymbolError`] when `section` is not what [`reserve_symbol_section!`](crate::reserve_symbol_section)
/// reserved, or is too small for the table. Nothing has changed then.
pub fn fill_section(
    section: &mut [u8],
    link_address: u64,
    table: &[u8],
) -> Result<(), SymbolError> {
    let have = section.len() as u64;
    let (header, room) = Header::mut_from_prefix(section).map_err(|_| SymbolError::Truncated {
        part: Part::Section,
        need: size_of::<Header>() as u64,
        have,
    })?;
    let capacity = room.len() as u64;
    match header.check(capacity) {
        Ok(()) | Err(SymbolError::NotFilled { .. }) => {}
        Err(error) => return Err(error),
    }
    let (content, rest) = room
        .split_at_mut_checked(table.len())
        .ok_or(SymbolError::TooLarge {
            len: table.len() as u64,
            capacity,
        })?;
    content.copy_from_slice(table);
    rest.fill(0);
    let mut filled = Header::unfilled(capacity);
    filled.len = U64::new(table.len() as u64);
    filled.link_address = U64::new(link_address);
    filled.checksum = U64::new(filled.compute_checksum());
    header.as_mut_bytes().copy_from_slice(filled.as_bytes());
    Ok(())
}
