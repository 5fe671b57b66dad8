//! The module for programs in Rust.

use axebpf_tp::FieldType;

use super::{EventLayout, Member, SYSTEMS, lines};

const HEAD: &str = "\
//! The context of each event of the catalogue.
//!
//! `cargo xtask build-programs` writes this file from the catalogue in axebpf-tp.

use crate::Event;

/// How each record begins, as in Linux.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct EventHeader {
    /// The event's number.
    pub common_type: u16,
    /// Always 0.
    pub common_flags: u8,
    /// Always 0.
    pub common_preempt_count: u8,
    /// Always 0: a hypervisor has no processes.
    pub common_pid: i32,
}
";

/// Returns the module's text.
pub(super) fn module(catalogue: &[EventLayout]) -> String {
    let mut text = String::from(HEAD);
    for system in SYSTEMS {
        text.push_str(&format!(
            "\n/// The events of the system `{system}`.\npub mod {system} {{\n    use super::{{Event, EventHeader}};\n"
        ));
        for layout in catalogue
            .iter()
            .filter(|layout| layout.event.system() == system)
        {
            text.push_str(&event(layout));
        }
        text.push_str("}\n");
    }
    text
}

fn event(EventLayout { event, members }: &EventLayout) -> String {
    let mut text = format!(
        "\n    /// The record of `{}`.\n    ///\n",
        event.full_name()
    );
    for line in lines(event.help()) {
        text.push_str(&doc(line, 4));
    }
    let name = type_name(event.name());
    text.push_str("    #[repr(C)]\n    #[derive(Clone, Copy)]\n");
    text.push_str(&format!("    pub struct {name} {{\n"));
    text.push_str("        /// How each record begins.\n        pub common: EventHeader,\n");
    for member in members {
        text.push_str(&declare(member));
    }
    text.push_str("    }\n");
    text.push_str(&format!(
        "\n    const _: () = assert!(size_of::<{name}>() == {});\n",
        event.record_len()
    ));
    text.push_str(&format!(
        "\n    // SAFETY: The layout is the event's own, and every bit pattern is an integer.\n    \
         unsafe impl Event for {name} {{\n        const NAME: &'static str = \"{}\";\n    }}\n",
        event.full_name()
    ));
    text
}

fn declare(member: &Member) -> String {
    match member {
        Member::Padding { number, len } => format!("        _padding{number}: [u8; {len}],\n"),
        Member::Field { name, help, ty } => {
            let docs: String = lines(help).map(|line| doc(line, 8)).collect();
            format!("{docs}        pub {name}: {},\n", rust_type(*ty))
        }
    }
}

fn rust_type(ty: FieldType) -> String {
    match ty {
        FieldType::Chars { len } => format!("[u8; {len}]"),
        // A `bool` would make other bytes than 0 and 1 undefined behaviour.
        FieldType::Bool => "u8".to_owned(),
        FieldType::Signed { size } => format!("i{}", 8 * size),
        _ => format!("u{}", 8 * ty.size()),
    }
}

fn doc(line: &str, indent: usize) -> String {
    format!("{}\n", format!("{:indent$}/// {line}", "").trim_end())
}

/// Turns `vcpu_run_exit` into `VcpuRunExit`.
fn type_name(event: &str) -> String {
    let capitalise = |word: &str| {
        let mut chars = word.chars();
        chars
            .next()
            .map(|first| first.to_ascii_uppercase().to_string() + chars.as_str())
    };
    event.split('_').filter_map(capitalise).collect()
}
