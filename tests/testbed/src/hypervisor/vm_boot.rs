//! Filling a VM's memory with what its guest starts from.

use core::ops::Range;

use axebpf::platform::GuestPhys;
use axebpf::tracepoint::{trace, vmm};

use super::{
    cache,
    config::{self, Guest, Linux},
    guest_tree::Description,
    payload, random,
    stage2::PAGE,
    vm::Vm,
    vm_error::VmError,
};

/// How the first vCPU starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FirstSteps {
    /// The address of the first instruction.
    pub(crate) entry: u64,
    /// What x0 holds.
    pub(crate) argument: u64,
}

/// Where a kernel goes: its image asks for a multiple of this (Linux: Documentation/arm64/booting.rst).
const ALIGNMENT: u64 = 2 << 20;

/// Fills the memory of `vm`, which does not run, and returns how the guest starts.
pub(crate) fn load(vm: &Vm) -> Result<FirstSteps, VmError> {
    match &vm.config().guest {
        &Guest::BuiltIn { load, entry, role } => {
            load_part(vm, "guest", load, config::GUEST_IMAGE)?;
            Ok(FirstSteps {
                entry,
                argument: role,
            })
        }
        Guest::Linux(linux) => load_linux(vm, linux),
    }
}

/// Loads a kernel as a boot loader does: its device tree first, then its image, then its file system.
fn load_linux(vm: &Vm, linux: &Linux) -> Result<FirstSteps, VmError> {
    let no_payload = |part: &Range<u64>| VmError::NoPayload { at: part.start };
    let kernel = payload::bytes(&linux.kernel).ok_or(no_payload(&linux.kernel))?;
    let initrd = payload::bytes(&linux.initrd);
    let header = KernelHeader::read(kernel).ok_or(VmError::NotAKernel {
        at: linux.kernel.start,
    })?;
    let tree_at = vm.memory().start;
    let kernel_at = (tree_at + 1).next_multiple_of(ALIGNMENT) + header.text_offset;
    let size = header.image_size.max(kernel.len() as u64);
    let initrd_at = kernel_at.saturating_add(size).next_multiple_of(ALIGNMENT);
    let initrd_len = initrd.map_or(0, <[u8]>::len) as u64;
    let description = Description {
        vcpus: vm.config().vcpus,
        memory: vm.memory().clone(),
        initrd: initrd_at..initrd_at + initrd_len,
        arguments: &linux.arguments,
        seed: linux.seed.unwrap_or_else(random::number),
    };
    load_part(vm, "device tree", tree_at, &description.flatten())?;
    load_part(vm, "kernel", kernel_at, kernel)?;
    if let Some(initrd) = initrd {
        load_part(vm, "initrd", initrd_at, initrd)?;
    }
    Ok(FirstSteps {
        entry: kernel_at,
        argument: tree_at,
    })
}

/// What the first 64 bytes of a kernel's image say.
struct KernelHeader {
    text_offset: u64,
    image_size: u64,
}

impl KernelHeader {
    fn read(image: &[u8]) -> Option<Self> {
        const MAGIC: &[u8] = b"ARM\x64";
        let word = |at: usize| {
            let bytes = image.get(at..at + 8)?;
            Some(u64::from_le_bytes(bytes.try_into().ok()?))
        };
        let is_kernel = image.get(56..60) == Some(MAGIC);
        let header = Self {
            text_offset: word(8)?,
            image_size: word(16)?,
        };
        (is_kernel && header.text_offset < ALIGNMENT).then_some(header)
    }
}

/// Copies `content` to `at`, where the guest finds it with its caches off.
fn load_part(vm: &Vm, name: &'static str, at: u64, content: &[u8]) -> Result<(), VmError> {
    let memory = vm.memory();
    let room = memory.end.saturating_sub(at);
    if content.is_empty() || !memory.contains(&at) || content.len() as u64 > room {
        return Err(VmError::BadImage {
            at: GuestPhys::new(at),
            len: content.len(),
        });
    }
    let mut done = 0;
    while done < content.len() {
        let to = at + done as u64;
        let offset = to % PAGE;
        let target = vm.map(GuestPhys::new(to - offset))?.address() + offset;
        let count = (content.len() - done).min((PAGE - offset) as usize);
        // SAFETY: the page belongs to this VM, which does not run yet, and the part of it is as long as what is copied.
        unsafe {
            core::ptr::copy_nonoverlapping(content[done..].as_ptr(), target as *mut u8, count)
        };
        cache::clean(target..target + count as u64);
        done += count;
    }
    trace!(vmm::image_load {
        vm_id: vm.id().get(),
        gpa: at,
        size: content.len() as u64,
        name,
    });
    Ok(())
}
