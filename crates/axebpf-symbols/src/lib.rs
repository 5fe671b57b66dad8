//! Symbol tables: address to name and back, globs
#![no_std]
