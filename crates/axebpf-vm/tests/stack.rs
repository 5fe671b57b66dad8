//! Call chains: right where the stack is, and harmless where it is not.

mod support;

use axebpf_platform::HostVirt;
use axebpf_vm::{CallStack, Context, MAX_STACK_DEPTH, RunEnv, RunError, StackStart};
use proptest::prelude::*;
use support::{EXIT, call, mov, mov_reg, program, run_in};

const EFAULT: u64 = -14i64 as u64;
const EINVAL: u64 = -22i64 as u64;
const PC: u64 = 0x4000_0000;

/// A stack: frame records of two words each, and where they are.
struct Stack(Vec<u64>);

impl Stack {
    /// Makes records with the return addresses 1, 2, 3 and so on.
    fn of(frames: usize) -> Self {
        let mut words = vec![0; frames * 2];
        let base = words.as_ptr().expose_provenance() as u64;
        for frame in 0..frames {
            let last = frame + 1 == frames;
            words[frame * 2] = if last {
                0
            } else {
                base + (frame as u64 + 1) * 16
            };
            words[frame * 2 + 1] = frame as u64 + 1;
        }
        Self(words)
    }

    fn base(&self) -> u64 {
        self.0.as_ptr().expose_provenance() as u64
    }

    fn start(&self) -> StackStart {
        StackStart::new(HostVirt::new(PC), HostVirt::new(self.base()))
    }
}

/// Takes the chain into memory of `size` bytes full of ones.
fn chain_in(env: &RunEnv<'_>, size: i32, flags: i32) -> (u64, Vec<u64>) {
    let mut memory = vec![0xff; 2048];
    let insns = [mov_reg(2, 1), mov(3, size), mov(4, flags), call(67), EXIT];
    let program = program(&insns).expect("an acceptable program");
    let result = run_in(&program, Context::writable(&mut memory), env);
    let words = memory.as_chunks().0.iter();
    (
        result.expect("a run to the end"),
        words.map(|word| u64::from_ne_bytes(*word)).collect(),
    )
}

fn chain(start: StackStart, size: i32, flags: i32) -> (u64, Vec<u64>) {
    chain_in(&RunEnv::new().with_stack(&start), size, flags)
}

#[test]
fn a_chain_is_the_place_and_the_callers() {
    let stack = Stack::of(3);
    let (bytes, words) = chain(stack.start(), 64, 0);
    assert_eq!(bytes, 32);
    assert_eq!(words[..9], [PC, 1, 2, 3, 0, 0, 0, 0, u64::MAX]);
    let (bytes, words) = chain(stack.start(), 24, 0);
    assert_eq!((bytes, &words[..4]), (24, &[PC, 1, 2, u64::MAX][..]));
    let (bytes, words) = chain(stack.start(), 16, 2);
    assert_eq!((bytes, &words[..3]), (16, &[2, 3, u64::MAX][..]));
    let (bytes, words) = chain(stack.start(), 16, 200);
    assert_eq!((bytes, &words[..3]), (0, &[0, 0, u64::MAX][..]));
    assert_eq!(chain(stack.start(), 0, 0).0, 0);
}

#[test]
fn the_first_instruction_has_its_caller_in_a_register() {
    let stack = Stack::of(2);
    let start = stack.start().with_return_address(HostVirt::new(99));
    assert_eq!(chain(start, 64, 0).1[..5], [PC, 99, 1, 2, 0]);
}

#[test]
fn signatures_are_taken_out_of_return_addresses() {
    let mut stack = Stack::of(3);
    // The signature takes the bits above the address but bit 55, which says which half it is in.
    stack.0[1] = 0x7a2c_0000_4000_1000;
    stack.0[3] = 0x2ab3_ffff_8000_2000;
    let start = stack
        .start()
        .with_return_address(HostVirt::new(0xff5f_1234_0000_0008));
    let words = chain(start, 64, 0).1;
    let expected = [PC, 0x1234_0000_0008, 0x4000_1000, 0xffff_ffff_8000_2000, 3];
    assert_eq!(words[..5], expected);
}

/// A stack whose second record has been changed by a return probe, and that has addresses of 52 bits.
struct Returning {
    start: StackStart,
    probed: HostVirt,
}

impl CallStack for Returning {
    fn start(&self) -> Option<StackStart> {
        Some(self.start)
    }

    fn real_return(&self, frame: Option<HostVirt>, saved: HostVirt) -> HostVirt {
        if frame == Some(self.probed) {
            HostVirt::new(saved.get() + 0x1000)
        } else {
            saved
        }
    }

