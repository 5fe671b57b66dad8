//! The guest's first file system: the workload as its init, and busybox for a shell.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result};

use crate::{
    process::{run, say},
    tools::Tool,
    workspace,
};

const SOURCES: [&str; 5] = ["init.c", "workload.c", "debug.c", "breakpoint.c", "text.c"];

/// The names under which busybox is there.
const APPLETS: [&str; 29] = [
    "sh",
    "ls",
    "cat",
    "echo",
    "ps",
    "mount",
    "umount",
    "mkdir",
    "rm",
    "dd",
    "sha256sum",
    "nproc",
    "uname",
    "sleep",
    "kill",
    "grep",
    "wc",
    "dmesg",
    "poweroff",
    "reboot",
    "true",
    "seq",
    "top",
    "vi",
    "insmod",
    "rmmod",
    "head",
    "tail",
    "sort",
];

// File types (Linux: Documentation/driver-api/early-userspace/buffer-format.rst).
const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const FILE: u32 = 0o100_644;
const LINK: u32 = 0o120_777;
const CHARACTER_DEVICE: u32 = 0o020_600;

/// Compiles the workload and writes the archive with it to `path`: with a shell if there is a `busybox`, and with
/// `module`, which fits one kernel alone.
pub(super) fn make(path: &Path, busybox: Option<&Path>, module: Option<&Path>) -> Result<PathBuf> {
    say("building the guest's workload");
    let init = path.with_file_name("init");
    compile(&init)?;
    let mut archive = Archive::default();
    for name in ["bin", "dev", "proc", "sys", "tmp"] {
        archive.add(name, FOLDER, &[]);
    }
    archive.device("dev/console", 5, 1);
    archive.add("init", PROGRAM, &fs::read(&init)?);
    if let Some(module) = module {
        archive.add("axebpf_guest.ko", FILE, &fs::read(module)?);
    }
    if let Some(busybox) = busybox {
        archive.add("bin/busybox", PROGRAM, &fs::read(busybox)?);
        for name in APPLETS {
            archive.add(&format!("bin/{name}"), LINK, b"busybox");
        }
    }
    fs::write(path, archive.finish())
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path.to_path_buf())
}

fn compile(init: &Path) -> Result<()> {
    let sources = workspace::root().join("tests/linux");
    let mut clang = Command::new(Tool::Clang.path()?);
    clang.args([
        "--target=aarch64-linux-gnu",
        "-O2",
        "-Wall",
        "-Wextra",
        "-Werror",
    ]);
    clang.args([
        "-ffreestanding",
        "-fno-stack-protector",
        "-fno-pic",
        "-nostdlib",
        "-static",
    ]);
    clang.arg(format!("--ld-path={}", Tool::Lld.path()?.display()));
    clang.arg("-o").arg(init);
    clang.args(SOURCES.map(|name| sources.join(name)));
    run(&mut clang)
}

/// An archive in cpio's `newc` format.
#[derive(Default)]
struct Archive {
    bytes: Vec<u8>,
    entries: u32,
}

impl Archive {
    fn add(&mut self, name: &str, mode: u32, content: &[u8]) {
        self.entry(name, mode, content, [0, 0]);
    }

    fn device(&mut self, name: &str, major: u32, minor: u32) {
        self.entry(name, CHARACTER_DEVICE, &[], [major, minor]);
    }

    fn entry(&mut self, name: &str, mode: u32, content: &[u8], device: [u32; 2]) {
        self.entries += 1;
        let [major, minor] = device;
        // Number, mode, user, group, links, time, size, device of the file, device that it is, length of the name,
        // checksum.
        let fields = [
            self.entries,
            mode,
            0,
            0,
            1,
            0,
            content.len() as u32,
            0,
            0,
            major,
            minor,
            name.len() as u32 + 1,
            0,
        ];
        self.bytes.extend(b"070701");
        for field in fields {
            self.bytes.extend(format!("{field:08x}").bytes());
        }
        self.bytes.extend(name.bytes());
        self.bytes.push(0);
        self.align();
        self.bytes.extend(content);
        self.align();
    }

    fn align(&mut self) {
        let len = self.bytes.len().next_multiple_of(4);
        self.bytes.resize(len, 0);
    }

    fn finish(mut self) -> Vec<u8> {
        self.add("TRAILER!!!", 0, &[]);
        self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::{Archive, PROGRAM};

    #[test]
    fn entries_are_aligned_and_ended() {
        let mut archive = Archive::default();
        archive.add("init", PROGRAM, b"12345");
        let bytes = archive.finish();
        assert!(bytes.starts_with(b"070701"));
        assert_eq!(bytes.len() % 4, 0);
        // 110 bytes of header and 5 of name make 115, so the content begins at 116 and the next entry at 124.
        assert_eq!(&bytes[116..121], b"12345");
        assert_eq!(&bytes[124..130], b"070701");
        assert_eq!(&bytes[124 + 110..124 + 120], b"TRAILER!!!");
    }
}
