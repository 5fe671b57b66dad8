//! Whatever is in a guest's memory, a search for its kernel's symbols and types ends, and what is found can be used.
#![no_main]

use axebpf_guestprobe::{GuestMemory, GuestMemoryFault, KernelScan};
use axebpf_platform::GuestPhys;
use axebpf_symbols::KernelSymbols;
use libfuzzer_sys::fuzz_target;

/// 64 KiB of memory: a token table that is sound, so that the search gets past it, with the input around it.
struct Memory(Vec<u8>);

impl Memory {
    fn new(input: &[u8]) -> Self {
        let mut table = Vec::new();
        let mut index = Vec::new();
        for token in 0..=255_u8 {
            index.extend((table.len() as u16).to_le_bytes());
            if token.is_ascii_graphic() {
                table.push(token);
            }
            table.push(0);
        }
        table.resize(table.len().next_multiple_of(8), 0);
        table.extend(index);
        let (before, behind) = input.split_at(input.len() / 2);
        let start = 0x8000;
        let mut bytes = vec![0; 0x1_0000];
        let before = &before[before.len().saturating_sub(start)..];
        bytes[start - before.len()..start].copy_from_slice(before);
        bytes[start..start + table.len()].copy_from_slice(&table);
        let rest = &mut bytes[start + table.len()..];
        let len = behind.len().min(rest.len());
        rest[..len].copy_from_slice(&behind[..len]);
        Self(bytes)
    }
}

impl GuestMemory for Memory {
    fn read_guest(&self, at: GuestPhys, bytes: &mut [u8]) -> Result<(), GuestMemoryFault> {
        let start = at.get() as usize;
        let end = start.checked_add(bytes.len()).ok_or(GuestMemoryFault { at })?;
        bytes.copy_from_slice(self.0.get(start..end).ok_or(GuestMemoryFault { at })?);
        Ok(())
    }
}

fuzz_target!(|input: &[u8]| {
    let memory = Memory::new(input);
    let all = GuestPhys::new(0)..GuestPhys::new(0x1_0000);
    let scan = KernelScan::new(&memory, all).unwrap();
    if let Ok(tables) = scan.kallsyms()
        && let Ok(symbols) = KernelSymbols::from_compressed(tables)
    {
        assert_eq!(symbols.iter().count(), symbols.len());
    }
    if let Ok(found) = scan.btf() {
        assert!(scan.copy(&found).is_ok());
    }
    if let Ok(symbols) = KernelSymbols::from_text(input) {
        for symbol in symbols.iter() {
            assert!(symbols.lookup_address(symbol.address()).is_some());
        }
    }
});
