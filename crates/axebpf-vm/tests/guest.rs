//! The helpers that mean the guest when a program runs at a probe on its kernel.

mod support;

use axebpf_platform::{GuestVirt, mock};
use axebpf_vm::{Context, GuestTask, GuestUnreadable, RunEnv, TASK_NAME_BYTES};
use support::{EXIT, call, lddw, mov, program, run_in};

const EFAULT: u64 = -14i64 as u64;
/// Where the guest has its memory.
const START: u64 = 0xffff_8000_0801_0000;

/// A guest with a few bytes of memory.
struct Guest {
    memory: &'static [u8],
    pid_tgid: Option<u64>,
}

impl GuestTask for Guest {
    fn read(&self, at: GuestVirt, bytes: &mut [u8]) -> Result<(), GuestUnreadable> {
        let start = at.get().wrapping_sub(START) as usize;
        let from = self.memory.get(start..start.wrapping_add(bytes.len()));
        bytes.copy_from_slice(from.ok_or(GuestUnreadable { at })?);
        Ok(())
    }

    fn task(&self) -> GuestVirt {
        GuestVirt::new(0xffff_0000_0123_4000)
    }

    fn pid_tgid(&self) -> Option<u64> {
        self.pid_tgid
    }

    fn name(&self) -> Option<[u8; TASK_NAME_BYTES]> {
        self.pid_tgid.map(|_| *b"kworker/0:1\0\0\0\0\0")
    }
}

const GUEST: Guest = Guest {
    memory:
        b"abcdefgh\0and more bytes behind the end of the string, so that a block of 64 is there",
    pid_tgid: Some(7 << 32 | 9),
};

/// Runs helper `id` with the context as memory to write, its length, and `from`.
fn read(id: i32, size: i32, from: u64, env: &RunEnv<'_>) -> (u64, [u8; 16]) {
    let mut memory = [0xff; 16];
    let [low, high] = lddw(3, from);
    let program = program(&[mov(2, size), low, high, call(id), EXIT]).expect("acceptable");
    let result = run_in(&program, Context::writable(&mut memory), env);
    (result.expect("a run to the end"), memory)
}

fn eval(id: i32, env: &RunEnv<'_>) -> u64 {
    let program = program(&[call(id), EXIT]).expect("acceptable");
    run_in(&program, Context::new(&[]), env).expect("a run to the end")
}

#[test]
fn reads_mean_the_guest() {
    let env = RunEnv::new().with_guest(&GUEST);
    for id in [4, 112, 113] {
        let (result, memory) = read(id, 8, START, &env);
        assert_eq!((result, &memory[..9]), (0, &b"abcdefgh\xff"[..]), "{id}");
    }
    for id in [45, 114, 115] {
        let (result, memory) = read(id, 16, START + 4, &env);
        assert_eq!((result, &memory[..5]), (5, &b"efgh\0"[..]), "{id}");
    }
}

#[test]
fn what_the_guest_does_not_have_cannot_be_read() {
    let own = Box::new([0x55u8; 16]);
    let env = RunEnv::new().with_guest(&GUEST);
    // Memory of the hypervisor is none of the guest's, whatever address it has.
    for from in [0, START - 8, own.as_ptr() as u64] {
        for id in [4, 112, 113] {
            let (result, memory) = read(id, 8, from, &env);
            assert_eq!((result, &memory[..8]), (EFAULT, &[0; 8][..]), "{id}");
        }
    }
}

#[test]
fn users_are_only_in_guests() {
    let env = RunEnv::new();
    for id in [112, 114] {
        let (result, memory) = read(id, 8, START, &env);
        assert_eq!((result, &memory[..8]), (EFAULT, &[0; 8][..]), "{id}");
    }
    assert_eq!(eval(35, &env), 0);
}

#[test]
fn the_task_is_the_guests() {
    mock::set_mock_vcpu(3, 2);
    let env = RunEnv::new().with_guest(&GUEST);
    assert_eq!(eval(14, &env), 7 << 32 | 9);
    assert_eq!(eval(35, &env), 0xffff_0000_0123_4000);
    let (result, name) = read(16, 16, 0, &env);
    assert_eq!((result, &name), (0, b"kworker/0:1\0\0\0\0\0"));
}

#[test]
fn a_task_of_an_unknown_kernel_has_no_number() {
    mock::set_mock_vcpu(3, 2);
    let guest = Guest {
        pid_tgid: None,
        ..GUEST
    };
    let env = RunEnv::new().with_guest(&guest);
    assert_eq!(eval(14, &env), u64::MAX);
    let (result, name) = read(16, 16, 0, &env);
    assert_eq!((result, &name), (0, b"vm3/vcpu2\0\0\0\0\0\0\0"));
}
