//! `help`.

use axebpf::shell::Shell;

use crate::session::Session;

const ALL_COMMANDS: &[&str] = &[
    "trace list",
    "trace enable",
    "trace disable",
    "trace stat",
    "trace stream",
    "trace format",
    "trace buffer",
    "prog list",
    "prog load",
    "prog unload",
    "prog show",
    "link list",
    "link attach",
    "link detach",
    "map list",
    "map dump",
    "map lookup",
    "map update",
    "map delete",
    "map unpin",
    "sym",
    "help",
];

/// Those that only some builds have.
const HPROBE_COMMANDS: &[&str] = if cfg!(feature = "hprobe") {
    &["hprobe list", "hprobe check", "hprobe blacklist"]
} else {
    &[]
};

const GUEST_COMMANDS: &[&str] = if cfg!(feature = "guest-kprobe") {
    &["vm list", "vm syms", "gsym"]
} else {
    &[]
};

#[test]
fn every_command_has_help() {
    let mut session = Session::new();
    let overview = session.ok("help");
    // Of a group that is not there, one line says why.
    let hprobe_lines = HPROBE_COMMANDS.len().max(1);
    // Guests have two groups.
    let guest_lines = GUEST_COMMANDS.len().max(2);
    assert_eq!(
        overview.lines().count(),
        ALL_COMMANDS.len() + hprobe_lines + guest_lines + 2
    );
    let some = HPROBE_COMMANDS.iter().chain(GUEST_COMMANDS);
    for command in ALL_COMMANDS.iter().chain(some) {
        assert!(overview.contains(command), "{command}");
        let help = session.ok(&format!("help {command}"));
        assert!(help.starts_with(&format!("usage: {command}")), "{help}");
        assert_eq!(session.ok(&format!("{command} --help")), help);
    }
    for group in ["trace", "prog", "link", "map"] {
        assert!(session.ok(&format!("help {group}")).starts_with(group));
    }
    let names: Vec<_> = Shell::commands().collect();
    assert_eq!(
        names,
        [
            "trace", "prog", "link", "map", "hprobe", "sym", "vm", "gsym", "help"
        ]
    );
}
