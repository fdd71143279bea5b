//! `ferrokeeper txnlog`: what transaction logs hold, whether they are sound, and a copy of the
//! good part of one that is not. For ours and for Apache's files alike.
//!
//! Files are read record by record. Nothing is ever changed in place. Exit codes: 0 sound, 1 a
//! torn tail (what a crash leaves; a server cuts it off by itself), 2 damage or trouble.

mod follow;
mod repair;
mod show;

use std::io::{BufWriter, Write as _, stdout};
use std::path::{Path, PathBuf};

use anyhow::Context;
use bytes::Bytes;
use clap::{Args, Subcommand};
use serde_json::json;
use txnlog::tail::Tail;
use txnlog::{LogFile, RealDisk};
use wire::Zxid;

use super::files::{self, parse_zxid};
use show::Lines;

/// `txnlog`'s arguments.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print transactions, one a line.
    Dump {
        /// Log files, or directories with some.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        #[command(flatten)]
        form: Form,
    },
    /// Print transactions as they are written, also into the files that come.
    Follow {
        /// A log file, or a directory with some.
        path: PathBuf,
        #[command(flatten)]
        form: Form,
    },
    /// Say whether logs are sound. Ends with 0 if they are, 1 if one has a torn tail, 2 if one is
    /// damaged.
    Check {
        /// Log files, or directories with some.
        #[arg(required = true)]
        paths: Vec<PathBuf>,
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Write the good part of a log with a torn tail into a copy; the log stays as it is.
    Repair {
        /// The log file.
        file: PathBuf,
        /// The copy; must not exist yet.
        #[arg(long, short)]
        output: PathBuf,
    },
}

/// What is printed, and how.
#[derive(Args, Clone, Copy, Debug)]
struct Form {
    /// Print one JSON object a line.
    #[arg(long)]
    json: bool,
    /// Print data too, as text where it is text.
    #[arg(long)]
    data: bool,
    /// Begin with this transaction; `follow` begins with the next one unless told.
    #[arg(long, value_parser = parse_zxid)]
    from: Option<Zxid>,
    /// End with this transaction.
    #[arg(long, value_parser = parse_zxid)]
    to: Option<Zxid>,
}

/// Exit codes besides 0.
const TORN: u8 = 1;
const DAMAGED: u8 = 2;

/// Does what the arguments say; gives the exit code.
///
/// # Errors
/// If a file cannot be read, or is no log.
pub fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let outcome = match &arguments.command {
        Command::Dump { paths, form } => dump(paths, *form),
        Command::Follow { path, form } => follow::follow(path, *form),
        Command::Check { paths, json } => check(paths, *json),
        Command::Repair { file, output } => repair::repair(file, output),
    };
    files::unless_reader_left(outcome)
}

type Log = LogFile<std::fs::File>;

fn open(path: &Path) -> anyhow::Result<Log> {
    Ok(LogFile::open(&RealDisk, path)?)
}

/// Records between two updates of the progress bar.
const STEP: u64 = 1024;

fn dump(paths: &[PathBuf], form: Form) -> anyhow::Result<u8> {
    let mut out = BufWriter::new(stdout().lock());
    let mut lines = Lines::new(form.json, form.data);
    let mut worst = 0;
    let files = paths.iter().map(|path| files_of(path));
    let files: Vec<_> = files.collect::<anyhow::Result<_>>()?;
    for (path, closed) in files.into_iter().flatten() {
        let mut log = open(&path)?;
        let bar = files::progress(&path, log.file_len(), true);
        let mut count = 0u64;
        while let Some(record) = log.next_record()? {
            count += 1;
            if count.is_multiple_of(STEP) {
                bar.set_position(log.position());
            }
            if form.from.is_some_and(|from| record.zxid < from) {
                continue;
            }
            if form.to.is_some_and(|to| record.zxid > to) {
                break;
            }
            writeln!(out, "{}", lines.record(record.offset, record.bytes))?;
        }
        bar.finish_and_clear();
        if !log.has_more() {
            let (code, why) = judge(&log, closed)?;
            worst = worst.max(code);
            if code > 0 {
                out.flush()?;
                eprintln!("{}: {why}", path.display());
            }
        }
    }
    out.flush()?;
    Ok(worst)
}

/// The files that a path names, each with whether a younger one was found beside it.
fn files_of(path: &Path) -> anyhow::Result<impl Iterator<Item = (PathBuf, bool)>> {
    let files = files::logs(path)?;
    let last = files.len() - 1;
    let closed = move |(at, file)| (file, at < last);
    Ok(files.into_iter().enumerate().map(closed))
}