    fn address_bits(&self) -> u32 {
        52
    }
}

#[test]
fn who_knows_better_where_a_function_returns_is_asked() {
    let mut stack = Stack::of(3);
    stack.0[5] = 0xff77_0000_0000_0008;
    let returning = Returning {
        start: stack.start(),
        probed: HostVirt::new(stack.base() + 16),
    };
    let env = RunEnv::new().with_stack(&returning);
    let (_, words) = chain_in(&env, 64, 0);
    assert_eq!(words[..5], [PC, 1, 0x1002, 0x7_0000_0000_0008, 0]);
}

/// A stack that is not in the hypervisor's memory.
struct Elsewhere;

impl CallStack for Elsewhere {
    fn start(&self) -> Option<StackStart> {
        Some(StackStart::new(HostVirt::new(PC), HostVirt::new(16)))
    }

    fn read_frame(&self, _guard: &axebpf_hit::HitGuard, frame: HostVirt) -> Option<[u64; 2]> {
        (frame.get() < 64).then(|| [frame.get() + 16, frame.get()])
    }
}

#[test]
fn a_stack_can_be_elsewhere() {
    let env = RunEnv::new().with_stack(&Elsewhere);
    let (bytes, words) = chain_in(&env, 64, 0);
    assert_eq!((bytes, &words[..4]), (32, &[PC, 16, 32, 48][..]));
}

#[test]
fn what_is_not_possible_leaves_zeroes() {
    let stack = Stack::of(2);
    let start = stack.start();
    for (env, size, flags, error) in [
        (RunEnv::new(), 16, 0, EFAULT),
        (RunEnv::new().with_stack(&start), 16, 1 << 8, EFAULT),
        (RunEnv::new().with_stack(&start), 16, 1 << 11, EINVAL),
        (RunEnv::new().with_stack(&start), 12, 0, EINVAL),
    ] {
        let (result, words) = chain_in(&env, size, flags);
        assert_eq!(result, error);
        assert_eq!(words[0], 0);
    }
}

#[test]
fn a_corrupt_chain_ends() {
    let missing = StackStart::new(HostVirt::new(PC), HostVirt::new(8));
    assert_eq!(chain(missing, 64, 0).0, 8, "nothing there");
    let odd = StackStart::new(HostVirt::new(PC), HostVirt::new(Stack::of(2).base() + 1));
    assert_eq!(chain(odd, 64, 0).0, 8, "not aligned");

    let mut circle = Stack::of(2);
    circle.0[2] = circle.base();
    assert_eq!(chain(circle.start(), 256, 0).0, 24, "back to the start");
    let mut own = Stack::of(1);
    own.0[0] = own.base();
    assert_eq!(chain(own.start(), 256, 0).0, 16, "itself");
    let mut far = Stack::of(2);
    far.0[0] = far.base() + (1 << 20);
    assert_eq!(chain(far.start(), 256, 0).0, 16, "too far");
}

#[test]
fn a_chain_is_limited_and_charged() {
    let stack = Stack::of(500);
    let (bytes, words) = chain(stack.start(), 2040, 0);
    assert_eq!(bytes as usize, MAX_STACK_DEPTH * 8);
    assert_eq!(words[MAX_STACK_DEPTH - 1], MAX_STACK_DEPTH as u64 - 1);

    let insns = [mov_reg(2, 1), mov(3, 256), mov(4, 0), call(67), EXIT];
    let program = program(&insns).expect("an acceptable program");
    program.set_budget(64);
    let mut memory = [0; 256];
    let start = stack.start();
    let env = RunEnv::new().with_stack(&start);
    let result = run_in(&program, Context::writable(&mut memory), &env);
    assert!(matches!(result, Err(RunError::Budget { .. })), "{result:?}");
}

proptest! {
    #[test]
    fn no_stack_sends_unwinding_astray(
        words in prop::collection::vec(prop_oneof![any::<u64>(), 0u64..64], 2..64),
        start in 0u64..64,
    ) {
        let base = words.as_ptr().expose_provenance() as u64;
        // Small numbers become addresses in the stack.
        let words: Vec<u64> = words.iter().map(|word| if *word < 64 { base + word * 8 } else { *word }).collect();
        let start = StackStart::new(HostVirt::new(PC), HostVirt::new(base + start * 8));
        let (bytes, _) = chain(start, 2048, 0);
        prop_assert!(bytes as usize <= MAX_STACK_DEPTH * 8);
        drop(words);
    }
}
