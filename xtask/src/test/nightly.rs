//! What needs a nightly compiler: the maps against those of `kbpf-basic`, and a short run of each fuzz target.

use super::stage::Stage;
use crate::{
    fuzz::{self, Corpus, Fuzzer},
    workspace,
};

/// How long each fuzz target runs here, in seconds. `cargo xtask soak` takes its time.
const FUZZ_SECONDS: u64 = 5;

const DIFFERENCES: &str = "maps against those of kbpf-basic";
const FUZZING: &str = "fuzz targets, in short";

/// Runs it all where there is a nightly compiler, and says that it did not where there is none.
pub(super) fn run(stages: &mut Vec<Stage>) {
    let Some(toolchain) = fuzz::nightly() else {
        let reason = "there is no nightly compiler (`rustup toolchain install nightly`)";
        stages.extend([DIFFERENCES, FUZZING].map(|name| Stage::not_run(name, reason)));
        return;
    };
    let mut tests = fuzz::cargo_of(&toolchain);
    tests.args(["test", "--locked", "--manifest-path"]);
    tests.arg("tests/kbpf-diff/Cargo.toml");
    tests
        .arg("--target-dir")
        .arg(workspace::target().join("kbpf-diff"));
    tests.env("RUSTFLAGS", "--cfg axebpf_unstable");
    stages.push(Stage::run(DIFFERENCES, &mut tests));
    stages.push(Stage::call(FUZZING, || {
        let fuzzer = Fuzzer::new()?;
        fuzzer.build()?;
        for target in fuzzer.targets() {
            fuzzer.run(target, FUZZ_SECONDS, Corpus::Seeds)?;
        }
        Ok(())
    }));
}
