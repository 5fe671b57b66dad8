//! What would be right, where something is wrong with a guest.

use alloc::{format, string::String, vec::Vec};

use axebpf_guestprobe::GuestProbeError;
use axebpf_platform::VmId;
use axebpf_symbols::KernelSymbolError;

use super::{meant, some};
use crate::GuestError;

/// Says what would be right.
pub(super) fn hint(error: &GuestError) -> Option<String> {
    match error {
        GuestError::Symbols(error) => of_symbols(error).map(Into::into),
        GuestError::Probe(error) => of_probe(error).map(Into::into),
        error => of_vm(error)
            .or_else(|| of_function(error))
            .or_else(|| of_kernel(error)),
    }
}

/// Says which guest can be probed instead, or when.
fn of_vm(error: &GuestError) -> Option<String> {
    Some(match error {
        GuestError::NoGuest { .. } | GuestError::NoGuests => {
            "`vm list` shows what can be probed".into()
        }
        GuestError::WhichGuest { guests } => {
            let shown: Vec<_> = guests.iter().map(|vm| format!("vm{vm}")).collect();
            format!("say which: kprobe:{}:FUNCTION", shown.join("|"))
        }
        GuestError::NoKernel { .. } => "boot it first".into(),
        GuestError::NoTypes { .. } => {
            "boot the guest first; its kernel needs CONFIG_DEBUG_INFO_BTF".into()
        }
        _ => return None,
    })
}

/// Says which function of a guest can be probed instead.
fn of_function(error: &GuestError) -> Option<String> {
    Some(match error {
        GuestError::NoFunction { vm, name, near } => no_function(*vm, name, near),
        GuestError::Ambiguous { vm, addresses, .. } => format!(
            "say which by its address: kprobe:vm{vm}:{}",
            some(addresses).join("|")
        ),
        GuestError::TooMany { .. } => "narrow it, or allow more with --limit N".into(),
        GuestError::NotAnEntry { .. } => "say only which function: kretprobe:vm1:NAME".into(),
        GuestError::BetweenInstructions { name, offset } => {
            format!("before it is {name}+{:#x}", offset & !3)
        }
        _ => return None,
    })
}

fn no_function(vm: VmId, name: &str, near: &[String]) -> String {
    if name.contains(':') {
        return format!(
            "symbols in memory are the kernel's own (vmlinux); /proc/kallsyms has those of \
             modules, too: `vm syms {vm} --upload`"
        );
    }
    meant(near, &format!("`gsym {vm} '*PART*'` finds parts of names"))
}

/// Says how the symbols of the kernel that runs are had.
fn of_kernel(error: &GuestError) -> Option<String> {
    Some(match error {
        GuestError::Elsewhere { vm, .. } => {
            format!("`vm syms {vm} auto` looks for those of this kernel")
        }
        GuestError::NoSlide { vm, .. } => format!(
            "say it: `vm syms {vm} FILE --slide BYTES`; for the guest's own /proc/kallsyms that is 0"
        ),
        GuestError::Scan { vm, .. } => format!("boot the guest first, or `vm syms {vm} FILE`"),
        _ => return None,
    })
}

/// Says what can be taken for symbols.
fn of_symbols(error: &KernelSymbolError) -> Option<&'static str> {
    match error {
        KernelSymbolError::Unrecognised { start } if start.starts_with(b"\x7fELF") => {
            Some("it is an ELF file; `cargo xtask guest-symbols` makes a blob of the symbols in it")
        }
        KernelSymbolError::Unrecognised { .. } => {
            Some("take /proc/kallsyms, a System.map, or what `cargo xtask guest-symbols` makes")
        }
        _ => None,
    }
}

/// Says how a place can be probed instead.
fn of_probe(error: &GuestProbeError) -> Option<&'static str> {
    match error {
        GuestProbeError::LandingPad { .. } => {
            Some("take another mode, or probe the next instruction: FUNCTION+4")
        }
        GuestProbeError::Mode(_) | GuestProbeError::PageMode { .. } => {
            Some("--mode auto takes what there is")
        }
        _ => None,
    }
}
