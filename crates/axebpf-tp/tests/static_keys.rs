//! Events and keys of the crate `static-keys`, switched alike, agree on what fires.
//!
//! With the feature `static-keys`, events are patched like those keys from the second part on. One
//! test only: while a key is switched, the process must not run any other code.
#![cfg(all(target_arch = "x86_64", target_os = "linux"))]

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use axebpf_platform::mock::MOCK;
use axebpf_tp::{
    Event, Subscription, TraceHandler, TraceHit, define_event, find, subscribe, trace,
};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use static_keys::{StaticFalseKey, define_static_key_false, static_branch_unlikely};

define_event! {
    event test:first as First { value: u64 }
}

define_event! {
    event test:second as Second {}
}

define_event! {
    /// Has no tracepoint.
    event test:unused as Unused {}
}

define_static_key_false!(FIRST);
define_static_key_false!(SECOND);
define_static_key_false!(UNUSED);

/// How often the fields of the first event were evaluated.
static EVALUATED: AtomicU64 = AtomicU64::new(0);

/// The passing code, which contains no unsafe code of its own.
mod passing {
    #![forbid(unsafe_code)]

    use super::*;

    /// Passes the first event once for each round, at a site for each type.
    #[inline(never)]
    pub(crate) fn first<T: Default>(rounds: u64) -> T {
        for value in 0..rounds {
            trace!(crate::first {
                value: {
                    EVALUATED.fetch_add(1, Relaxed);
                    value
                }
            });
        }
        T::default()
    }

    /// Passes the second event once.
    #[inline(never)]
    pub(crate) fn second() {
        trace!(super::second);
    }
}

/// Passes all events; each fires so many times if it is listened to.
fn pass() -> [u64; 3] {
    passing::first::<u8>(3);
    passing::first::<String>(2);
    passing::second();
    [5, 1, 0]
}

/// Passes all keys likewise, and returns how often each was on.
fn pass_keys() -> [u64; 3] {
    let mut fired = [0; 3];
    for _ in 0..5 {
        if static_branch_unlikely!(FIRST) {
            fired[0] += 1;
        }
    }
    if static_branch_unlikely!(SECOND) {
        fired[1] += 1;
    }
    fired
}

#[derive(Default)]
struct Count(AtomicU64);

impl TraceHandler for Count {
    fn hit(&self, _hit: &TraceHit<'_>) {
        self.0.fetch_add(1, Relaxed);
    }
}

/// One event and the key that stands for it.
struct Pair {
    event: &'static Event,
    key: &'static StaticFalseKey,
    count: Arc<Count>,
    subscription: Option<Subscription>,
}

impl Pair {
    fn new(name: &str, key: &'static StaticFalseKey) -> Self {
        let event = find(name).unwrap();
        let (count, subscription) = (Arc::default(), None);
        Self {
            event,
            key,
            count,
            subscription,
        }
    }

    fn on(&mut self) {
        if self.subscription.is_none() {
            let subscription = subscribe(self.event, self.count.clone(), None).unwrap();
            self.subscription = Some(subscription);
        }
        // SAFETY: `global_init` has run, and the only other thread of this test waits for it.
        unsafe { self.key.enable() };
    }

    fn off(&mut self) {
        if let Some(subscription) = self.subscription.take() {
            subscription.cancel().unwrap();
        }
        // SAFETY: As above.
        unsafe { self.key.disable() };
    }
}

/// Counts the five-byte NOPs around the tracepoint of the second event.
#[cfg(feature = "static-keys")]
fn nops() -> usize {
    use std::os::unix::fs::FileExt;

    let memory = std::fs::File::open("/proc/self/mem").unwrap();
    let mut text = [0; 256];
    memory
        .read_exact_at(&mut text, passing::second as *const () as u64)
        .unwrap();
    let nop = [0x0f, 0x1f, 0x44, 0x00, 0x00];
    text.windows(nop.len())
        .filter(|bytes| *bytes == nop)
        .count()
}

fn switches() -> impl Strategy<Value = Vec<(usize, bool)>> {
    prop::collection::vec((0..3_usize, any::<bool>()), 1..40)
}

/// Switches events and keys alike, and passes both after each switch.
fn agree(pairs: &mut [Pair; 3], switches: &[(usize, bool)]) -> Result<(), TestCaseError> {
    for &(index, on) in switches {
        if on {
            pairs[index].on();
        } else {
            pairs[index].off();
        }
        let evaluated = EVALUATED.load(Relaxed);
        let most = pass();
        let keys = pass_keys();
        let fired = pairs.each_ref().map(|pair| pair.count.0.swap(0, Relaxed));
        prop_assert_eq!(fired, keys);
        prop_assert_eq!(EVALUATED.load(Relaxed) - evaluated, keys[0]);
        for (pair, (fired, most)) in pairs.iter().zip(fired.into_iter().zip(most)) {
            prop_assert_eq!(pair.event.enabled(), pair.key.is_enabled());
            prop_assert_eq!(fired, if pair.event.enabled() { most } else { 0 });
        }
    }
    Ok(())
}

#[test]
fn events_and_static_keys_agree() {
    axebpf_hit::install(&MOCK).unwrap();
    axebpf_tp::init().unwrap();
    static_keys::global_init();
    let pairs = RefCell::new([
        Pair::new("test:first", &FIRST),
        Pair::new("test:second", &SECOND),
        Pair::new("test:unused", &UNUSED),
    ]);
    let run = || {
        TestRunner::default()
            .run(&switches(), |switches| {
                agree(&mut pairs.borrow_mut(), &switches)
            })
            .unwrap();
    };
    run();
    #[cfg(feature = "static-keys")]
    {
        pairs.borrow_mut().iter_mut().for_each(Pair::off);
        let before = nops();
        // SAFETY: As for the keys: the only other thread waits for this one.
        unsafe { axebpf_tp::patch_key_sites() }.unwrap();
        let off = nops();
        assert!(off > before);
        pairs.borrow_mut()[1].on();
        assert!(nops() < off);
        run();
    }
}
