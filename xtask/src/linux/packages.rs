//! Debian's kernel and busybox for arm64, fetched through apt without touching the machine's own packages.

use std::{
    error::Error,
    fmt, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, Result, bail, ensure};

use super::module;
use crate::process::{find_program, output, run, say};

/// The package that depends on the current kernel.
const KERNEL: &str = "linux-image-arm64";
/// Its dependencies' names begin so.
const KERNEL_PREFIX: &str = "linux-image-";
const BUSYBOX: &str = "busybox-static";

/// What was fetched.
pub(crate) struct Debian {
    /// The kernel's image.
    pub(super) kernel: PathBuf,
    /// A program with a shell in it, statically linked.
    pub(super) busybox: Option<PathBuf>,
}

/// Why Debian's packages cannot be had, where nothing is wrong with them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unavailable {
    /// It is a machine without apt.
    Apt,
    /// apt does not get them: there is no network, say.
    Archives,
}

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Apt => "this machine has no apt-get to fetch Debian's packages with",
            Self::Archives => {
                "apt gets no packages of Debian's for arm64: it has no network, or no such sources"
            }
        })
    }
}

impl Error for Unavailable {}

/// Fetches what is not in `folder` yet.
pub(super) fn fetch(folder: &Path) -> Result<Debian> {
    let kernel = folder.join("Image");
    let busybox = folder.join("busybox");
    if !kernel.is_file() || !busybox.is_file() || !module::facts_path(folder).is_file() {
        check_tools()?;
        let apt = Apt::new(folder)?;
        apt.update().context(Unavailable::Archives)?;
        let image = apt.kernel_package().context(Unavailable::Archives)?;
        let unpacked = apt.unpack(&image)?;
        let found = find(&unpacked.join("boot"), "vmlinuz-")?;
        ensure!(
            is_image(&fs::read(&found)?),
            "{} of {image} is no uncompressed arm64 image",
            found.display()
        );
        fs::copy(&found, &kernel)?;
        module::write_facts(&unpacked.join("lib/modules"), folder)?;
        let unpacked = apt.unpack(BUSYBOX)?;
        let found = ["bin/busybox", "usr/bin/busybox"].map(|name| unpacked.join(name));
        let found = found.iter().find(|file| file.is_file());
        fs::copy(found.context("busybox-static has no busybox")?, &busybox)?;
        fs::write(folder.join("kernel-package"), format!("{image}\n"))?;
        fs::remove_dir_all(&apt.folder)?;
        say(format_args!("the guest's kernel is {image}"));
    }
    Ok(Debian {
        kernel,
        busybox: Some(busybox),
    })
}

/// Checks that packages can be fetched and unpacked on this machine.
fn check_tools() -> Result<()> {
    if find_program("apt-get").is_none() {
        bail!(Unavailable::Apt);
    }
    for program in ["apt-cache", "dpkg-deb"] {
        ensure!(
            find_program(program).is_some(),
            "missing: {program}, which belongs to apt-get, to unpack Debian's packages"
        );
    }
    Ok(())
}

/// Tells whether a file begins as an arm64 kernel's image does (Linux: Documentation/arm64/booting.rst).
fn is_image(bytes: &[u8]) -> bool {
    bytes.get(56..60) == Some(b"ARM\x64")
}

/// An apt with lists and packages of its own, for arm64.
struct Apt {
    folder: PathBuf,
    options: Vec<String>,
}

impl Apt {
    fn new(folder: &Path) -> Result<Self> {
        let folder = std::path::absolute(folder)?.join("apt");
        let (lists, cache) = (folder.join("lists"), folder.join("cache"));
        for dir in [lists.join("partial"), cache.join("archives/partial")] {
            fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
        }
        let settings = [
            "APT::Architecture=arm64".to_owned(),
            "APT::Architectures=arm64".to_owned(),
            "APT::Sandbox::User=".to_owned(),
            format!("Dir::State::lists={}", lists.display()),
            format!("Dir::Cache={}", cache.display()),
            "Dir::State::status=/dev/null".to_owned(),
        ];
        let options = settings
            .into_iter()
            .flat_map(|setting| ["-o".to_owned(), setting])
            .collect();
        Ok(Self { folder, options })
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder).args(&self.options);
        command
    }

    fn update(&self) -> Result<()> {
        say("reading which packages Debian has for arm64");
        run(self.command("apt-get").args(["update", "-qq"]))
    }

    /// Returns the name of the package with the current kernel.
    fn kernel_package(&self) -> Result<String> {
        let listing = output(self.command("apt-cache").args(["depends", KERNEL]))?;
        let names = listing
            .lines()
            .filter_map(|line| line.trim().strip_prefix("Depends: "));
        let Some(name) = names
            .map(str::trim)
            .find(|name| name.starts_with(KERNEL_PREFIX))
        else {
            bail!("{KERNEL} does not depend on a kernel:\n{listing}");
        };
        Ok(name.to_owned())
    }

    /// Downloads `package` and returns the folder with what is in it.
    fn unpack(&self, package: &str) -> Result<PathBuf> {
        say(format_args!("fetching {package}"));
        run(self.command("apt-get").args(["download", "-qq", package]))
            .context(Unavailable::Archives)?;
        let archive = find(&self.folder, &format!("{package}_"))?;
        let into = self.folder.join(package);
        run(Command::new("dpkg-deb").arg("-x").arg(&archive).arg(&into))?;
        fs::remove_file(&archive)?;
        Ok(into)
    }
}

/// Returns the file in `folder` whose name begins with `prefix`.
fn find(folder: &Path, prefix: &str) -> Result<PathBuf> {
    let entries =
        fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
    for entry in entries {
        let path = entry?.path();
        let named = path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with(prefix));
        if named {
            return Ok(path);
        }
    }
    bail!("{} has no {prefix}*", folder.display())
}

#[cfg(test)]
mod tests {
    use super::{Apt, Unavailable};

    #[test]
    fn what_apt_does_not_get_is_told_from_what_is_wrong() {
        let folder = tempfile::tempdir().unwrap();
        let apt = Apt::new(folder.path()).unwrap();
        // It knows of no packages at all.
        let error = apt.unpack("busybox-static").unwrap_err();
        assert_eq!(error.downcast_ref(), Some(&Unavailable::Archives));
        assert!(apt.kernel_package().is_err());
    }
}
