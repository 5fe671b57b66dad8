//! Enabling tracepoints by name.

use axebpf_platform::mock::{MOCK, set_mock_time};
use std::sync::Arc;

use axebpf_tp::{
    RECORDER, TpError, TraceHandler, TraceHit, TracepointManager, subscribe, trace, vmm,
};

/// Serialises the tests of this file: the registry is one for the whole process.
static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());

fn start() -> std::sync::MutexGuard<'static, ()> {
    let guard = ONE_AT_A_TIME
        .lock()
        .unwrap_or_else(|poisoned| poisoned.into_inner());
    axebpf_hit::install(&MOCK).unwrap();
    guard
}

#[test]
fn the_whole_catalogue_is_listed() {
    let _guard = start();
    let names: Vec<_> = TracepointManager::global()
        .list_tracepoints()
        .into_iter()
        .map(|info| info.name)
        .filter(|name| name.starts_with("vmm:") || name.starts_with("shell:"))
        .collect();
    let mut expected = Vec::from(
        [
            "vm_create",
            "vm_boot",
            "vm_shutdown",
            "vm_destroy",
            "vcpu_create",
            "vcpu_destroy",
            "vcpu_state_change",
            "vcpu_run_enter",
            "vcpu_run_exit",
            "hypercall",
            "external_interrupt",
            "vcpu_halt",
            "cpu_up",
            "ipi_send",
            "memory_map",
            "memory_unmap",
            "page_fault",
            "device_access",
            "irq_inject",
            "irq_handle",
            "vmm_init",
            "vhal_init",
            "config_load",
            "image_load",
            "timer_tick",
            "timer_event",
            "task_switch",
        ]
        .map(|name| format!("vmm:{name}")),
    );
    expected.extend(["shell:shell_init".into(), "shell:shell_command".into()]);
    expected.sort();
    assert_eq!(names, expected);
}

#[test]
fn an_enabled_event_is_counted_recorded_and_timed() {
    let _guard = start();
    let manager = TracepointManager::global();
    let events = manager.enable("vmm:vcpu_run_exit").unwrap();
    assert_eq!(events.len(), 1);
    assert!(vmm::vcpu_run_exit.enabled());
    vmm::vcpu_run_exit.reset_stats();
    RECORDER.clear();

    set_mock_time(1_000_000);
    trace!(vmm::vcpu_run_enter {
        vm_id: 1,
        vcpu_id: 0,
        pc: 0x4000_0000
    });
    set_mock_time(1_000_750);
    let reason = 36;
    trace!(vmm::vcpu_run_exit {
        vm_id: 1,
        vcpu_id: 0,
        reason,
        pc: 0x4000_0010,
        esr: 0x9200_0000,
        far: 0,
        gpa: 0x900_0000,
    });

    let stats = vmm::vcpu_run_exit.stats();
    assert_eq!(stats.count, 1);
    assert_eq!(stats.last_ns, 1_000_750);
    assert_eq!(stats.durations.mean_ns(), Some(750));
    let mut text = String::new();
    RECORDER.dump(&mut text).unwrap();
    assert_eq!(
        text.split_once(' ').unwrap().1.trim(),
        "0.001000: vmm:vcpu_run_exit: vm_id=1 vcpu_id=0 reason=36 pc=0x40000010 esr=0x92000000 \
         far=0x0 gpa=0x9000000"
    );
    manager.disable("vmm:*").unwrap();
    assert!(!vmm::vcpu_run_exit.enabled());
    assert!(!vmm::vcpu_run_enter.enabled());
}

#[test]
fn unknown_names_are_answered_with_suggestions() {
    let _guard = start();
    let error = TracepointManager::global()
        .enable("vmm:vm_craete")
        .unwrap_err();
    let TpError::UnknownEvent { name, similar } = &error else {
        panic!("{error}")
    };
    assert_eq!(name, "vmm:vm_craete");
    assert_eq!(similar[0], "vmm:vm_create");
    assert!(
        error.to_string().contains("did you mean `vmm:vm_create`"),
        "{error}"
    );
    assert!(matches!(
        TracepointManager::global().enable("nothing*here"),
        Err(TpError::NoMatch { .. })
    ));
}

/// Does nothing.
struct Ignore;

impl TraceHandler for Ignore {
    fn hit(&self, _hit: &TraceHit<'_>) {}
}

#[test]
fn the_manager_and_subscribers_do_not_disturb_each_other() {
    let _guard = start();
    let manager = TracepointManager::global();
    let info = || manager.matching("vmm:hypercall").unwrap().remove(0);
    manager.enable("vmm:hypercall").unwrap();
    let subscription = subscribe(&vmm::hypercall, Arc::new(Ignore), None).unwrap();
    assert_eq!((info().enabled, info().subscribers), (true, 2));
    assert_eq!(manager.disable("vmm:hypercall").unwrap().len(), 1);
    assert_eq!((info().enabled, info().subscribers), (true, 1));
    assert!(manager.disable("vmm:hypercall").unwrap().is_empty());
    manager.enable("vmm:hypercall").unwrap();
    subscription.cancel().unwrap();
    assert!(vmm::hypercall.enabled());
    manager.disable("vmm:hypercall").unwrap();
    assert!(!vmm::hypercall.enabled());
}
