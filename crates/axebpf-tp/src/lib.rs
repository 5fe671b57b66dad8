//! Static tracepoints: one NOP while nobody listens; filters, statistics, the VMM event catalogue
#![no_std]
