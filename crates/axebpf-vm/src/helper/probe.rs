//! Reading memory that is not the program's.

use axebpf_platform::HostVirt;

use super::call::{HelperFault, Helpers};
use crate::errno::EFAULT;

/// How much is copied at a time.
const CHUNK: usize = 256;

impl Helpers<'_> {
    /// `bpf_probe_read_kernel(dst, size, src)`: zeroes `dst` when `src` cannot be read.
    ///
    /// The copy goes through the scratch memory, since other CPUs may be writing to `dst` at the same time.
    pub(super) fn probe_read(&mut self, args: [u64; 5]) -> Result<i64, HelperFault> {
        let [dst, size, src, ..] = args;
        // Linux declares the size as u32, so the upper half of the register does not count.
        let size = u64::from(size as u32);
        if size == 0 {
            return Ok(0);
        }
        self.charge(size)?;
        self.memory.check_writable(dst, size)?;
        for done in (0..size).step_by(CHUNK) {
            let len = (size - done).min(CHUNK as u64);
            let chunk = &mut self.scratch[..len as usize];
            if self.memory.copy_out(src.wrapping_add(done), chunk).is_ok() {
                self.memory.copy_in(dst + done, chunk)?;
                continue;
            }
            let from = HostVirt::new(src.wrapping_add(done));
            if self.guard.platform().read_memory(from, chunk).is_err() {
                return self.zero(dst, size).map(|()| EFAULT);
            }
            self.memory.copy_in(dst + done, chunk)?;
        }
        Ok(0)
    }

    fn zero(&mut self, dst: u64, size: u64) -> Result<(), HelperFault> {
        for done in (0..size).step_by(CHUNK) {
            let len = (size - done).min(CHUNK as u64) as usize;
            self.memory.copy_in(dst + done, &[0; CHUNK][..len])?;
        }
        Ok(())
    }
}
