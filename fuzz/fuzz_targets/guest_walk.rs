//! Whatever a guest has in its registers and tables, a walk ends after five reads, and a read of memory gives bytes
//! or a fault.
#![no_main]

use std::cell::Cell;

use axebpf_guestprobe::{Access, GuestMemory, GuestMemoryFault, Stage1};
use axebpf_platform::{GuestPhys, GuestVirt};
use libfuzzer_sys::fuzz_target;

/// Memory that repeats the input, with holes.
struct Tables<'a> {
    bytes: &'a [u8],
    holes: u8,
    reads: Cell<usize>,
}

impl GuestMemory for Tables<'_> {
    fn read_guest(&self, at: GuestPhys, bytes: &mut [u8]) -> Result<(), GuestMemoryFault> {
        self.reads.set(self.reads.get() + 1);
        if self.bytes.is_empty() || self.holes != 0 && (at.get() >> 12) % 256 < u64::from(self.holes) {
            return Err(GuestMemoryFault { at });
        }
        for (addr, byte) in (at.get()..).zip(bytes) {
            *byte = self.bytes[(addr % self.bytes.len() as u64) as usize];
        }
        Ok(())
    }
}

fuzz_target!(|bytes: &[u8]| {
    let Some((registers, rest)) = bytes.split_at_checked(42) else { return };
    let word = |n: usize| u64::from_le_bytes(registers[8 * n..8 * n + 8].try_into().unwrap());
    let stage1 = Stage1 {
        ttbr0: word(0),
        ttbr1: word(1),
        tcr: word(2),
        sctlr: word(3),
    };
    let memory = Tables {
        bytes: rest,
        holes: registers[40] / 4,
        reads: Cell::new(0),
    };
    let at = GuestVirt::new(word(4));
    for access in [Access::Fetch, Access::Data] {
        memory.reads.set(0);
        if let Ok(found) = stage1.translate(&memory, at, access) {
            assert!(found.contiguous > 0);
            assert_eq!(found.at.get() >> 52, 0);
        }
        assert!(memory.reads.get() <= 5);
    }
    let mut buffer = [0; 300];
    let len = usize::from(registers[41]);
    if stage1.read(&memory, at, &mut buffer[..len]).is_err() {
        assert!(buffer.iter().all(|byte| *byte == 0));
    }
    let _ = stage1.without_authentication(at);
});
