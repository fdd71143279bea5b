//! Session storms: a leader dies, and its sessions, or all, come back to the others.
//!
//! CI runs a bounded one on ours. With `--sessions` the same storms go over Apache's members and
//! ours in turn, each time over a new ensemble, and a table compares them.

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use ferrokeeper::tools::storm::Report;
use rustix::process::{Resource, getrlimit};
use tests::ensemble::{Ensemble, Make, Programs};

use crate::{Setting, foreign};

const LIMIT: Duration = Duration::from_secs(60);
/// For a whole storm: its own limit is two minutes for each of its steps.
const WHOLE: Duration = Duration::from_secs(900);
/// Sessions of a storm in CI.
const SESSIONS: u32 = 2000;
/// Open files of a member that are no sessions, and room for those that happen to have more
/// sessions than others.
const OTHER_FILES: u64 = 1000;
/// As Apache's own examples have it.
const SETTINGS: &str = "tickTime=2000\ninitLimit=10\nsyncLimit=5";

/// What happens to the connections of members that live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    /// Their members decide.
    Kept,
    /// They are cut too.
    Cut,
}

/// How a storm was, and what it took.
struct Weather {
    report: Report,
    /// Bytes of the greatest member when it serves, before the first session.
    before: u64,
    /// The most that a member that lived has had.
    peak: u64,
    /// The most that the killed leader had.
    leader: u64,
}

/// Storms in which no session may be lost; beside Apache, ours must be over first.
pub(crate) fn storms(setting: &Setting) -> anyhow::Result<()> {
    let Some(sessions) = setting.sessions else {
        let weather = storm(
            &setting.programs,
            &setting.folder,
            Make::Ferrokeeper,
            Others::Cut,
            SESSIONS,
        )?;
        print!("{}", weather.report);
        ensure!(weather.report.is_whole(), "something was lost");
        return Ok(());
    };
    let programs = Programs {
        ferrokeeper: foreign::released()?,
        ..setting.programs.clone()
    };
    println!(
        "| storm | server | kept | came back | tries | half, 99 %, last back | first, slowest write | lost sessions, ephemerals, watches | memory before, at most |"
    );
    println!("| --- | --- | --- | --- | --- | --- | --- | --- | --- |");
    for others in [Others::Kept, Others::Cut] {
        let run = |make| {
            let folder = setting.folder.join(format!("{make:?}-{others:?}"));
            let weather = storm(&programs, &folder, make, others, sessions)?;
            println!("{}", line(make, others, &weather));
            anyhow::Ok(weather)
        };
        let (theirs, ours) = (run(Make::Apache)?, run(Make::Ferrokeeper)?);
        ensure!(ours.report.is_whole(), "something was lost");
        ensure!(
            ours.report.last_ms < theirs.report.last_ms,
            "the last session is back after {} ms, with Apache after {} ms",
            ours.report.last_ms,
            theirs.report.last_ms
        );
    }
    Ok(())
}

fn line(make: Make, others: Others, weather: &Weather) -> String {
    let report = &weather.report;
    let seconds = |milliseconds: u64| format!("{:.2}", milliseconds as f64 / 1000.0);
    let megabytes = |bytes: u64| bytes / 1_000_000;
    format!(
        "| leader killed{} | {} | {} | {} | {} | {}, {}, {} s | {}, {} s | {}, {}, {} | {}, {} MB |",
        if others == Others::Cut {
            ", all cut"
        } else {
            ""
        },
        if make == Make::Apache {
            "Apache 3.9.5"
        } else {
            "ferrokeeper"
        },
        report.kept,
        report.came_back,
        report.attempts,
        seconds(report.p50_ms),
        seconds(report.p99_ms),
        seconds(report.last_ms),
        seconds(report.serving_ms),
        seconds(report.slowest_write_ms),
        report.expired + report.missing,
        report.ephemerals_lost,
        report.watches_lost,
        megabytes(weather.before),
        megabytes(weather.peak.max(weather.leader)),
    )
}

fn storm(
    programs: &Programs,
    folder: &Path,
    make: Make,
    others: Others,
    sessions: u32,
) -> anyhow::Result<Weather> {
    let members = members(sessions)?;
    let mut ensemble = Ensemble::new(programs, folder, &vec![make; members], SETTINGS)?;
    ensemble.start_all()?;
    let leader = ensemble.leader(LIMIT)?;
    let mut pids = Vec::new();
    for id in 1..=members as i64 {
        pids.push((id, ensemble.process(id)?.id()));
    }
    let before = pids.iter().map(|(_, pid)| memory(*pid, "VmRSS:"));
    let before = before.collect::<anyhow::Result<Vec<u64>>>()?;
    let leader_pid = ensemble.process(leader)?.id();

    let mut command = Command::new(&programs.ferrokeeper);
    command.args(["storm", "--json", "--servers", &ensemble.connect_string()]);
    command.args([
        "--sessions",
        &sessions.to_string(),
        "--kill",
        &leader_pid.to_string(),
    ]);
    if others == Others::Cut {
        command.arg("--cut");
    }
    let log = File::create(folder.join("storm")).context("make the storm's log")?;
    command
        .stdin(Stdio::null())
        .stderr(log)
        .stdout(Stdio::piped());
    let mut child = command.spawn().context("start the storm")?;
    let mut leader_peak = 0;
    let deadline = Instant::now() + WHOLE;
    let output = loop {
        // Of a process that is killed nothing can be asked any more.
        leader_peak = memory(leader_pid, "VmHWM:").unwrap_or(leader_peak);
        if child.try_wait().context("wait for the storm")?.is_some() {
            break child
                .wait_with_output()
                .context("read the storm's report")?;
        }
        if Instant::now() > deadline {
            child.kill().context("end the storm")?;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let report: Report = serde_json::from_slice(&output.stdout).with_context(|| {
        let said = std::fs::read_to_string(folder.join("storm")).unwrap_or_default();
        format!("no report of the storm, {}: {said}", output.status)
    })?;
    let peaks = pids.iter().filter(|(id, _)| *id != leader);
    let peaks: anyhow::Result<Vec<u64>> = peaks.map(|(_, pid)| memory(*pid, "VmHWM:")).collect();
    Ok(Weather {
        report,
        before: before.into_iter().max().unwrap_or_default(),
        peak: peaks?.into_iter().max().unwrap_or_default(),
        leader: leader_peak,
    })
}

/// As few as can have all sessions when one is gone: each session is an open file.
fn members(sessions: u32) -> anyhow::Result<usize> {
    let files = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
    let each = files.saturating_sub(OTHER_FILES);
    [3_usize, 5, 7]
        .into_iter()
        .find(|members| u64::from(sessions) <= each.saturating_mul(*members as u64 - 1))
        .with_context(|| {
            format!(
                "a process may open {files} files: too few for {sessions} sessions; see ulimit -Hn"
            )
        })
}

fn memory(pid: u32, which: &str) -> anyhow::Result<u64> {
    let status =
        std::fs::read_to_string(format!("/proc/{pid}/status")).context("ask for memory")?;
    let line = status.lines().find_map(|line| line.strip_prefix(which));
    let kilobytes = line.and_then(|line| line.split_whitespace().next());
    let kilobytes: u64 = kilobytes.context("no memory")?.parse().context("memory")?;
    Ok(kilobytes * 1024)
}
