//! What is special about links to guests.

use alloc::{
    format,
    string::{String, ToString},
    vec::Vec,
};

use axebpf_guestprobe::ProbeMode;

use crate::{
    LinkInfo, LinkOptions, ProbeType,
    shell::{
        CommandResult,
        complaint::{Complaint, shortened},
    },
};

/// Takes the way in which a guest is to leave.
pub(super) fn set_mode(options: &mut LinkOptions<'_>, mode: Option<&str>) -> CommandResult {
    options.mode = match mode {
        None | Some("auto") => None,
        Some("hidden-brk") => Some(ProbeMode::HiddenBrk),
        Some("brk") => Some(ProbeMode::Brk),
        Some("hvc") => Some(ProbeMode::Hvc),
        Some("stage2" | "stage2-fault") => Some(ProbeMode::Stage2Fault),
        Some(other) => {
            return Err(Complaint::new(format!("`{}` is no mode", shortened(other)))
                .hint("there are auto, hidden-brk, brk, hvc and stage2"));
        }
    };
    Ok(())
}

/// Says what is special about a link to a guest.
pub(super) fn state(link: &LinkInfo) -> String {
    let Some(guest) = &link.guest else {
        return String::new();
    };
    let mut text = format!(" {} {} retired", guest.mode, guest.retired);
    if guest.suspended != 0 {
        text.push_str(&format!(" {} suspended", guest.suspended));
    }
    if guest.partly != 0 {
        text.push_str(&format!(" {} partly seen", guest.partly));
    }
    text
}

/// Says what a link waits for.
pub(super) fn waits_for(link: &LinkInfo) -> Option<String> {
    Some(link.guest.as_ref()?.waiting.as_ref()?.to_string())
}

/// Says which functions were left out and why, and what a link to a guest may miss.
pub(super) fn notes(link: &LinkInfo) -> Vec<String> {
    /// How many functions that are left out are shown.
    const SHOWN: usize = 3;
    let Some(guest) = &link.guest else {
        return Vec::new();
    };
    let mut notes: Vec<String> = guest
        .left_out
        .iter()
        .take(SHOWN)
        .map(|function| format!("without {}: {}", function.name, function.why))
        .collect();
    if link.left_out > SHOWN {
        notes.push(format!("and {} more", link.left_out - SHOWN));
    }
    notes.push(format!(
        "{} probes miss {}, and what a vCPU runs while the guest debugs itself there",
        guest.mode,
        misses(guest.mode)
    ));
    if link.target.probe_type() == ProbeType::Kretprobe {
        notes.push("the first calls to return to a place are missed".into());
    }
    notes
}

/// Says which executions probes of a mode do not see.
fn misses(mode: ProbeMode) -> &'static str {
    match mode {
        ProbeMode::HiddenBrk => {
            "executions while the guest has an instruction there that cannot be displaced"
        }
        ProbeMode::Brk | ProbeMode::Hvc => {
            "what runs after the guest has overwritten the trap, which it can see"
        }
        ProbeMode::Stage2Fault => {
            "executions that are reached from within the same page, or from another page with \
             probes of this mode"
        }
        _ => "nothing that is known",
    }
}
