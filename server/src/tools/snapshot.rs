//! `ferrokeeper snapshot`: what snapshots hold, how two differ, what takes the room. For ours and
//! for Apache's files alike, compressed or not.
//!
//! Snapshots are read piece by piece; `compare` keeps a fingerprint of each znode, `summary` the
//! sums that it prints, and nothing keeps data. A snapshot is valid only when its end has been
//! read: what was printed before an error is not to be trusted. Exit codes: 0 done (`compare`: no
//! difference), 1 a difference, 2 trouble.

mod compare;
mod dump;
mod summary;

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Subcommand};
use indicatif::ProgressBar;
use txnlog::{Compression, RealDisk, SnapshotReader, Trailer};
use wire::snapshot::Piece;

use super::files;

/// `snapshot`'s arguments.
#[derive(Args, Debug)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print sessions and znodes, one a line.
    Dump {
        /// A snapshot, or a directory of which the newest is taken.
        path: PathBuf,
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
        /// Print data too, as text where it is text.
        #[arg(long)]
        data: bool,
    },
    /// Print what differs. Ends with 0 if nothing does, 1 if something does.
    Compare {
        /// The one.
        before: PathBuf,
        /// The other.
        after: PathBuf,
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
    /// Print how many znodes and bytes lie at and below each path.
    Summary {
        /// A snapshot, or a directory of which the newest is taken.
        path: PathBuf,
        /// Where to start.
        #[arg(long, default_value = "/")]
        root: String,
        /// How many levels below it have lines of their own.
        #[arg(long, default_value_t = 1)]
        depth: usize,
        /// Print one JSON object a line.
        #[arg(long)]
        json: bool,
    },
}

/// Does what the arguments say; gives the exit code.
///
/// # Errors
/// If a file cannot be read, or is no valid snapshot.
pub fn run(arguments: &Arguments) -> anyhow::Result<u8> {
    let outcome = match &arguments.command {
        Command::Dump { path, json, data } => dump::dump(path, *json, *data).map(|()| 0),
        Command::Compare {
            before,
            after,
            json,
        } => compare::compare(before, after, *json).map(u8::from),
        Command::Summary {
            path,
            root,
            depth,
            json,
        } => summary::summary(path, root, *depth, *json).map(|()| 0),
    };
    files::unless_reader_left(outcome)
}

/// A snapshot that is read from start to end, with a progress bar.
struct Source {
    path: PathBuf,
    reader: SnapshotReader,
    bar: ProgressBar,
    /// Pieces so far, where bytes are not known.
    pieces: u64,
    counts_pieces: bool,
}

impl Source {
    fn open(path: &Path, prints: bool) -> anyhow::Result<Self> {
        let snapshot = files::snapshot(path)?;
        let path = snapshot.path.clone();
        let opened = || format!("open {}", path.display());
        let length = std::fs::metadata(&path).with_context(opened)?.len();
        let bar = files::progress(&path, length, prints);
        let counts_pieces = snapshot.compression != Compression::None;
        let reader = if counts_pieces {
            bar.unset_length();
            SnapshotReader::open(&RealDisk, &snapshot)
        } else {
            let file = File::open(&path).with_context(opened)?;
            SnapshotReader::new(Box::new(bar.wrap_read(file)))
        };
        let reader = reader.with_context(opened)?;
        Ok(Self {
            reader,
            bar,
            path,
            pieces: 0,
            counts_pieces,
        })
    }

    /// Hands over all pieces but the end mark.
    fn each(
        mut self,
        mut take: impl FnMut(Piece) -> anyhow::Result<()>,
    ) -> anyhow::Result<Trailer> {
        let path = self.path.clone();
        let invalid = || format!("{} is no valid snapshot", path.display());
        while let Some(piece) = self.reader.next_piece().with_context(invalid)? {
            self.pieces += 1;
            if self.counts_pieces && self.pieces.is_multiple_of(4096) {
                self.bar.set_position(self.pieces);
            }
            if piece != Piece::End {
                take(piece)?;
            }
        }
        self.bar.finish_and_clear();
        Ok(self.reader.trailer())
    }
}

/// The root's path is empty in a snapshot.
fn shown(path: &str) -> &str {
    if path.is_empty() { "/" } else { path }
}

#[cfg(test)]
mod tests;
