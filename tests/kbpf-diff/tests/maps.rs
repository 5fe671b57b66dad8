//! The same operations on maps of both, through the traits of `kbpf-basic`.
//!
//! Known divergences, in each of which axebpf does what Linux does
//! (`kernel/bpf/{arraymap,hashtab,queue_stack_maps}.c`):
//!
//! | operation | kbpf-basic | axebpf, Linux |
//! |---|---|---|
//! | array: look up an index that is too high | EINVAL | nothing there |
//! | array: update an index that is too high | EINVAL | E2BIG |
//! | array: update with both conditions | EEXIST | EINVAL |
//! | array: delete | EPERM | EINVAL |
//! | hash: new key in a full map | ENOMEM | E2BIG |
//! | hash, LRU: delete a key that is not there | succeeds | ENOENT |
//! | LRU: which entry is forgotten | the least recently used | one of those not used lately |
//! | queue: push to a full queue | drops the oldest | E2BIG |
//! | queue: push with BPF_EXIST | EINVAL | drops the oldest if full |
//! | stack: push to a full stack | ENOMEM | E2BIG |
//! | stack: push with BPF_EXIST to a full stack | drops the youngest | drops the oldest |
//! | stack: push with BPF_NOEXIST | succeeds | EINVAL |

use std::collections::BTreeSet;
use std::sync::Arc;

use axebpf_maps::{KbpfMap, Map, MapKind, MapSpec};
use axebpf_platform::mock::MOCK;
use kbpf_basic::linux_bpf::BpfMapType;
use kbpf_basic::map::{BpfMapCommonOps, BpfMapMeta, UnifiedMap};
use kbpf_basic::{BpfError, BpfResult};
use proptest::collection::vec;
use proptest::prelude::*;

const ENTRIES: u32 = 6;

/// What to do, on which key, with which value, with which flags.
type Op = [u8; 4];

struct Pair {
    kind: MapKind,
    ours: KbpfMap,
    theirs: UnifiedMap,
}

fn pair(kind: MapKind, key_size: u32) -> Pair {
    axebpf_hit::install(&MOCK).expect("the only platform");
    let spec = MapSpec::new(kind, key_size, 12, ENTRIES);
    let ours = KbpfMap::new(Arc::new(Map::create(&spec, 1).expect("a possible map")));
    let meta = BpfMapMeta {
        map_type: BpfMapType::try_from(kind.number()).expect("a known kind"),
        key_size,
        value_size: 12,
        max_entries: ENTRIES,
        ..BpfMapMeta::default()
    };
    Pair {
        kind,
        ours: ours.expect("there is memory"),
        theirs: axebpf_kbpf_diff::create(meta).expect("a possible map"),
    }
}

/// What both must say, given what `kbpf-basic` says.
fn as_linux(kind: MapKind, theirs: BpfError) -> BpfError {
    match (kind, theirs) {
        (_, BpfError::ENOMEM) => BpfError::E2BIG,
        (MapKind::Array, BpfError::EPERM) => BpfError::EINVAL,
        (_, other) => other,
    }
}

impl Pair {
    fn both<T: PartialEq + core::fmt::Debug>(
        &mut self,
        mut work: impl FnMut(&mut dyn BpfMapCommonOps) -> BpfResult<T>,
    ) -> BpfResult<T> {
        let ours = work(&mut self.ours);
        let kind = self.kind;
        let theirs = work(self.theirs.map_mut()).map_err(|error| as_linux(kind, error));
        assert_eq!(ours, theirs);
        ours
    }

    fn lookup(&mut self, key: &[u8]) {
        self.both(|map| Ok(map.lookup_elem(key)?.map(<[u8]>::to_vec)))
            .ok();
    }

    fn keys(&mut self) -> BTreeSet<Vec<u8>> {
        let size = self.ours.map().spec().key_size as usize;
        let walk = |map: &mut dyn BpfMapCommonOps| {
            let mut keys = BTreeSet::new();
            let mut next = vec![0; size];
            let mut at = map.get_next_key(None, &mut next);
            while at.is_ok() {
                assert!(keys.insert(next.clone()), "a key comes once");
                let key = next.clone();
                at = map.get_next_key(Some(&key), &mut next);
            }
            assert_eq!(at, Err(BpfError::ENOENT));
            Ok(keys)
        };
        self.both(walk).expect("keys are readable")
    }
}

