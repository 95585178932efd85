//! The processes of a browser, which come from one. Read from `/proc` (proc(5)).

use std::collections::BTreeMap;
use std::fs::{DirEntry, read_dir, read_to_string};
use std::path::Path;
use std::process::Child;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};

/// The parent in `/proc/PID/stat`, counted from the state, which comes after the name.
const PARENT: usize = 1;
/// The times that it ran, in user space and in the kernel, in ticks.
const RAN: [usize; 2] = [11, 12];
/// Ticks of a second (`USER_HZ`).
const TICKS: u64 = 100;

/// For each thread of a process and of those that come from it: the time that it wanted a processor, running or waiting
/// for one. So a loop shows on a busy machine as well. A kernel that does not count the second tells the first only.
pub(super) fn thread_times(root: u32) -> Result<BTreeMap<u32, Duration>> {
    let parents = parents()?;
    ensure!(parents.contains_key(&root), "the browser has ended");
    let mut times = BTreeMap::new();
    for process in family(root, &parents) {
        // It may have ended meanwhile, as may its threads.
        let Ok(threads) = read_dir(format!("/proc/{process}/task")) else {
            continue;
        };
        for thread in threads.flatten() {
            let time = wanted(&thread.path()).or_else(|| ran(&thread.path()));
            if let (Some(id), Some(time)) = (number(&thread), time) {
                times.insert(id, time);
            }
        }
    }
    Ok(times)
}

/// The time that a thread ran and that it waited (`schedstat`, in nanoseconds).
fn wanted(thread: &Path) -> Option<Duration> {
    let text = read_to_string(thread.join("schedstat")).ok()?;
    let mut numbers = text
        .split_whitespace()
        .map_while(|word| word.parse::<u64>().ok());
    Some(Duration::from_nanos(numbers.next()? + numbers.next()?))
}

/// The time that a thread ran.
fn ran(thread: &Path) -> Option<Duration> {
    let stat = read_to_string(thread.join("stat")).ok()?;
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_whitespace().collect();
    let ticks = RAN.iter().map(|at| fields.get(*at)?.parse::<u64>().ok());
    let ticks = ticks.sum::<Option<u64>>()?;
    Some(Duration::from_millis(ticks * 1000 / TICKS))
}

/// Ends a process in its own way: it removes what it made.
pub(super) fn terminate(child: &mut Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process(pid, Signal::TERM);
    }
    let _ = child.wait();
}

/// Ends a process and those that come from it.
pub(super) fn end(child: &mut Child) {
    let all = parents().map_or_else(|_| vec![child.id()], |parents| family(child.id(), &parents));
    for id in all {
        if let Some(pid) = i32::try_from(id).ok().and_then(Pid::from_raw) {
            // It may have ended already.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
    let _ = child.wait();
}

/// A process with those that come from it.
fn family(root: u32, parents: &BTreeMap<u32, u32>) -> Vec<u32> {
    let mut found = vec![root];
    let mut next = 0;
    while let Some(wanted) = found.get(next).copied() {
        let children = parents.iter().filter(|(_, parent)| **parent == wanted);
        found.extend(children.map(|(id, _)| *id));
        next += 1;
    }
    found
}

/// The parents of all processes.
fn parents() -> Result<BTreeMap<u32, u32>> {
    let entries = read_dir("/proc").context("failed to list processes")?;
    let ids = entries.flatten().filter_map(|entry| number(&entry));
    Ok(ids.filter_map(|id| Some((id, parent(id)?))).collect())
}

fn number(entry: &DirEntry) -> Option<u32> {
    entry.file_name().to_str()?.parse().ok()
}

/// `None` if the process has ended.
fn parent(id: u32) -> Option<u32> {
    let stat = read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The name may contain anything, parentheses as well.
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(PARENT)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_family_is_found_and_ended() {
        // The shell says that its child is there.
        let script = "sleep 1000 & echo; wait";
        let mut shell = Command::new("sh")
            .args(["-c", script])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0];
        std::io::Read::read_exact(shell.stdout.as_mut().unwrap(), &mut line).unwrap();
        let ids = family(shell.id(), &parents().unwrap());
        assert_eq!(ids.len(), 2);
        let times = thread_times(shell.id()).unwrap();
        assert!(ids.iter().all(|id| times.contains_key(id)), "{times:?}");
        let path = format!("/proc/{0}/task/{0}", shell.id());
        assert!(ran(Path::new(&path)).is_some(), "without schedstat");
        end(&mut shell);
        assert!(thread_times(ids[0]).is_err());
        let mut rest = Vec::new();
        // The pipe closes with the last of them.
        std::io::Read::read_to_end(shell.stdout.as_mut().unwrap(), &mut rest).unwrap();
        assert_eq!(rest, b"");
    }
}
