//! Programs at functions of a running guest's kernel.

use anyhow::{Context, Result};
use axebpf_e2e::{Machine, Pattern};

use crate::{guest::check_workload, in_guest, shell};

/// Types `command` and checks that one of the lines that it shows is like `expected`.
fn check(machine: &mut Machine, command: &str, expected: &str) -> Result<()> {
    let said = machine.command(command)?;
    let pattern = Pattern::new(expected);
    assert!(
        said.lines().any(|line| pattern.matches(line)),
        "`{command}` showed no line like `{expected}`:\n{said}"
    );
    Ok(())
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn programs_run_as_often_as_the_guest_calls() -> Result<()> {
    let mut machine = shell("cortex-a72", 2, 2)?;
    check(&mut machine, "vm syms 1", "*; its tasks are known")?;
    machine.command("prog load guest_func_latency")?;
    machine.command("prog load guest_syscalls --attach")?;
    let attach = "link attach guest_func_entry kprobe:vm1:__arm64_sys_kill";
    for (link, mode) in (2..).zip(["auto", "brk", "hvc", "stage2"]) {
        // That a page can change its mode says that the last detach left nothing in it.
        let attached = format!("link {link}: guest_func_entry at kprobe:vm1:__arm64_sys_kill");
        check(&mut machine, &format!("{attach} --mode {mode}"), &attached)?;
        check_workload(&mut machine).context(mode)?;
        let list = machine.command("link list")?;
        let flat = list.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(flat.contains("guest_func_entry 2000 0 0"), "{list}");
        assert!(flat.contains(" 2000 retired"), "{list}");
        let detached = "detached link *__arm64_sys_kill: 2000 runs, 0 missed, 0 errors";
        check(&mut machine, "link detach guest_func_entry", detached)?;
    }
    // 129 is kill, which the workload calls under its own name, in each of the four modes.
    check(
        &mut machine,
        "map dump syscalls --key u32,text16",
        "129,* 8000",
    )?;
    machine.command("link detach all")?;
    check_workload(&mut machine)?;
    machine.shut_down()
}

#[test]
#[ignore = "needs Debian's packages; `cargo xtask test` fetches them"]
fn what_a_guest_executes_is_told_with_its_own_words() -> Result<()> {
    let mut machine = shell("cortex-a72", 2, 2)?;
    machine.command("prog load guest_exec --attach")?;
    in_guest(&mut machine, "/bin/uname -r")?;
    let dump = "map dump execs --value u64,u32,u32,text16,text64";
    check(&mut machine, dump, "*,1,<n+>,sh,/bin/uname")?;
    let near = "link attach guest_exec kprobe:vm1:vfs_raed";
    check(&mut machine, near, "*did you mean `vfs_read`*")?;
    machine.command("link detach all")?;
    machine.shut_down()
}
