//! What operators are told of the errors of the library: what was wrong, and what would be right.

use alloc::string::{String, ToString};

use super::Complaint;

impl From<crate::Error> for Complaint {
    fn from(error: crate::Error) -> Self {
        match error {
            #[cfg(feature = "tracepoint-support")]
            crate::Error::Tracepoint(error) => error.into(),
            #[cfg(all(feature = "runtime", feature = "tracepoint-support"))]
            crate::Error::NoEvent { name } => {
                let known = axebpf_tp::events().map(axebpf_tp::Event::full_name);
                Self::unknown("tracepoint", &name, known, "trace list")
            }
            error => Self {
                wrong: error.to_string(),
                hint: hint(&error),
            },
        }
    }
}

/// Says what would be right.
fn hint(error: &crate::Error) -> Option<String> {
    match error {
        #[cfg(feature = "tracepoint-support")]
        crate::Error::Filter(_) => Some(
            "`trace format EVENT` shows the fields of an event, `help link attach` those of a probe".into(),
        ),
        #[cfg(feature = "runtime")]
        crate::Error::Busy { .. } => {
            Some("`link detach` detaches them; so does `prog unload --force`".into())
        }
        #[cfg(feature = "runtime")]
        crate::Error::NoTarget { .. } => {
            Some("say where: link attach PROGRAM vmm:vm_create".into())
        }
        #[cfg(all(feature = "guest-kprobe", feature = "runtime"))]
        crate::Error::Load(axebpf_vm::LoadError::NoTargetTypes { .. }) => {
            Some("say whose: prog load NAME --btf VM".into())
        }
        #[cfg(all(feature = "guest-kprobe", feature = "runtime"))]
        crate::Error::Guest(error) => super::guest::hint(error),
        #[cfg(feature = "hprobe")]
        error => of_function(error),
        #[cfg(not(feature = "hprobe"))]
        _ => None,
    }
}

/// Says which function of the hypervisor can be probed instead.
#[cfg(feature = "hprobe")]
fn of_function(error: &crate::Error) -> Option<String> {
    Some(match error {
        crate::Error::Hprobe(axebpf_hprobe::HprobeError::Protected { .. }) => {
            "`hprobe blacklist` lists all that must not be probed".into()
        }
        #[cfg(feature = "runtime")]
        crate::Error::NoFunction { near, .. } => {
            super::meant(near, "`sym '*PART*'` finds parts of names")
        }
        #[cfg(feature = "runtime")]
        crate::Error::Ambiguous { addresses, .. } => {
            let more = if addresses.len() > super::MOST_ADDRESSES {
                ", ..."
            } else {
                ""
            };
            alloc::format!(
                "say which by its address ({}{more}), or mean all by a glob",
                super::some(addresses).join(", ")
            )
        }
        #[cfg(feature = "runtime")]
        crate::Error::TooManyFunctions { .. } => "narrow it, or allow more with --limit N".into(),
        _ => return None,
    })
}
