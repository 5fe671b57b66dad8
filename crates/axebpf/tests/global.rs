//! The tracepoints of the image, without a root object.
#![cfg(feature = "tracepoint-support")]

use axebpf::tracepoint::{TpError, TracepointManager};

#[test]
fn tracepoints_are_switched_by_name() {
    axebpf::init().unwrap();
    axebpf::init().unwrap();
    let manager = TracepointManager::global();
    let enabled = |name: &str| {
        let found = manager
            .list_tracepoints()
            .into_iter()
            .find(|info| info.name == name);
        found.map(|info| info.enabled)
    };
    assert_eq!(enabled("vmm:vm_create"), Some(false));
    manager.enable("vmm:vm_create").unwrap();
    assert_eq!(enabled("vmm:vm_create"), Some(true));
    manager.disable("vmm:vm_create").unwrap();
    assert_eq!(enabled("vmm:vm_create"), Some(false));
    assert!(matches!(
        manager.enable("vmm:vm_craete"),
        Err(TpError::UnknownEvent { .. })
    ));
    assert!(matches!(
        manager.enable("nothing:*"),
        Err(TpError::NoMatch { .. })
    ));
}
