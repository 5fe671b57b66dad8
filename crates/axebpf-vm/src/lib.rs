//! eBPF objects and programs: ELF loading, checking, execution, helpers
#![no_std]
