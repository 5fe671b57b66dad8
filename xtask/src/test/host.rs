//! The tests that need no hypervisor.

use std::process::Command;

use super::{cargo, nightly, stage::Stage};
use crate::{
    features::{ADAPTERS, FACADE, HOST},
    workspace,
};

/// The packages whose protocols loom explores, and the option that selects the tests that do.
const LOOM: [[&str; 2]; 3] = [
    ["axebpf-hit", "--test=loom"],
    ["axebpf-hprobe", "--test=loom"],
    ["axebpf-maps", "--lib"],
];

/// Runs them all.
pub(super) fn run(stages: &mut Vec<Stage>) {
    stages.extend(workspace_tests());
    stages.extend(FACADE.map(facade));
    stages.extend(LOOM.map(loom));
    nightly::run(stages);
}

/// Runs the tests of the packages, with the features that a host has.
fn workspace_tests() -> [Stage; 3] {
    let mut tests = cargo("nextest");
    tests.args(["run", "--no-fail-fast", "--features", HOST]);
    let mut docs = cargo("test");
    docs.args(["--doc", "--no-fail-fast", "--features", HOST]);
    let mut adapters = cargo("nextest");
    adapters.args(["run", "-p", "axebpf-tp", "-p", "axebpf-ktracepoint-host"]);
    adapters.args(["--no-fail-fast", "--features", ADAPTERS]);
    let run = |name, mut command: Command| Stage::run(name, &mut command);
    [
        run("host tests", tests),
        run("examples in the docs", docs),
        run("adapters to other tracepoint crates", adapters),
    ]
}

/// Runs the tests of the facade with some of its features.
fn facade(features: &str) -> Stage {
    let mut tests = cargo("test");
    tests.args(["-p", "axebpf", "--no-default-features"]);
    tests.args(["--features", features]);
    let features = match features {
        "" => "no features",
        features => features,
    };
    Stage::run(format!("axebpf with {features}"), &mut tests)
}

/// Explores the protocols of a package.
fn loom([package, selection]: [&str; 2]) -> Stage {
    let mut tests = cargo("test");
    tests.args(["-p", package, "--release", selection]);
    tests.arg("--target-dir");
    tests.arg(workspace::target().join("loom"));
    tests.env("RUSTFLAGS", "--cfg loom");
    Stage::run(format!("{package} under loom"), &mut tests)
}
