//! A Linux kernel that QEMU loads beside the testbed's image.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, ensure};

/// Where the testbed looks for the description: the end of its own memory.
const DESCRIPTION: u64 = 0x6000_0000;
/// Where the kernel goes.
const KERNEL: u64 = DESCRIPTION + (2 << 20);
/// Where the machine's memory ends.
const END: u64 = 0x8000_0000;

/// How the guest is to be made.
#[derive(Clone, Debug)]
pub struct Linux {
    /// The kernel, as an uncompressed image.
    pub kernel: PathBuf,
    /// The first file system.
    pub initrd: PathBuf,
    /// The number of vCPUs.
    pub vcpus: u32,
    /// The guest's memory, in MiB.
    pub memory: u64,
    /// The kernel's command line.
    pub arguments: String,
    /// From what the kernel takes where it runs: another number each time it starts, unless this says which. With 0 it
    /// runs where it was linked, as with `nokaslr` on its command line, unless the processor gives it random numbers.
    pub seed: Option<u64>,
    /// When it starts.
    pub start: Start,
}

/// When the guest starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// With the hypervisor.
    AtBoot,
    /// With `vm boot`.
    ByCommand,
}

/// What QEMU loads.
#[derive(Clone, Debug)]
pub struct Payload {
    parts: Vec<(PathBuf, u64)>,
}

impl Linux {
    /// Writes the description of the guest to `folder`, and returns what is to be loaded.
    ///
    /// # Errors
    ///
    /// When a file is missing, or all of them do not fit.
    pub fn payload(&self, folder: &Path) -> Result<Payload> {
        const ALIGNMENT: u64 = 2 << 20;
        let kernel_len = len(&self.kernel)?;
        let initrd_len = len(&self.initrd)?;
        let initrd = (KERNEL + kernel_len).next_multiple_of(ALIGNMENT);
        ensure!(
            initrd + initrd_len <= END,
            "{} and {} do not fit into {} MiB",
            self.kernel.display(),
            self.initrd.display(),
            (END - KERNEL) >> 20
        );
        let start = match self.start {
            Start::AtBoot => "boot",
            Start::ByCommand => "command",
        };
        let seed = self
            .seed
            .map_or(String::new(), |seed| format!("kaslr-seed = {seed:#x}\n"));
        let text = format!(
            "name = linux\nvcpus = {}\nmemory = 0x40000000 {}M\nkernel = {KERNEL:#x} {kernel_len}\n\
             initrd = {initrd:#x} {initrd_len}\nbootargs = {}\nstart = {start}\n{seed}\0",
            self.vcpus, self.memory, self.arguments,
        );
        fs::create_dir_all(folder)?;
        let description = folder.join(format!("guest-{}.cfg", std::process::id()));
        fs::write(&description, text)
            .with_context(|| format!("cannot write {}", description.display()))?;
        Ok(Payload {
            parts: vec![
                (description, DESCRIPTION),
                (self.kernel.clone(), KERNEL),
                (self.initrd.clone(), initrd),
            ],
        })
    }
}

impl Payload {
    /// Adds what loads it to QEMU's command line.
    pub(crate) fn load_by(&self, qemu: &mut Command) {
        for (file, at) in &self.parts {
            let device = format!("loader,file={},addr={at:#x},force-raw=on", file.display());
            qemu.args(["-device", &device]);
        }
    }
}

fn len(file: &Path) -> Result<u64> {
    let data = fs::metadata(file).with_context(|| format!("there is no {}", file.display()))?;
    Ok(data.len())
}
