//! Fenced text writes with real threads, on a machine whose CPUs keep stale instructions for as long as they may.

mod caches;
mod machine;
mod requests;
mod staleness;
