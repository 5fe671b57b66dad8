//! The helpers that tell who and where, and what the link and the probe say.

mod support;

use axebpf_platform::mock;
use axebpf_vm::{Context, RunEnv};
use support::{EXIT, call, mov, program, run, run_in, run_on};

const EINVAL: u64 = -22i64 as u64;

fn eval(id: i32) -> u64 {
    let program = program(&[call(id), EXIT]).expect("an acceptable program");
    run(&program).expect("a run to the end")
}

#[test]
fn the_vm_is_the_process_and_the_vcpu_the_thread() {
    mock::set_mock_vcpu(3, 2);
    assert_eq!(eval(14), 3 << 32 | 2);
    mock::clear_mock_vcpu();
    assert_eq!(eval(14), u64::MAX);
}

fn comm(size: i32) -> (u64, [u8; 40]) {
    let mut memory = [0xff; 40];
    let program = program(&[mov(2, size), call(16), EXIT]).expect("an acceptable program");
    let result = run_on(&program, Context::writable(&mut memory));
    (result.expect("a run to the end"), memory)
}

#[test]
fn what_runs_has_a_name() {
    mock::set_mock_vcpu(3, 12);
    let (result, name) = comm(16);
    assert_eq!(
        (result, &name[..17]),
        (0, &b"vm3/vcpu12\0\0\0\0\0\0\xff"[..])
    );
    assert_eq!(&comm(4).1[..5], b"vm3\0\xff");
    assert_eq!(comm(0).0, EINVAL);
    mock::set_mock_vcpu(u32::MAX, u32::MAX);
    assert_eq!(&comm(40).1[..24], b"vm4294967295/vcpu4294967");
    mock::clear_mock_vcpu();
    assert_eq!(&comm(16).1[..12], b"hypervisor\0\0");
}

#[test]
fn clocks() {
    mock::set_mock_time(10_000_000_123);
    assert_eq!(eval(5), 10_000_000_123);
    assert_eq!(eval(125), 10_000_000_123);
    assert_eq!(eval(118), 2500);
}

#[test]
fn random_numbers_differ_and_have_32_bits() {
    mock::set_mock_cpu_id(7);
    let numbers: std::collections::BTreeSet<u64> = (0..64).map(|_| eval(7)).collect();
    assert!(numbers.len() > 60);
    assert!(numbers.iter().all(|number| *number <= u64::from(u32::MAX)));
}

#[test]
fn the_link_and_the_probe_say_more() {
    let env = RunEnv::new()
        .with_cookie(77)
        .with_function(0xffff_0000_1234)
        .with_call_time_ns(1500);
    let of = |id, env: &RunEnv<'_>| {
        let program = program(&[call(id), EXIT]).expect("an acceptable program");
        run_in(&program, Context::new(&[]), env)
    };
    assert_eq!(of(173, &env), Ok(0xffff_0000_1234));
    assert_eq!(of(174, &env), Ok(77));
    assert_eq!(of(173, &RunEnv::new()), Ok(0));
    assert_eq!(of(174, &RunEnv::new()), Ok(0));
    assert_eq!(of(0x1000, &env), Ok(1500));
    assert_eq!(of(0x1000, &RunEnv::new()), Ok(u64::MAX));
}
