//! The table: buckets, chains and keys.

mod read;

use alloc::vec::Vec;

use crate::hash::clock::Clock;
use crate::hash::free::FreeList;
use crate::hash::function::hash;
use crate::hash::node::{NIL, Node};
use crate::hash::{Novelty, WhenFull};
use crate::storage::table;
use crate::sync::{AtomicU32, AtomicU64, Effort, Locked, Ordering, Sequence, TryLock, fence};
use crate::value_source::ValueSource;
use crate::{MapError, UpdateFlags};

/// After how many steps an unlocked walk makes sure that it is not lost.
const STEPS_BETWEEN_LOOKS: u32 = 16;

#[derive(Debug)]
struct Bucket {
    lock: TryLock,
    sequence: Sequence,
    head: AtomicU32,
}

impl Bucket {
    fn new() -> Self {
        Self {
            lock: TryLock::new(),
            sequence: Sequence::new(),
            head: AtomicU32::new(NIL),
        }
    }
}

/// Where a walk found a key.
#[derive(Clone, Copy, Debug)]
struct Found {
    node: u32,
    /// The node before it, or `NIL` when it is the first.
    before: u32,
}

#[derive(Debug)]
pub(crate) struct Table {
    buckets: Vec<Bucket>,
    nodes: Vec<Node>,
    /// The words of the keys, `key_words` for each node; the last one is padded with zeroes.
    keys: Vec<AtomicU64>,
    key_size: usize,
    free: FreeList,
    len: AtomicU32,
    seed: u64,
    /// Who is to be forgotten when there is no room; `None` where nobody is.
    clock: Option<Clock>,
}

impl Table {
    pub(crate) fn bytes_for(key_size: u32, capacity: u32) -> u64 {
        let node = size_of::<Node>() as u64 + u64::from(key_size).next_multiple_of(8);
        let buckets = u64::from(capacity).next_power_of_two() * size_of::<Bucket>() as u64;
        buckets + node * u64::from(capacity)
    }

    pub(crate) fn new(
        key_size: u32,
        capacity: u32,
        seed: u64,
        when_full: WhenFull,
    ) -> Result<Self, MapError> {
        let key_size = key_size as usize;
        let capacity = capacity as usize;
        let nodes = table(capacity, Node::new)?;
        Ok(Self {
            buckets: table(capacity.next_power_of_two(), Bucket::new)?,
            keys: table(capacity * key_size.div_ceil(8), || AtomicU64::new(0))?,
            free: FreeList::of_all(&nodes),
            nodes,
            key_size,
            len: AtomicU32::new(0),
            seed,
            clock: match when_full {
                WhenFull::Refuse => None,
                WhenFull::Forget => Some(Clock::new(capacity)?),
            },
        })
    }

    pub(super) fn clock(&self) -> Option<&Clock> {
        self.clock.as_ref()
    }

    pub(super) fn take_free(&self) -> Option<u32> {
        self.free.take(&self.nodes)
    }

    pub(crate) fn len(&self) -> u32 {
        self.len.load(Ordering::Relaxed)
    }

    pub(crate) fn capacity(&self) -> u32 {
        self.nodes.len() as u32
    }

    #[inline]
    fn hash(&self, key: &[u8]) -> Result<u32, MapError> {
        if key.len() != self.key_size {
            return Err(MapError::KeyLength {
                len: key.len(),
                expected: self.key_size,
            });
        }
        Ok(hash(self.seed, key))
    }

    #[inline]
    fn bucket(&self, hash: u32) -> &Bucket {
        &self.buckets[hash as usize & (self.buckets.len() - 1)]
    }

    #[cfg(all(test, loom))]
    pub(crate) fn share_chain(&self, key: &[u8], other: &[u8]) -> bool {
        let bucket = |key| core::ptr::from_ref(self.bucket(hash(self.seed, key)));
        bucket(key) == bucket(other)
    }

    #[inline]
    fn key_words(&self, node: u32) -> &[AtomicU64] {
        let words = self.key_size.div_ceil(8);
        &self.keys[node as usize * words..][..words]
    }

    #[inline]
    fn has_key(&self, node: u32, key: &[u8]) -> bool {
        let mut words = self.key_words(node).iter().enumerate();
        words.all(|(index, word)| word.load(Ordering::Relaxed) == key.word(index))
    }

    /// Walks a chain to `key`, as long as `sound` says that the walk still is in it.
    #[inline]
    fn walk(
        &self,
        bucket: &Bucket,
        hash: u32,
        key: &[u8],
        sound: impl Fn() -> bool,
    ) -> Option<Found> {
        let is_it = |node, at: &Node| at.hash() == hash && self.has_key(node, key);
        self.walk_to(bucket, is_it, sound)
    }

    /// Walks a chain to what `is_it` accepts.
    #[inline]
    fn walk_to(
        &self,
        bucket: &Bucket,
        is_it: impl Fn(u32, &Node) -> bool,
        sound: impl Fn() -> bool,
    ) -> Option<Found> {
        let mut before = NIL;
        let mut node = bucket.head.load(Ordering::Relaxed);
        // No chain is longer than there are nodes, so this ends even if the links make a circle.
        for step in 1..=self.capacity() {
            let at = self.nodes.get(node as usize)?;
            if is_it(node, at) {
                return Some(Found { node, before });
            }
            if step % STEPS_BETWEEN_LOOKS == 0 && !sound() {
                return None;
            }
            before = node;
            node = at.next();
        }
        None
    }

