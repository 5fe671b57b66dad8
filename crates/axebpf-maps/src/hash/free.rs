//! The nodes that are in no chain.
//!
//! A stack whose head carries a tag that changes with each operation, so that a head that went away and came back is
//! not mistaken for the same one. Taking and giving back are lock-free: an attempt fails only if another CPU's
//! succeeded meanwhile, and each CPU makes one of them for each operation on the map, so a hit never waits for a CPU
//! that stands still.

use crate::hash::node::{NIL, Node};
use crate::sync::{AtomicU64, Ordering, spin_loop};

#[derive(Debug)]
pub(crate) struct FreeList(AtomicU64);

fn pack(tag: u32, node: u32) -> u64 {
    u64::from(tag) << 32 | u64::from(node)
}

fn unpack(head: u64) -> (u32, u32) {
    ((head >> 32) as u32, head as u32)
}

impl FreeList {
    /// Makes the list of all `nodes`, lowest first.
    pub(crate) fn of_all(nodes: &[Node]) -> Self {
        for (index, node) in nodes.iter().enumerate() {
            let next = if index + 1 < nodes.len() {
                index as u32 + 1
            } else {
                NIL
            };
            node.set_next(next);
        }
        Self(AtomicU64::new(pack(
            0,
            if nodes.is_empty() { NIL } else { 0 },
        )))
    }

    /// Takes a node, or returns `None` when there is none.
    pub(crate) fn take(&self, nodes: &[Node]) -> Option<u32> {
        let mut head = self.0.load(Ordering::Acquire);
        loop {
            let (tag, first) = unpack(head);
            // The node may be taken by another CPU at this moment, and its link be nonsense: the tag then differs.
            let next = nodes.get(first as usize)?.next();
            let new = pack(tag.wrapping_add(1), next);
            match self
                .0
                .compare_exchange(head, new, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return Some(first),
                Err(now) => head = now,
            }
            spin_loop();
        }
    }

    /// Gives back `node`, which the caller alone holds.
    pub(crate) fn give(&self, nodes: &[Node], node: u32) {
        let mut head = self.0.load(Ordering::Acquire);
        loop {
            let (tag, first) = unpack(head);
            nodes[node as usize].set_next(first);
            let new = pack(tag.wrapping_add(1), node);
            match self
                .0
                .compare_exchange(head, new, Ordering::AcqRel, Ordering::Acquire)
            {
                Ok(_) => return,
                Err(now) => head = now,
            }
            spin_loop();
        }
    }
}
