//! Files that the user names: whether they are what a guest can start from.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};

/// What a guest starts from, as far as the user names it.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Given {
    /// Start this kernel, an uncompressed arm64 image, instead of Debian's, and fetch nothing.
    #[arg(long, value_name = "FILE")]
    pub(super) kernel: Option<PathBuf>,
    /// Take this first file system instead of the workload's.
    #[arg(long, value_name = "FILE")]
    pub(super) initrd: Option<PathBuf>,
}

impl Given {
    /// Tells whether nothing is named.
    pub(crate) fn is_empty(&self) -> bool {
        self.kernel.is_none() && self.initrd.is_none()
    }

    /// Checks what is named.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or a guest cannot be started from it; the error says what is wrong with it.
    pub(super) fn check(&self) -> Result<()> {
        if let Some(kernel) = &self.kernel {
            check_kernel(kernel)?;
        }
        if let Some(initrd) = &self.initrd {
            check_initrd(initrd)?;
        }
        Ok(())
    }
}

/// How an arm64 kernel's image says what it is, and where (Linux: Documentation/arm64/booting.rst).
const KERNEL_MAGIC: (usize, &[u8]) = (56, b"ARM\x64");

/// What else a kernel can come as, and what to do about it.
const OTHER_KERNELS: [(usize, &[u8], &str); 8] = [
    (
        0,
        &[0x1f, 0x8b],
        "compressed with gzip; `zcat` makes an image of it",
    ),
    (
        0,
        &[0x28, 0xb5, 0x2f, 0xfd],
        "compressed with zstd; `zstdcat` makes an image of it",
    ),
    (
        0,
        b"\xfd7zXZ",
        "compressed with xz; `xzcat` makes an image of it",
    ),
    (
        4,
        b"zimg",
        "a compressed EFI image; the kernel's own `Image` is what can be started",
    ),
    (
        0,
        b"\x7fELF",
        "an ELF file; `llvm-objcopy -O binary` makes an image of a vmlinux",
    ),
    (0x202, b"HdrS", "a kernel for x86"),
    (36, &[0x18, 0x28, 0x6f, 0x01], "a kernel for 32-bit Arm"),
    (56, b"RSC\x05", "a kernel for RISC-V"),
];

/// How archives and what the kernel unpacks begin (Linux: lib/decompress.c).
const ARCHIVES: [&[u8]; 9] = [
    CPIO,
    b"070702",
    &[0x1f, 0x8b],
    &[0x28, 0xb5, 0x2f, 0xfd],
    b"\xfd7zXZ",
    &[0x02, 0x21, 0x4c, 0x18],
    &[0x5d, 0x00, 0x00],
    b"BZh",
    &[0x89, 0x4c, 0x5a, 0x4f],
];
const CPIO: &[u8] = b"070701";

/// Checks that a guest can be started from the image `path`.
fn check_kernel(path: &Path) -> Result<()> {
    let image = read(path)?;
    kernel(&image).with_context(|| format!("{} cannot be started", path.display()))
}

