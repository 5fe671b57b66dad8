//! A64 instructions: decode, classify and simulate
#![no_std]
