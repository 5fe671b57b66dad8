//! The events of the hypervisor's shell.

use crate::field_type::Str;

crate::define_event! {
    /// The shell is ready for its first command.
    pub event shell:shell_init as ShellInit {
        /// How many commands it knows.
        commands: u32,
    }
}

crate::define_event! {
    /// A command of the shell has ended.
    pub event shell:shell_command as ShellCommand {
        /// What the command returned: 0 for success, a negative error number otherwise.
        result: i32,
        /// The command line, cut to 63 bytes.
        line: Str<64>,
        /// How long the command took, in nanoseconds.
        duration_ns: u64,
    } duration = duration_ns
}
