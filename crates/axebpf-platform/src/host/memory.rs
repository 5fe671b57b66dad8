//! Reading memory that may not be mapped, by letting the kernel copy it.

use core::ffi::c_void;
use std::io::Error;

use crate::pages::read_pages;
use crate::{HostVirt, ReadFault};

pub(super) fn read(src: HostVirt, dst: &mut [u8]) -> Result<(), ReadFault> {
    read_pages(src, dst, |at, piece| {
        if read_in_page(at, piece) {
            piece.len()
        } else {
            0
        }
    })
}

/// Fills `dst` from `src`, all in one page, and tells whether it could.
fn read_in_page(src: HostVirt, dst: &mut [u8]) -> bool {
    read_through_kernel(src, dst).unwrap_or_else(|_| read_through_pipe(src, dst).unwrap_or(false))
}

/// Reads with `process_vm_readv`. An error means that the system call is not to be had here.
#[cfg(target_os = "linux")]
fn read_through_kernel(src: HostVirt, dst: &mut [u8]) -> Result<bool, Error> {
    let local = libc::iovec {
        iov_base: dst.as_mut_ptr().cast(),
        iov_len: dst.len(),
    };
    let remote = libc::iovec {
        iov_base: src.get() as *mut c_void,
        iov_len: dst.len(),
    };
    // SAFETY: Has no preconditions.
    let own = unsafe { libc::getpid() };
    // SAFETY: `local` is the memory of `dst`, writable and ours alone; `remote` may be anything, since the kernel
    // checks it. One element each, as the counts say.
    let copied = unsafe { libc::process_vm_readv(own, &local, 1, &remote, 1, 0) };
    if copied >= 0 {
        return Ok(copied as usize == dst.len());
    }
    let error = Error::last_os_error();
    if error.raw_os_error() == Some(libc::EFAULT) {
        Ok(false)
    } else {
        Err(error)
    }
}

#[cfg(not(target_os = "linux"))]
fn read_through_kernel(_src: HostVirt, _dst: &mut [u8]) -> Result<bool, Error> {
    Err(std::io::ErrorKind::Unsupported.into())
}

/// Reads by writing the memory into a pipe, which the kernel refuses for what is not mapped.
fn read_through_pipe(src: HostVirt, dst: &mut [u8]) -> Result<bool, Error> {
    use std::io::Read;
    use std::os::fd::AsRawFd;

    let (mut reader, writer) = std::io::pipe()?;
    // SAFETY: `writer` is open. The memory may be anything, since the kernel checks it. At most a page, which
    // always fits into an empty pipe, so the call does not wait.
    let written = unsafe { libc::write(writer.as_raw_fd(), src.get() as *const c_void, dst.len()) };
    if written < 0 {
        let error = Error::last_os_error();
        return if error.raw_os_error() == Some(libc::EFAULT) {
            Ok(false)
        } else {
            Err(error)
        };
    }
    if written as usize != dst.len() {
        return Ok(false);
    }
    reader.read_exact(dst)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use super::read_through_pipe;
    use crate::HostVirt;

    /// The way that is taken where the system call is not allowed.
    #[test]
    fn a_pipe_takes_what_is_mapped_only() {
        let bytes = [1, 2, 3, 4];
        let mut copy = [0; 4];
        let from = HostVirt::new(bytes.as_ptr() as u64);
        assert!(read_through_pipe(from, &mut copy).unwrap());
        assert_eq!(copy, bytes);
        assert!(!read_through_pipe(HostVirt::new(0), &mut copy).unwrap());
    }
}
