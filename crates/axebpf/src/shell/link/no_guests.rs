//! What a build that probes no guests says of links to them.

use alloc::{string::String, vec::Vec};

use crate::{
    LinkInfo, LinkOptions,
    shell::{CommandResult, complaint::Complaint},
};

pub(super) fn set_mode(_: &mut LinkOptions<'_>, mode: Option<&str>) -> CommandResult {
    match mode {
        None => Ok(()),
        Some(_) => Err(Complaint::new("this build probes no guests")),
    }
}

pub(super) fn state(_: &LinkInfo) -> String {
    String::new()
}

pub(super) fn waits_for(_: &LinkInfo) -> Option<String> {
    None
}

pub(super) fn notes(_: &LinkInfo) -> Vec<String> {
    Vec::new()
}
