//! Being in a hit: the per-CPU guard, snapshot cells, quiescence and fenced text writes
#![no_std]
