//! Leftovers of a crashed run: namespaces named after the process that made them, and programs inside. The next run
//! removes those whose process is gone.

use std::path::Path;

use anyhow::Context;
use rustix::process::{Pid, Signal, kill_process};

use super::site::run_ip;

/// Names of our namespaces begin with this.
const PREFIX: &str = "slnk";

/// The folder in which `ip` keeps namespaces.
pub(crate) fn folder() -> &'static Path {
    Path::new("/run/netns")
}

/// The name of this process's namespace for a site. An id of a process may be used again, together with its beginning it is not.
pub(crate) fn namespace(run: u64, site: &str) -> anyhow::Result<String> {
    let pid = std::process::id();
    let begun = begun(pid).context("read when this process began")?;
    Ok(format!("{PREFIX}-{pid}-{begun}-{run:016x}-{site}"))
}

/// Removes the namespaces of processes that are gone, and ends what runs inside.
pub(crate) fn sweep() -> anyhow::Result<()> {
    let entries = match std::fs::read_dir(folder()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).context("list the namespaces"),
    };
    for entry in entries {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if is_left(&name) {
            // Inside is only what that run has started, for nobody else knows the name.
            let pids = run_ip(&["netns", "pids", &name]).unwrap_or_default();
            for pid in pids
                .split_whitespace()
                .filter_map(|pid| pid.parse().ok())
                .filter_map(Pid::from_raw)
            {
                let _gone_already = kill_process(pid, Signal::KILL);
            }
            remove(&name);
        }
    }
    Ok(())
}

/// Removes a namespace; another run may have done so at the same time.
pub(crate) fn remove(name: &str) {
    let _gone_already = run_ip(&["netns", "delete", name]);
}

/// Whether this is a namespace of ours whose process is gone.
fn is_left(name: &str) -> bool {
    let mut parts = name.split('-');
    let ours = parts.next() == Some(PREFIX);
    let pid = parts.next().and_then(|pid| pid.parse().ok());
    let then = parts.next();
    let Some((pid, then)) = pid.zip(then) else {
        return false;
    };
    ours && begun(pid).is_none_or(|begun| begun != then)
}

/// The start time of a process, in ticks since the machine did (proc(5), field 22 of `stat`); `None` if there is none.
fn begun(pid: u32) -> Option<String> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is in parentheses and may contain anything.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_ours_whose_process_is_gone_are_left() {
        let mine = namespace(1, "edge").unwrap();
        assert!(!is_left(&mine), "{mine}");
        let begun = begun(std::process::id()).unwrap();
        assert!(
            is_left(&mine.replace(&begun, "1")),
            "another process with my id"
        );
        assert!(is_left("slnk-4294967295-1-0-edge"));
        for foreign in [
            "slnk",
            "slnk-edge",
            "slnk-1",
            "cni-1234",
            "other-4294967295-1-0-edge",
        ] {
            assert!(!is_left(foreign), "{foreign}");
        }
    }
}
