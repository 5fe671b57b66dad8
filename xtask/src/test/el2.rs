//! The tests of the hypervisor under QEMU.

use std::{path::Path, process::Command};

use super::{cargo, stage::Stage};
use crate::{
    build_image,
    linux::{self, Files, Unavailable},
};

const HYPERVISOR: &str = "hypervisor at EL2 under QEMU";
const LINUX: &str = "Linux as a guest, and probes on it";
const KERNEL: &str = "symbols and types in Linux's image";

/// Runs them all, with an image that is built first.
pub(super) fn run(stages: &mut Vec<Stage>) {
    match build_image::build() {
        Ok(image) => {
            stages.push(Stage::run(HYPERVISOR, &mut on_target(&image)));
            linux(stages, &image);
        }
        Err(error) => {
            stages.push(Stage::call("the hypervisor's image", || Err(error)));
            let reason = "there is no image of the hypervisor";
            stages.extend([HYPERVISOR, LINUX, KERNEL].map(|name| Stage::not_run(name, reason)));
        }
    }
}

/// Runs the tests with a Linux guest. Only where Debian's packages cannot be had, these are not run.
fn linux(stages: &mut Vec<Stage>, image: &Path) {
    match linux::prepare() {
        Ok(files) => stages.extend([in_image(&files), as_guest(image, &files)]),
        Err(error) => {
            let reason = match error.downcast_ref::<Unavailable>() {
                Some(unavailable) => {
                    println!("    {error:#}");
                    unavailable.to_string()
                }
                None => {
                    stages.push(Stage::call("what Linux starts from", || Err(error)));
                    "there is nothing to start it from".into()
                }
            };
            stages.extend([KERNEL, LINUX].map(|name| Stage::not_run(name, &reason)));
        }
    }
}

/// Runs the tests that look for symbols and types in a kernel's image.
fn in_image(files: &Files) -> Stage {
    let mut tests = cargo("nextest");
    tests.args(["run", "-p", "axebpf-guestprobe", "--test", "kernel_scan"]);
    tests.args(["--run-ignored", "only"]);
    tests.env("AXEBPF_KERNEL_IMAGE", &files.kernel);
    Stage::run(KERNEL, &mut tests)
}

/// Runs the tests that boot Linux.
fn as_guest(image: &Path, files: &Files) -> Stage {
    let mut tests = on_target(image);
    tests.args(["--test", "linux", "--run-ignored", "only"]);
    tests.env("AXEBPF_LINUX", files.folder());
    Stage::run(LINUX, &mut tests)
}

/// Returns the command that runs the tests under QEMU.
fn on_target(image: &Path) -> Command {
    let mut tests = cargo("nextest");
    tests
        .args(["run", "-p", "axebpf-e2e", "--no-fail-fast"])
        .env("AXEBPF_IMAGE", image);
    // What failed stands in the machine's transcript, not in a backtrace of the test.
    tests.env("RUST_BACKTRACE", "0");
    tests
}
