//! The header for programs in C.

use axebpf_tp::FieldType;

use super::{EventLayout, Member, lines};

const HEAD: &str = "\
/* SPDX-License-Identifier: GPL-3.0-or-later OR Apache-2.0 */
/*
 * The context of each event of the catalogue: the record that a program on tracepoint/<system>/<name> gets.
 * `cargo xtask build-programs` writes this file from the catalogue in axebpf-tp.
 */
#ifndef AXEBPF_EVENTS_H
#define AXEBPF_EVENTS_H

/* How each record begins, as in Linux. All but the type, which is the event's number, is 0. */
struct axebpf_event {
	__u16 common_type;
	__u8 common_flags;
	__u8 common_preempt_count;
	__s32 common_pid;
};
";

/// Returns the header's text.
pub(super) fn header(catalogue: &[EventLayout]) -> String {
    let mut text = String::from(HEAD);
    for EventLayout { event, members } in catalogue {
        text.push_str("\n/*\n");
        text.push_str(&format!(" * {}\n", event.full_name()));
        for line in lines(event.help()) {
            text.push_str(format!(" * {line}").trim_end());
            text.push('\n');
        }
        text.push_str(" */\n");
        text.push_str(&format!("struct {}_{} {{\n", event.system(), event.name()));
        text.push_str("\tstruct axebpf_event common;\n");
        for member in members {
            text.push_str(&declare(member));
        }
        text.push_str("};\n");
        text.push_str(&format!(
            "_Static_assert(sizeof(struct {}_{}) == {}, \"as long as its record\");\n",
            event.system(),
            event.name(),
            event.record_len()
        ));
    }
    text.push_str("\n#endif /* AXEBPF_EVENTS_H */\n");
    text
}

fn declare(member: &Member) -> String {
    match member {
        Member::Padding { number, len } => format!("\t__u8 __padding{number}[{len}];\n"),
        Member::Field { name, help, ty } => {
            let help: Vec<&str> = lines(help).collect();
            let help = help.join("\n\t * ");
            format!("\t/* {help} */\n\t{};\n", declarator(*ty, name))
        }
    }
}

fn declarator(ty: FieldType, name: &str) -> String {
    match ty {
        FieldType::Chars { len } => format!("char {name}[{len}]"),
        FieldType::Bool => format!("__u8 {name}"),
        FieldType::Signed { size } => format!("__s{} {name}", 8 * size),
        _ => format!("__u{} {name}", 8 * ty.size()),
    }
}
