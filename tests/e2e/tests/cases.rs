//! Runs each case of `cases/`, each on a machine of its own.

use std::{collections::BTreeSet, path::PathBuf};

use anyhow::{Context, Result};
use axebpf_e2e::{Options, Script, image_path};

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cases")
}

fn run(name: &str) -> Result<()> {
    let script = Script::read(&folder().join(format!("{name}.script")))?;
    script
        .run(&image_path()?, &Options::default())
        .with_context(|| format!("case {name}"))
}

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        $(
            #[test]
            fn $name() -> Result<()> {
                run(stringify!($name))
            }
        )*

        #[test]
        fn every_case_is_run() -> Result<()> {
            let run = BTreeSet::from([$(stringify!($name).to_owned()),*]);
            let mut there = BTreeSet::new();
            for entry in folder().read_dir()? {
                let name = entry?.file_name().to_string_lossy().into_owned();
                there.extend(name.strip_suffix(".script").map(str::to_owned));
            }
            assert_eq!(there, run);
            Ok(())
        }
    };
}

cases! {
    bad_input,
    boot,
    events,
    exit_count,
    exit_latency,
    hprobe,
    hprobe_awkward,
    hprobe_errors,
    map_edit,
    printk,
    stack_count,
    stress,
    symbols,
    trace_filter,
    trace_list,
    trace_stat,
    unload_attached,
    vm_lifecycle,
    vm_pause,
}
