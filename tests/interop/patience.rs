//! A scenario may take its time, and not for ever.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};

/// Does something in a thread of its own. One that does not end in time goes on; the error says
/// what it waits for.
pub(crate) fn within(
    limit: Duration,
    name: &str,
    work: impl FnOnce() -> anyhow::Result<()> + Send + 'static,
) -> anyhow::Result<()> {
    let (done, outcome) = channel();
    let work = move || {
        // Who does not wait any more does not need it.
        let _ = done.send(work());
    };
    let thread = thread::Builder::new().name(name.to_owned());
    thread.spawn(work).context("start the scenario")?;
    match outcome.recv_timeout(limit) {
        Ok(outcome) => outcome,
        Err(RecvTimeoutError::Disconnected) => bail!("it panicked"),
        Err(RecvTimeoutError::Timeout) => {
            Err(anyhow!("not over after {limit:?}\n{}", what_goes_on()))
        }
    }
}

/// Kills what scenarios have left running.
pub(crate) fn end_children() {
    for child in children() {
        if let Some(pid) = Pid::from_raw(child) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

fn children() -> Vec<i32> {
    let mut found = Vec::new();
    for thread in entries(Path::new("/proc/self/task")) {
        let children = read(&thread.join("children"));
        found.extend(
            children
                .split_whitespace()
                .filter_map(|pid| pid.parse::<i32>().ok()),
        );
    }
    found
}

/// This process's threads with what they wait for, and its children with their arguments.
fn what_goes_on() -> String {
    let mut text = String::new();
    for thread in entries(Path::new("/proc/self/task")) {
        let [name, place, call] = ["comm", "wchan", "syscall"].map(|file| read(&thread.join(file)));
        let _ = writeln!(text, "        thread {name}: {place}, {call}");
    }
    for child in children() {
        let arguments = read(Path::new(&format!("/proc/{child}/cmdline"))).replace('\0', " ");
        let place = read(Path::new(&format!("/proc/{child}/wchan")));
        let _ = writeln!(text, "        process {child}: {place}: {arguments:.300}");
    }
    text
}

fn entries(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).collect()
}

/// What can be read of something that may end at any moment.
fn read(file: &Path) -> String {
    let text = fs::read(file).unwrap_or_default();
    String::from_utf8_lossy(&text).trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_end_fails_and_says_what_goes_on() {
        let (end, ended) = channel::<()>();
        let endless = within(Duration::from_millis(20), "endless", move || {
            Ok(ended.recv()?)
        });
        let error = endless.expect_err("it is not over").to_string();
        assert!(error.contains("not over after 20ms"), "{error}");
        assert!(error.contains("thread endless: "), "{error}");
        drop(end);
    }

    #[test]
    fn what_ends_is_told_as_it_is() {
        let minute = Duration::from_secs(60);
        assert!(within(minute, "good", || Ok(())).is_ok());
        let bad = within(minute, "bad", || bail!("it is bad")).expect_err("it is bad");
        assert_eq!(bad.to_string(), "it is bad");
        let panic = within(minute, "panic", || panic!("on purpose"));
        assert_eq!(panic.expect_err("it panicked").to_string(), "it panicked");
    }
}