fn value(fill: u8) -> [u8; 12] {
    core::array::from_fn(|index| fill.wrapping_add(index as u8))
}

fn keyed(kind: MapKind, key_size: u32, keys: u8, ops: &[Op]) {
    let mut pair = pair(kind, key_size);
    for &[what, key, fill, flags] in ops {
        let mut bytes = vec![0; key_size as usize];
        bytes[0] = key % keys;
        match what % 5 {
            0 => pair.lookup(&bytes),
            1 | 2 => {
                let known = if kind == MapKind::Array { 3 } else { 4 };
                let flags = u64::from(flags % known);
                let _ = pair.both(|map| map.update_elem(&bytes, &value(fill), flags));
            }
            3 if kind == MapKind::Array || pair.keys().contains(&bytes) => {
                let _ = pair.both(|map| map.delete_elem(&bytes));
            }
            3 => assert_eq!(pair.ours.delete_elem(&bytes), Err(BpfError::ENOENT)),
            _ => drop(pair.keys()),
        }
        // Wrong lengths are wrong for both.
        let _ = pair.both(|map| map.update_elem(&bytes, &[0; 11], 0));
    }
    for key in pair.keys() {
        pair.lookup(&key);
    }
}

fn queue(kind: MapKind, ops: &[Op]) {
    let mut pair = pair(kind, 0);
    let mut len = 0;
    for &[what, _, fill, _] in ops {
        let mut out = [0; 12];
        match what % 4 {
            0 | 1 if len == ENTRIES => {
                assert_eq!(pair.ours.push_elem(&value(fill), 0), Err(BpfError::E2BIG));
            }
            0 | 1 => {
                pair.both(|map| map.push_elem(&value(fill), 0))
                    .expect("there is room");
                len += 1;
            }
            2 => {
                let popped = pair.both(|map| map.pop_elem(&mut out).map(|()| out));
                len -= u32::from(popped.is_ok());
            }
            _ => {
                let _ = pair.both(|map| map.peek_elem(&mut out).map(|()| out));
                pair.lookup(&[]);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn array(ops in vec(any::<Op>(), 0..100)) {
        keyed(MapKind::Array, 4, ENTRIES as u8, &ops);
    }

    #[test]
    fn hash(key_size in 1..20_u32, ops in vec(any::<Op>(), 0..100)) {
        keyed(MapKind::Hash, key_size, 10, &ops);
    }

    #[test]
    fn lru_hash_with_room(key_size in 1..20_u32, ops in vec(any::<Op>(), 0..100)) {
        keyed(MapKind::LruHash, key_size, ENTRIES as u8, &ops);
    }

    #[test]
    fn queue_(ops in vec(any::<Op>(), 0..100)) {
        queue(MapKind::Queue, &ops);
    }

    #[test]
    fn stack(ops in vec(any::<Op>(), 0..100)) {
        queue(MapKind::Stack, &ops);
    }
}

#[test]
fn divergences_are_as_listed() {
    let mut array = pair(MapKind::Array, 4);
    let high = ENTRIES.to_ne_bytes();
    assert_eq!(
        array.theirs.map_mut().lookup_elem(&high),
        Err(BpfError::EINVAL)
    );
    assert_eq!(array.ours.lookup_elem(&high), Ok(None));
    assert_eq!(
        array.theirs.map_mut().update_elem(&high, &value(0), 0),
        Err(BpfError::EINVAL)
    );
    assert_eq!(
        array.ours.update_elem(&high, &value(0), 0),
        Err(BpfError::E2BIG)
    );

    let mut hash = pair(MapKind::Hash, 4);
    assert_eq!(hash.theirs.map_mut().delete_elem(&high), Ok(()));
    assert_eq!(hash.ours.delete_elem(&high), Err(BpfError::ENOENT));

    let mut queue = pair(MapKind::Queue, 0);
    for number in 0..ENTRIES as u8 {
        queue
            .both(|map| map.push_elem(&value(number), 0))
            .expect("there is room");
    }
    assert_eq!(queue.theirs.map_mut().push_elem(&value(9), 0), Ok(()));
    assert_eq!(queue.ours.push_elem(&value(9), 0), Err(BpfError::E2BIG));
    assert_eq!(
        queue.theirs.map_mut().push_elem(&value(9), 2),
        Err(BpfError::EINVAL)
    );
    assert_eq!(queue.ours.push_elem(&value(9), 2), Ok(()));
}
