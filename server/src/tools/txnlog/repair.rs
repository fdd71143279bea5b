//! A copy of the good part of a log.

use std::fs::File;
use std::io::{Read as _, copy};
use std::path::Path;

use anyhow::{Context, bail};
use txnlog::tail::Tail;

use super::{DAMAGED, open};

pub(super) fn repair(path: &Path, output: &Path) -> anyhow::Result<u8> {
    let mut log = open(path)?;
    let mut transactions = 0u64;
    while log.next_record()?.is_some() {
        transactions += 1;
    }
    let good = log.position();
    let bytes = match log.tail(false)? {
        Tail::Clean => {
            println!("{}: sound, nothing to repair", path.display());
            return Ok(0);
        }
        Tail::Torn { bytes } => bytes,
        Tail::Rotten { why } => {
            eprintln!(
                "{}: the record at offset {good} is damaged ({why}), and what follows may have \
                 been promised to clients: this is not a torn tail, and nothing was written. \
                 Restore the file from a backup, or start the member with --rejoin",
                path.display()
            );
            return Ok(DAMAGED);
        }
    };
    if good == 0 {
        bail!("{} holds no record; remove it", path.display());
    }
    let source = File::open(path).with_context(|| format!("open {}", path.display()))?;
    let mut target = File::create_new(output)
        .with_context(|| format!("make {}, which must not exist yet", output.display()))?;
    let copied = copy(&mut source.take(good), &mut target).context("copy the good part")?;
    target.sync_all().context("sync the copy")?;
    println!(
        "{}: {transactions} transactions in {copied} bytes; {bytes} bytes of a torn tail left out",
        output.display()
    );
    Ok(0)
}
