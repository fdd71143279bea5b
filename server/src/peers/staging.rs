//! A snapshot that comes from a leader: on disk, but without effect until it is installed.

use std::collections::HashMap;
use std::io;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::task::spawn_blocking;
use txnlog::{RealDisk, SnapshotWriter, Snapshots, StagedSnapshot, Trailer};
use wire::Zxid;
use wire::snapshot::{Piece, PieceDecoder};
use zab::LinkId;

use crate::vital;

/// Received snapshots that are complete and durable, by the link that each came by.
#[derive(Default)]
pub(crate) struct Staged {
    by_link: Mutex<HashMap<LinkId, StagedSnapshot>>,
}

impl Staged {
    pub(crate) fn put(&self, link: LinkId, snapshot: StagedSnapshot) {
        self.by_link.lock().insert(link, snapshot);
    }

    pub(crate) fn take(&self, link: LinkId) -> Option<StagedSnapshot> {
        self.by_link.lock().remove(&link)
    }

    pub(crate) fn discard(&self, link: LinkId) {
        drop(self.take(link));
    }
}

/// One that is being received.
pub(crate) struct Staging {
    writer: SnapshotWriter<RealDisk>,
    decoder: PieceDecoder,
}

impl Staging {
    pub(crate) async fn begin(
        snapshots: &Snapshots<RealDisk>,
        zxid: Zxid,
        limit: usize,
    ) -> io::Result<Self> {
        let snapshots = snapshots.clone();
        blocking(move || {
            let writer = snapshots.begin_staged(zxid).map_err(io::Error::other)?;
            let decoder = PieceDecoder::of_stream(limit);
            Ok(Self { writer, decoder })
        })
        .await
    }

    /// Takes what has arrived. Returns what follows the snapshot, once it is complete.
    pub(crate) async fn take(mut self, mut arrived: Bytes) -> io::Result<(Self, Option<Bytes>)> {
        blocking(move || {
            while let Some(piece) = self.decoder.poll(&mut arrived).map_err(io::Error::other)? {
                self.writer.write_piece(&piece).map_err(io::Error::other)?;
                if piece == Piece::End {
                    break;
                }
            }
            let rest = self.decoder.is_done().then_some(arrived);
            Ok((self, rest))
        })
        .await
    }

    /// Makes it durable.
    pub(crate) async fn finish(self) -> io::Result<StagedSnapshot> {
        blocking(move || {
            self.writer
                .finish_staged(Trailer::default())
                .map_err(io::Error::other)
        })
        .await
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    spawn_blocking(move || vital::run("staging", work))
        .await
        .map_err(io::Error::other)?
}