/// What the end of a log means, and its exit code.
fn judge(log: &Log, closed: bool) -> anyhow::Result<(u8, String)> {
    let at = log.position();
    Ok(match log.tail(closed)? {
        Tail::Clean => (0, "sound".to_owned()),
        Tail::Torn { bytes } => (
            TORN,
            format!(
                "torn tail: {bytes} bytes from offset {at} on are not a whole record, as a crash \
                 leaves them. A server cuts them off by itself; `txnlog repair` does so in a copy"
            ),
        ),
        Tail::Rotten { why } => (
            DAMAGED,
            format!(
                "the record at offset {at} is damaged ({why}), and what follows may have been \
                 promised to clients. Restore the file from a backup, or start the member with \
                 --rejoin"
            ),
        ),
    })
}

/// What reading one file found.
#[derive(Debug, Default)]
struct Found {
    transactions: u64,
    undecodable: u64,
    first: Option<Zxid>,
    last: Option<Zxid>,
    /// The first transaction that does not follow the one before, and that one.
    gap: Option<(Zxid, Zxid)>,
}

fn check(paths: &[PathBuf], json: bool) -> anyhow::Result<u8> {
    let mut worst = 0;
    for path in paths {
        let mut before = None;
        for (file, closed) in files_of(path)? {
            worst = worst.max(check_file(&file, closed, &mut before, json)?);
        }
    }
    Ok(worst)
}

/// `before` is the last transaction of the files before.
fn check_file(
    path: &Path,
    closed: bool,
    before: &mut Option<Zxid>,
    json: bool,
) -> anyhow::Result<u8> {
    let mut log = open(path)?;
    let bar = files::progress(path, log.file_len(), false);
    let found = read(&mut log, before, |position| bar.set_position(position))?;
    bar.finish_and_clear();
    let (mut code, mut why) = judge(&log, closed)?;
    if let Some((after, next)) = found.gap {
        code = DAMAGED;
        why = format!("transaction {next} does not follow {after}: a part of the log is missing");
    } else if found.undecodable > 0 {
        code = DAMAGED;
        why = format!(
            "{} intact records hold no transaction that this version knows",
            found.undecodable
        );
    }
    tell(path, &found, log.position(), code, &why, json)?;
    Ok(code)
}

fn read(
    log: &mut Log,
    before: &mut Option<Zxid>,
    mut progress: impl FnMut(u64),
) -> anyhow::Result<Found> {
    let mut found = Found::default();
    while let Some(record) = log.next_record()? {
        found.transactions += 1;
        if found.transactions.is_multiple_of(STEP) {
            progress(Log::position(log));
        }
        let zxid = record.zxid;
        found.first = found.first.or(Some(zxid));
        found.last = Some(zxid);
        // Apache may log a transaction twice.
        if let Some(last) = before.filter(|last| *last < zxid)
            && !zxid.follows(last)
        {
            found.gap = found.gap.or(Some((last, zxid)));
        }
        *before = (*before).max(Some(zxid));
        if wire::txn::Entry::decode(record.bytes).is_err() {
            found.undecodable += 1;
        }
    }
    Ok(found)
}

fn tell(
    path: &Path,
    found: &Found,
    good: u64,
    code: u8,
    why: &str,
    json: bool,
) -> anyhow::Result<()> {
    let zxid = |zxid: Option<Zxid>| zxid.map(|zxid| zxid.to_string());
    let mut out = stdout().lock();
    if json {
        let line = json!({
            "file": path.display().to_string(),
            "transactions": found.transactions,
            "first": zxid(found.first),
            "last": zxid(found.last),
            "goodBytes": good,
            "verdict": match code { 0 => "sound", TORN => "torn", _ => "damaged" },
            "why": why,
        });
        writeln!(out, "{line}").context("print")?;
    } else {
        let range = match (found.first, found.last) {
            (Some(first), Some(last)) => format!(", {first} to {last}"),
            _ => String::new(),
        };
        let (path, count) = (path.display(), found.transactions);
        writeln!(out, "{path}: {count} transactions{range}: {why}").context("print")?;
    }
    Ok(())
}

/// A record as one line; for `follow`, which prints each at once.
fn line(lines: &mut Lines, offset: u64, bytes: Bytes) -> anyhow::Result<()> {
    let mut out = stdout().lock();
    writeln!(out, "{}", lines.record(offset, bytes))?;
    out.flush()?;
    Ok(())
}

#[cfg(test)]
mod tests;
