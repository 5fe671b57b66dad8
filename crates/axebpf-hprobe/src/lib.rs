//! Probes on any function of the hypervisor itself
#![no_std]