    /// Finds or makes the node of `key`, and lets `write` write its value. Called inside a hit guard.
    pub(crate) fn insert(
        &self,
        key: &[u8],
        flags: UpdateFlags,
        effort: Effort,
        write: impl FnOnce(u32, Novelty),
    ) -> Result<(), MapError> {
        let hash = self.hash(key)?;
        let bucket = self.bucket(hash);
        let locked = bucket.lock.acquire(effort).ok_or(MapError::Busy)?;
        match (self.walk(bucket, hash, key, || true), flags) {
            (Some(_), UpdateFlags::NoExist) => Err(MapError::Exists),
            (None, UpdateFlags::Exist) => Err(MapError::NotFound),
            (Some(found), _) => {
                self.replace(&locked, found.node, write);
                Ok(())
            }
            (None, _) => {
                if let Some(node) = self.free.take(&self.nodes) {
                    self.fill(node, hash, key);
                    write(node, Novelty::Inserted);
                    self.link(bucket, &locked, node);
                    return Ok(());
                }
                // No two locks are held at once, so the victim is chosen without this one.
                drop(locked);
                let node = self.evict(effort)?;
                self.insert_with(node, key, flags, effort, write)
            }
        }
    }

    /// Inserts `key` with `node`, which the caller alone holds, unless somebody else has inserted it meanwhile.
    fn insert_with(
        &self,
        node: u32,
        key: &[u8],
        flags: UpdateFlags,
        effort: Effort,
        write: impl FnOnce(u32, Novelty),
    ) -> Result<(), MapError> {
        let hash = hash(self.seed, key);
        let bucket = self.bucket(hash);
        let Some(locked) = bucket.lock.acquire(effort) else {
            self.release(node);
            return Err(MapError::Busy);
        };
        let Some(found) = self.walk(bucket, hash, key, || true) else {
            self.fill(node, hash, key);
            write(node, Novelty::Inserted);
            self.link(bucket, &locked, node);
            return Ok(());
        };
        self.release(node);
        if flags == UpdateFlags::NoExist {
            return Err(MapError::Exists);
        }
        self.replace(&locked, found.node, write);
        Ok(())
    }

    fn replace(&self, _locked: &Locked<'_>, node: u32, write: impl FnOnce(u32, Novelty)) {
        self.touch(node);
        self.nodes[node as usize].update(|| write(node, Novelty::Replaced));
    }

    /// Writes hash and key of a node that is in no chain.
    fn fill(&self, node: u32, hash: u32, key: &[u8]) {
        // A lost walk and a reader of the former key may still be here. The fence pairs with theirs: who sees one
        // of the stores below, or the value's, also sees that the node has left its former chain.
        fence(Ordering::Release);
        if let Some(clock) = &self.clock {
            clock.forget(node);
        }
        self.nodes[node as usize].set_hash(hash);
        for (index, word) in self.key_words(node).iter().enumerate() {
            word.store(key.word(index), Ordering::Relaxed);
        }
    }

    fn link(&self, bucket: &Bucket, _locked: &Locked<'_>, node: u32) {
        let linked = &self.nodes[node as usize];
        linked.set_next(bucket.head.load(Ordering::Relaxed));
        bucket
            .sequence
            .write(|| bucket.head.store(node, Ordering::Relaxed));
        linked.turn_over();
        self.len.fetch_add(1, Ordering::Relaxed);
    }

    /// Takes the node of `key` out of its chain, after `last` has had a look at it. Called inside a hit guard.
    ///
    /// It is the caller's until it is [released](Self::release).
    pub(crate) fn detach(
        &self,
        key: &[u8],
        effort: Effort,
        last: impl FnOnce(u32),
    ) -> Result<u32, MapError> {
        let hash = self.hash(key)?;
        let bucket = self.bucket(hash);
        let locked = bucket.lock.acquire(effort).ok_or(MapError::Busy)?;
        let found = self
            .walk(bucket, hash, key, || true)
            .ok_or(MapError::NotFound)?;
        last(found.node);
        self.unlink(bucket, &locked, found);
        Ok(found.node)
    }

    /// Lets others have `node`, which the caller alone holds.
    pub(crate) fn release(&self, node: u32) {
        self.free.give(&self.nodes, node);
    }

    /// Takes `node` out of its chain, if it is in one that nobody holds; tells whether it did.
    pub(super) fn seize(&self, node: u32) -> bool {
        let victim = &self.nodes[node as usize];
        if !victim.observe().is_live() {
            return false;
        }
        // The node may be in other hands by now; then it is not found in this chain.
        let bucket = self.bucket(victim.hash());
        let Some(locked) = bucket.lock.acquire(Effort::Once) else {
            return false;
        };
        let found = self.walk_to(bucket, |at, _| at == node, || true);
        if let Some(found) = found {
            self.unlink(bucket, &locked, found);
        }
        found.is_some()
    }

    fn unlink(&self, bucket: &Bucket, _locked: &Locked<'_>, found: Found) {
        let gone = &self.nodes[found.node as usize];
        gone.turn_over();
        bucket
            .sequence
            .write(|| match self.nodes.get(found.before as usize) {
                Some(before) => before.set_next(gone.next()),
                None => bucket.head.store(gone.next(), Ordering::Relaxed),
            });
        self.len.fetch_sub(1, Ordering::Relaxed);
    }
}
