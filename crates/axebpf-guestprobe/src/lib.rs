//! Probes on any function of a running guest kernel, from EL2
#![no_std]
