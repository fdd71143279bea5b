//! The files that tools are pointed at, and how they tell of their progress.

use std::io::{self, IsTerminal as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use txnlog::{Compression, LogName, Paths, SnapshotFile};
use wire::Zxid;

/// A zxid on a command line: hexadecimal with `0x`, or decimal.
pub(super) fn parse_zxid(text: &str) -> Result<Zxid, String> {
    let number = match text.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16),
        None => text.parse(),
    };
    number
        .map(Zxid)
        .map_err(|_| "expected a zxid such as 0x100000002".to_owned())
}

/// The directory that has the files: a data directory's `version-2`, or the directory itself.
pub(super) fn inside(dir: &Path) -> PathBuf {
    let inner = Paths::single(dir).logs();
    if inner.is_dir() {
        inner
    } else {
        dir.to_owned()
    }
}

/// The log files that a path names: itself, or those in it, oldest first.
pub(super) fn logs(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let dir = inside(path);
    let mut found = Vec::new();
    for name in names(&dir)? {
        found.extend(LogName::parse(&dir, &name));
    }
    found.sort_unstable();
    ensure!(!found.is_empty(), "{} has no log.* files", dir.display());
    Ok(found.into_iter().map(|log| log.path).collect())
}

/// The snapshot that a path names: itself, or the newest in it.
pub(super) fn snapshot(path: &Path) -> anyhow::Result<SnapshotFile> {
    if path.is_dir() {
        let dir = inside(path);
        let mut found = Vec::new();
        for name in names(&dir)? {
            found.extend(SnapshotFile::parse(&dir, &name));
        }
        let newest = found.into_iter().max();
        return newest.with_context(|| format!("{} has no snapshot.* files", dir.display()));
    }
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let dir = path.parent().unwrap_or_else(|| Path::new(""));
    let ending = path.extension().unwrap_or_default();
    Ok(
        SnapshotFile::parse(dir, &name).unwrap_or_else(|| SnapshotFile {
            zxid: Zxid::ZERO,
            compression: match ending.to_str() {
                Some("gz") => Compression::Gzip,
                Some("snappy") => Compression::Snappy,
                _ => Compression::None,
            },
            path: path.to_owned(),
        }),
    )
}

fn names(dir: &Path) -> anyhow::Result<Vec<String>> {
    let listed = || format!("list {}", dir.display());
    let mut names = Vec::new();
    for entry in std::fs::read_dir(dir).with_context(listed)? {
        let entry = entry.with_context(listed)?;
        names.extend(entry.file_name().into_string());
    }
    Ok(names)
}

/// A bar of bytes on the terminal. None is shown where there is no terminal, or where it would
/// stand between the lines that are printed.
pub(super) fn progress(path: &Path, bytes: u64, prints: bool) -> ProgressBar {
    if prints && io::stdout().is_terminal() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template(
        "{msg} [{bar:30}] {bytes}/{total_bytes} {bytes_per_sec} {eta}",
    );
    let bar = ProgressBar::new(bytes);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    bar.set_message(name.into_owned());
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// Whoever read our lines may have had enough: that is the end, and no failure.
pub(super) fn unless_reader_left(outcome: anyhow::Result<u8>) -> anyhow::Result<u8> {
    match outcome {
        Err(error) if is_broken_pipe(&error) => Ok(0),
        outcome => outcome,
    }
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let mut causes = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>());
    causes.any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}
