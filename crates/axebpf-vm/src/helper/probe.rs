//! Reading memory that is not the program's.

use super::call::{HelperFault, Helpers};
use super::foreign::{BLOCK, Block, Half, Origin, READ_COST};
use crate::errno::EFAULT;

/// How much is copied at a time.
const CHUNK: usize = 256;

impl Helpers<'_> {
    /// `bpf_probe_read_kernel(dst, size, src)`: zeroes `dst` when `src` cannot be read, or is not in that half of a
    /// guest.
    ///
    /// The copy goes through the scratch memory, since other CPUs may be writing to `dst` at the same time.
    pub(super) fn probe_read(&mut self, args: [u64; 5], half: Half) -> Result<i64, HelperFault> {
        let [dst, size, src, ..] = args;
        // Linux declares the size as u32, so the upper half of the register does not count.
        let size = u64::from(size as u32);
        if size == 0 {
            return Ok(0);
        }
        self.charge(size)?;
        self.memory.check_writable(dst, size)?;
        for done in (0..size).step_by(CHUNK) {
            let len = (size - done).min(CHUNK as u64) as usize;
            self.charge(READ_COST)?;
            let from = src.wrapping_add(done);
            if self
                .read_foreign(from, 0, len, Origin::Probed(half))
                .is_err()
            {
                return self.zero(dst, size).map(|()| EFAULT);
            }
            self.memory.copy_in(dst + done, &self.scratch[..len])?;
        }
        Ok(0)
    }

    /// `bpf_probe_read_kernel_str(dst, size, src)`: returns the length of the string with its terminating NUL, cut to
    /// `size`.
    ///
    /// Zeroes `dst` when `src` cannot be read up to its end or to `size`.
    pub(super) fn probe_read_str(
        &mut self,
        args: [u64; 5],
        half: Half,
    ) -> Result<i64, HelperFault> {
        let [dst, size, src, ..] = args;
        let size = u64::from(size as u32);
        if size == 0 {
            return Ok(0);
        }
        self.memory.check_writable(dst, size)?;
        let mut done = 0;
        while done < size {
            let room = (size - done).min(BLOCK as u64) as usize;
            self.charge(READ_COST)?;
            let block = self.read_block(src.wrapping_add(done), 0, room, Origin::Probed(half));
            let (Ok(Block::Inner(len)) | Ok(Block::Last(len))) = block else {
                self.charge(size)?;
                return self.zero(dst, size).map(|()| EFAULT);
            };
            self.charge(len as u64)?;
            self.memory.copy_in(dst + done, &self.scratch[..len])?;
            done += len as u64;
            if matches!(block, Ok(Block::Last(_))) {
                return Ok(done as i64);
            }
        }
        self.memory.copy_in(dst + size - 1, &[0])?;
        Ok(size as i64)
    }

    /// Zeroes `len` bytes of the program's memory.
    pub(super) fn zero(&mut self, dst: u64, len: u64) -> Result<(), HelperFault> {
        for done in (0..len).step_by(CHUNK) {
            let len = (len - done).min(CHUNK as u64) as usize;
            self.memory.copy_in(dst + done, &[0; CHUNK][..len])?;
        }
        Ok(())
    }

    /// Does what `read` does at a probe on a guest's kernel, and zeroes `dst` elsewhere: only guests have users
    /// (`bpf_probe_read_user(dst, size, src)` and `bpf_probe_read_user_str`), and a guest's memory is at hand only
    /// there (`bpf_read_guest_kernel(dst, size, src)` and `bpf_read_guest_user`).
    pub(super) fn in_guest(
        &mut self,
        args: [u64; 5],
        half: Half,
        read: impl FnOnce(&mut Self, [u64; 5], Half) -> Result<i64, HelperFault>,
    ) -> Result<i64, HelperFault> {
        let [dst, size, ..] = args;
        if self.env.guest().is_some() {
            return read(self, args, half);
        }
        let size = u64::from(size as u32);
        self.charge(size)?;
        self.memory.check_writable(dst, size)?;
        self.zero(dst, size).map(|()| EFAULT)
    }

    /// `bpf_strncmp(s1, s1_sz, s2)`: compares up to `s1_sz` bytes, or up to a NUL.
    ///
    /// Both strings are the program's. The second one ends with a NUL.
    pub(super) fn strncmp(&mut self, args: [u64; 5]) -> Result<i64, HelperFault> {
        let [first, size, second, ..] = args;
        let size = u64::from(size as u32);
        for at in 0..size {
            if at.is_multiple_of(BLOCK as u64) {
                self.charge(BLOCK as u64)?;
            }
            let (mut left, mut right) = ([0], [0]);
            self.memory.copy_out(first.wrapping_add(at), &mut left)?;
            self.memory.copy_out(second.wrapping_add(at), &mut right)?;
            if left != right || left == [0] {
                return Ok(i64::from(left[0]) - i64::from(right[0]));
            }
        }
        Ok(0)
    }
}
