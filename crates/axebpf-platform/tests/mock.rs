//! The platform that a test sets.

use std::sync::mpsc;
use std::thread;

use axebpf_platform::host::HOST;
use axebpf_platform::mock::{
    MOCK, advance_mock_time, clear_mock_vcpu, set_mock_cpu_id, set_mock_exit_reason, set_mock_time,
    set_mock_vcpu, take_mock_console,
};
use axebpf_platform::{Clock, Console, Cpus, CurrentVcpu, Platform, Vcpu, VcpuId, VmId};

#[test]
fn time_is_what_was_set_on_this_thread() {
    assert_eq!(MOCK.now_ns(), 0);
    set_mock_time(5_000);
    advance_mock_time(7);
    assert_eq!(MOCK.now_ns(), 5_007);
    thread::spawn(|| assert_eq!(MOCK.now_ns(), 0))
        .join()
        .unwrap();
    advance_mock_time(u64::MAX);
    assert_eq!(MOCK.now_ns(), u64::MAX);
}

#[test]
fn the_loaded_vcpu_is_what_was_set_on_this_thread() {
    assert_eq!((MOCK.current_vcpu(), MOCK.exit_reason()), (None, None));
    set_mock_vcpu(3, 1);
    set_mock_exit_reason(36);
    let loaded = Vcpu {
        vm: VmId::new(3),
        vcpu: VcpuId::new(1),
    };
    assert_eq!(MOCK.current_vcpu(), Some(loaded));
    assert_eq!(MOCK.exit_reason(), Some(36));
    thread::spawn(|| assert_eq!(MOCK.current_vcpu(), None))
        .join()
        .unwrap();
    clear_mock_vcpu();
    assert_eq!((MOCK.current_vcpu(), MOCK.exit_reason()), (None, None));
}

#[test]
fn the_console_keeps_what_this_thread_wrote() {
    MOCK.write_console(b"one ");
    MOCK.write_console(b"two");
    thread::spawn(|| assert!(take_mock_console().is_empty()))
        .join()
        .unwrap();
    assert_eq!(take_mock_console(), b"one two");
    assert!(take_mock_console().is_empty());
}

#[test]
fn a_cpu_number_is_held_by_one_live_thread_at_a_time() {
    // Numbers that no other test of this file takes, and that are too high to be the lowest free ones.
    set_mock_cpu_id(50);
    set_mock_cpu_id(50);
    assert_eq!(MOCK.current_cpu().get(), 50);
    let (tell, told) = mpsc::channel();
    let waiter = thread::spawn(move || {
        tell.send("waiting").unwrap();
        set_mock_cpu_id(50);
        tell.send("has it").unwrap();
        assert_eq!(MOCK.current_cpu().get(), 50);
    });
    assert_eq!(told.recv(), Ok("waiting"));
    assert_eq!(told.try_recv(), Err(mpsc::TryRecvError::Empty));
    // Gives the number back.
    set_mock_cpu_id(51);
    assert_eq!(told.recv(), Ok("has it"));
    waiter.join().unwrap();
    // Its end gave it back, too.
    set_mock_cpu_id(50);
}

#[test]
fn two_threads_can_swap_their_numbers() {
    let (tell, told) = mpsc::channel();
    let other = thread::spawn(move || {
        set_mock_cpu_id(41);
        tell.send(()).unwrap();
        set_mock_cpu_id(40);
    });
    set_mock_cpu_id(40);
    told.recv().unwrap();
    set_mock_cpu_id(41);
    other.join().unwrap();
}

#[test]
#[should_panic(expected = "CPU 64 is beyond the 64 CPUs")]
fn a_number_beyond_the_machine_is_refused() {
    set_mock_cpu_id(64);
}

#[test]
fn it_is_not_the_host() {
    assert_ne!(MOCK.platform_type(), HOST.platform_type());
}
