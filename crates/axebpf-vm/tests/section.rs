//! Section names.

use axebpf_hit as _;
use axebpf_vm::AttachTarget::{Hprobe, Hretprobe, Kprobe, Kretprobe, Tracepoint};
use axebpf_vm::{AttachTarget, SectionError};

#[test]
fn targets() {
    let cases = [
        (
            "tracepoint/vmm/vm_boot",
            Tracepoint {
                system: "vmm",
                name: "vm_boot",
            },
        ),
        (
            "tp/shell/shell_init",
            Tracepoint {
                system: "shell",
                name: "shell_init",
            },
        ),
        (
            "?tp/vmm/vm_boot",
            Tracepoint {
                system: "vmm",
                name: "vm_boot",
            },
        ),
        (
            "hprobe/run",
            Hprobe {
                symbol: "run",
                offset: 0,
            },
        ),
        (
            "hprobe/run+0x1c",
            Hprobe {
                symbol: "run",
                offset: 0x1c,
            },
        ),
        (
            "hprobe/run+12",
            Hprobe {
                symbol: "run",
                offset: 12,
            },
        ),
        (
            "hprobe/<a as b>::c",
            Hprobe {
                symbol: "<a as b>::c",
                offset: 0,
            },
        ),
        ("hretprobe/run", Hretprobe { symbol: "run" }),
        (
            "kprobe/do_fork+4",
            Kprobe {
                symbol: "do_fork",
                offset: 4,
            },
        ),
        ("kretprobe/do_fork", Kretprobe { symbol: "do_fork" }),
    ];
    for (section, target) in cases {
        assert_eq!(AttachTarget::parse(section), Ok(target), "{section}");
        assert_eq!(
            AttachTarget::parse(&target.to_string()),
            Ok(target),
            "{target}"
        );
    }
}

#[test]
fn what_is_no_target_is_named() {
    for section in ["", "xdp", ".text", "socket/1", "tracepoints/a/b"] {
        let unknown = SectionError::UnknownKind {
            section: section.into(),
        };
        assert_eq!(AttachTarget::parse(section), Err(unknown));
    }
    for section in ["tp", "kprobe", "?hprobe"] {
        assert!(matches!(
            AttachTarget::parse(section),
            Err(SectionError::NoTarget { .. })
        ));
    }
    for section in [
        "tp/",
        "tp/vmm",
        "tp/vmm/",
        "tp//x",
        "tp/a/b/c",
        "kprobe/",
        "kprobe/+4",
        "kprobe/a+zz",
        "hprobe/a+-1",
    ] {
        assert!(
            matches!(
                AttachTarget::parse(section),
                Err(SectionError::BadTarget { .. })
            ),
            "{section}"
        );
    }
}
