//! eBPF maps with stable value addresses, safe from every CPU and from a hit
#![no_std]
