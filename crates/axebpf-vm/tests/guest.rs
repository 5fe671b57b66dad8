//! The helpers that mean the guest when a program runs at a probe on its kernel.

mod support;

use axebpf_platform::{GuestVirt, mock};
use axebpf_vm::{
    Context, GuestTask, GuestUnreadable, LoadOptions, ObjectFile, ProgramDefinition, RunEnv,
    TASK_NAME_BYTES,
};
use support::{EXIT, call, lddw, mov, mov_reg, program, run_in};

/// Programs of several kinds that read guests.
const GUESTS: &[u8] = include_bytes!("objects/guests.o");

const EFAULT: u64 = -14i64 as u64;
/// Where the guest's kernel has the memory.
const START: u64 = 0xffff_8000_0801_0000;
/// Where its program has the same, with a tag.
const USER: u64 = 0x3c00_aaaa_0000_0000;

/// Helpers that read a number of bytes: of either half, of the kernel's and of the programs'.
const BYTES: [&[i32]; 3] = [&[4], &[113, 0x1001], &[112, 0x1002]];
/// Helpers that read strings, in the same order.
const TEXT: [&[i32]; 3] = [&[45], &[115], &[114]];

/// A guest with a few bytes of memory.
struct Guest {
    memory: &'static [u8],
    pid_tgid: Option<u64>,
}

impl GuestTask for Guest {
    fn read(&self, at: GuestVirt, bytes: &mut [u8]) -> Result<(), GuestUnreadable> {
        let base = if at.get() >> 55 & 1 == 1 { START } else { USER };
        let start = at.get().wrapping_sub(base) as usize;
        let from = self.memory.get(start..start.wrapping_add(bytes.len()));
        bytes.copy_from_slice(from.ok_or(GuestUnreadable { at })?);
        Ok(())
    }

    fn task(&self) -> Option<GuestVirt> {
        self.pid_tgid.map(|_| GuestVirt::new(0xffff_0000_0123_4000))
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
    for (half, places) in [&[START, USER][..], &[START], &[USER]].iter().enumerate() {
        for place in *places {
            for id in BYTES[half] {
                let (result, memory) = read(*id, 8, *place, &env);
                assert_eq!((result, &memory[..9]), (0, &b"abcdefgh\xff"[..]), "{id}");
            }
            for id in TEXT[half] {
                let (result, memory) = read(*id, 16, place + 4, &env);
                assert_eq!((result, &memory[..5]), (5, &b"efgh\0"[..]), "{id}");
            }
        }
    }
}

#[test]
fn kernels_and_programs_have_a_half_each() {
    let env = RunEnv::new().with_guest(&GUEST);
    for (half, foreign) in [(1, USER), (2, START)] {
        for id in BYTES[half].iter().chain(TEXT[half]) {
            let (result, memory) = read(*id, 8, foreign, &env);
            assert_eq!(
                (result, &memory[..9]),
                (EFAULT, &[0, 0, 0, 0, 0, 0, 0, 0, 0xff][..]),
                "{id}"
            );
        }
    }
}

/// A guest that has memory everywhere.
struct Everywhere;

impl GuestTask for Everywhere {
    fn read(&self, _: GuestVirt, bytes: &mut [u8]) -> Result<(), GuestUnreadable> {
        bytes.fill(b'a');
        Ok(())
    }

    fn task(&self) -> Option<GuestVirt> {
        None
    }

    fn pid_tgid(&self) -> Option<u64> {
        None
    }

    fn name(&self) -> Option<[u8; TASK_NAME_BYTES]> {
        None
    }
}

#[test]
fn a_read_does_not_leave_its_half() {
    let env = RunEnv::new().with_guest(&Everywhere);
    // The last bytes of each half as bit 55 has it, at the lowest and the highest tag.
    for (half, end) in [(1, 0), (1, 1 << 56), (2, 1 << 55), (2, 0xff80 << 48)] {
        for id in BYTES[half].iter().chain(TEXT[half]) {
            let (result, _) = read(*id, 8, u64::wrapping_sub(end, 8), &env);
            let expected = if BYTES[half].contains(id) { 0 } else { 8 };
            assert_eq!(result, expected, "{id} {end:#x}");
            let (result, memory) = read(*id, 8, u64::wrapping_sub(end, 7), &env);
            assert_eq!(
                (result, &memory[..8]),
                (EFAULT, &[0; 8][..]),
                "{id} {end:#x}"
            );
        }
        assert_eq!(read(4, 8, u64::wrapping_sub(end, 4), &env).0, 0);
    }
}

#[test]
fn what_the_guest_does_not_have_cannot_be_read() {
    let own = Box::new([0x55u8; 16]);
    let env = RunEnv::new().with_guest(&GUEST);
    // Memory of the hypervisor is none of the guest's, whatever address it has.
    for from in [0, START - 8, USER - 8, own.as_ptr() as u64] {
        for id in BYTES.into_iter().flatten() {
            let (result, memory) = read(*id, 8, from, &env);
            assert_eq!((result, &memory[..8]), (EFAULT, &[0; 8][..]), "{id}");
        }
    }
}

#[test]
fn guests_are_read_only_at_probes_on_them() {
    let own = [0x55u8; 16];
    let env = RunEnv::new();
    for id in [0x1001, 0x1002] {
        for from in [START, USER, own.as_ptr() as u64] {
            let (result, memory) = read(id, 8, from, &env);
            assert_eq!((result, &memory[..8]), (EFAULT, &[0; 8][..]), "{id}");
        }
    }
}

#[test]
fn a_place_for_what_is_read_is_the_programs() {
    let env = RunEnv::new().with_guest(&GUEST);
    for (id, from) in [(0x1001, START), (0x1002, USER)] {
        let [low, high] = lddw(3, from);
        for (to, size) in [(mov(1, 64), 8), (mov_reg(1, 1), 17)] {
            let program =
                program(&[to, mov(2, size), low, high, call(id), EXIT]).expect("acceptable");
            let mut memory = [0xff; 16];
            let result = run_in(&program, Context::writable(&mut memory), &env);
            assert!(result.is_err(), "{id} {size}");
            assert_eq!(memory, [0xff; 16], "{id} {size}");
        }
        // No bytes need no memory, as with every other read.
        let program = program(&[mov(1, 64), mov(2, 0), low, high, call(id), EXIT]);
        let result = run_in(&program.expect("acceptable"), Context::new(&[]), &env);
        assert_eq!(result, Ok(0));
    }
}

#[test]
fn programs_at_static_points_cannot_have_what_is_for_guests() {
    axebpf_hit::install(&mock::MOCK).expect("one platform for each test binary");
    let file = ObjectFile::parse(GUESTS).expect("a readable object");
    let load = |name: &str| {
        let select = |program: &ProgramDefinition| program.name() == name;
        file.load(&LoadOptions::new().with_programs(&select))
            .map(drop)
    };
    for name in ["at_kernel", "at_hypervisor"] {
        assert!(load(name).is_ok(), "{name}");
    }
    for (name, helper) in [("kernel_at_event", "kernel"), ("user_at_event", "user")] {
        let said = load(name).expect_err("a refusal").to_string();
        let expected = format!("programs of kind Tracepoint cannot call bpf_read_guest_{helper}");
        assert!(said.contains(&expected), "{said}");
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
    assert_eq!(eval(35, &env), 0);
    let (result, name) = read(16, 16, 0, &env);
    assert_eq!((result, &name), (0, b"vm3/vcpu2\0\0\0\0\0\0\0"));
}