/// Checks that a kernel can unpack the file system `path`.
fn check_initrd(path: &Path) -> Result<()> {
    let archive = read(path)?;
    initrd(&archive).with_context(|| format!("{} is no first file system", path.display()))
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

fn kernel(image: &[u8]) -> Result<()> {
    ensure!(!image.is_empty(), "it is empty");
    let has = |at: usize, magic: &[u8]| image.get(at..at + magic.len()) == Some(magic);
    if !has(KERNEL_MAGIC.0, KERNEL_MAGIC.1) {
        for (at, magic, what) in OTHER_KERNELS {
            ensure!(!has(at, magic), "it is {what}");
        }
        bail!("it is no arm64 image: \"ARM\\x64\" is not at byte 56");
    }
    // The header's flags: bit 0 is the order of bytes.
    ensure!(
        word(image, 24).is_some_and(|flags| flags & 1 == 0),
        "it is a kernel for big-endian CPUs"
    );
    let needed = file_len(image).unwrap_or(64);
    ensure!(
        image.len() as u64 >= needed,
        "it is cut off: {} bytes of {needed}",
        image.len()
    );
    Ok(())
}

/// Returns how long the image is, if it says so: as the PE file that it also is, for EFI (PE Format, "Section Table").
fn file_len(image: &[u8]) -> Option<u64> {
    let start = word(image, 0x3c)? as usize;
    (image.get(start..start.checked_add(4)?)? == b"PE\0\0").then_some(())?;
    let sections = half(image, start + 6)? as usize;
    let table = start + 24 + half(image, start + 20)? as usize;
    (0..sections)
        .map(|index| {
            let section = table + index * 40;
            let end = |len: u32, at: u32| u64::from(len) + u64::from(at);
            // Without the table itself, the file is cut off there.
            match (word(image, section + 16), word(image, section + 20)) {
                (Some(len), Some(at)) => end(len, at),
                _ => (section + 40) as u64,
            }
        })
        .max()
}

fn initrd(archive: &[u8]) -> Result<()> {
    ensure!(!archive.is_empty(), "it is empty");
    ensure!(
        ARCHIVES.iter().any(|magic| archive.starts_with(magic)),
        "it is neither a cpio archive (`cpio -o -H newc`) nor one that is compressed"
    );
    let is_ended = || archive.windows(10).any(|name| name == b"TRAILER!!!");
    ensure!(
        !archive.starts_with(CPIO) || is_ended(),
        "the archive has no end: it is cut off"
    );
    Ok(())
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let bytes = bytes.get(at..at.checked_add(4)?)?;
    Some(u32::from_le_bytes(bytes.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..at.checked_add(2)?)?;
    Some(u16::from_le_bytes(bytes.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::{Given, initrd, kernel};

    /// An image with one section that ends at byte 4096.
    fn image() -> Vec<u8> {
        let mut image = vec![0; 4096];
        image[56..60].copy_from_slice(b"ARM\x64");
        image[0x3c] = 0x40;
        image[0x40..0x44].copy_from_slice(b"PE\0\0");
        image[0x46] = 1;
        let section = 0x40 + 24;
        image[section + 16..section + 20].copy_from_slice(&3072_u32.to_le_bytes());
        image[section + 20..section + 24].copy_from_slice(&1024_u32.to_le_bytes());
        image
    }

    #[track_caller]
    fn check(result: anyhow::Result<()>, expected: &str) {
        match result {
            Ok(()) => assert_eq!(expected, ""),
            Err(error) => assert!(
                !expected.is_empty() && format!("{error:#}").contains(expected),
                "{error:#}"
            ),
        }
    }

    #[test]
    fn files_are_looked_at_before_anything_is_built() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let [kernel, script, gone] =
            ["Image", "init.sh", "gone"].map(|name| folder.path().join(name));
        fs::write(&kernel, image())?;
        fs::write(&script, "#!/bin/sh\n")?;
        let given = |kernel, initrd| Given { kernel, initrd };
        check(given(None, None).check(), "");
        check(given(Some(kernel.clone()), None).check(), "");
        check(given(Some(gone.clone()), None).check(), "cannot read");
        check(
            given(Some(folder.path().into()), None).check(),
            "cannot read",
        );
        check(
            given(Some(script.clone()), None).check(),
            "init.sh cannot be started: it is no arm64 image",
        );
        check(given(Some(kernel.clone()), Some(gone)).check(), "gone");
        check(
            given(Some(kernel), Some(script)).check(),
            "init.sh is no first file system",
        );
        Ok(())
    }

    #[test]
    fn whole_kernels_are_taken() {
        check(kernel(&image()), "");
        check(kernel(&image()[..4095]), "cut off: 4095 bytes of 4096");
        check(kernel(&image()[..100]), "cut off: 100 bytes of 128");
        check(kernel(&image()[..59]), "no arm64 image");
        check(kernel(&[]), "empty");
        let mut big_endian = image();
        big_endian[24] = 1;
        check(kernel(&big_endian), "big-endian");
    }

    #[test]
    fn what_else_a_kernel_comes_as_is_named() {
        check(kernel(b"\x1f\x8b\x08"), "gzip");
        check(kernel(b"MZ\0\0zimg"), "compressed EFI image");
        check(kernel(b"\x7fELF\x02"), "ELF");
        let mut x86 = vec![0; 1024];
        x86[0x202..0x206].copy_from_slice(b"HdrS");
        check(kernel(&x86), "x86");
    }

    #[test]
    fn archives_have_a_beginning_and_an_end() {
        check(initrd(b"070701...TRAILER!!!\0"), "");
        check(initrd(b"070701...TRAIL"), "cut off");
        check(initrd(b"\x1f\x8b\x08"), "");
        check(initrd(b"#!/bin/sh"), "neither");
        check(initrd(b""), "empty");
    }
}
