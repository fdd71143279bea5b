//! Printing transactions as they are written.

use std::path::{Path, PathBuf};
use std::time::Duration;

use wire::Zxid;

use super::show::Lines;
use super::{Form, Log, line, open};
use crate::tools::files;

/// Between two looks at a file to which nothing was added.
const PAUSE: Duration = Duration::from_millis(100);

/// Ends with the transaction that `form` names, else never.
pub(super) fn follow(path: &Path, form: Form) -> anyhow::Result<u8> {
    let mut lines = Lines::new(form.json, form.data);
    let files = files::logs(path)?;
    // What is there already is skipped, unless asked for.
    let mut skips = form.from.is_none();
    let start = form
        .from
        .map_or(files.len() - 1, |from| first_with(&files, from));
    let mut at = files[start].clone();
    let mut log = open(&at)?;
    let mut seen = Zxid::ZERO;
    loop {
        // Listed before the rest is read: the writer is done with a file that has a younger one.
        let next = younger(&files::logs(path)?, &at);
        while let Some(record) = log.next_record()? {
            let zxid = record.zxid;
            if form.to.is_some_and(|to| zxid > to) {
                return Ok(0);
            }
            let wanted = !skips && zxid > seen && form.from.is_none_or(|from| zxid >= from);
            seen = seen.max(zxid);
            if wanted {
                line(&mut lines, record.offset, record.bytes)?;
            }
            if wanted && form.to == Some(zxid) {
                return Ok(0);
            }
        }
        skips = false;
        if let Some(next) = next {
            log = open(&next)?;
            at = next;
        } else {
            std::thread::sleep(PAUSE);
            refresh(&mut log, &at)?;
        }
    }
}

fn refresh(log: &mut Log, path: &Path) -> anyhow::Result<()> {
    if Log::position(log) == 0 {
        *log = open(path)?;
    }
    Ok(log.look_again()?)
}

/// The file that a transaction is in, if it is there.
fn first_with(files: &[PathBuf], from: Zxid) -> usize {
    let begins = |file: &PathBuf| {
        let name = file.file_name().unwrap_or_default().to_string_lossy();
        txnlog::LogName::parse(Path::new(""), &name).map_or(Zxid::ZERO, |name| name.first)
    };
    files
        .iter()
        .rposition(|file| begins(file) <= from)
        .unwrap_or(0)
}

fn younger(files: &[PathBuf], than: &Path) -> Option<PathBuf> {
    let place = files.iter().position(|file| file == than)?;
    files.get(place + 1).cloned()
}
