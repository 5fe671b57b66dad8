//! Links the hypervisor by its own script and embeds the guest image.

use std::{env, fs, path::PathBuf};

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed=image.ld");
    println!("cargo::rerun-if-env-changed=AXEBPF_GUEST_IMAGE");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("none") {
        return;
    }
    let dir = env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR");
    println!("cargo::rustc-link-arg-bins=-T{dir}/image.ld");
    println!("cargo::rustc-link-arg-bins=-zmax-page-size=4096");

    let image = env::var("AXEBPF_GUEST_IMAGE").unwrap_or_else(|_| no_guest());
    println!("cargo::rerun-if-changed={image}");
    println!("cargo::rustc-env=AXEBPF_GUEST_IMAGE={image}");
}

/// Stands in for the guest image, so that the code can be checked without one.
fn no_guest() -> String {
    println!(
        "cargo::warning=AXEBPF_GUEST_IMAGE names no guest image; the testbed will refuse to create its VM"
    );
    let path = PathBuf::from(env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join("no-guest");
    fs::write(&path, []).expect("OUT_DIR is writable");
    path.display().to_string()
}
