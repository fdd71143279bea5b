//! What the crate promises as a whole; what one module promises is tested there.

mod apache;
mod crash;
mod life;
mod recovery;

use std::sync::Arc;

use bytes::Bytes;
use wire::snapshot::{Piece, ZnodeRecord};
use wire::stat::StatPersisted;
use wire::txn::{Entry, SetDataTxn, Txn, TxnDigest, TxnHeader, kind};
use wire::{Epoch, SessionId, Zxid};

use crate::{Paths, Refusal, Rejected, Replay, SnapshotWriteError, SnapshotWriter, Trailer};

/// A transaction whose data has this length.
pub(crate) fn entry_of(zxid: Zxid, len: usize) -> Arc<Entry> {
    let fill = zxid.0 as u8 | 1;
    Arc::new(Entry::new(
        TxnHeader {
            client_id: SessionId(0x1000_0000_0000_0001),
            cxid: zxid.counter() as i32,
            zxid,
            time: 1_700_000_000_000,
            kind: kind::SET_DATA,
        },
        Txn::SetData(SetDataTxn {
            path: "/a".to_owned(),
            data: Some(Bytes::from(vec![fill; len])),
            version: 1,
        }),
        Some(TxnDigest {
            version: 2,
            digest: zxid.0.wrapping_mul(31),
        }),
    ))
}

pub(crate) fn entry(epoch: u32, counter: u32) -> Arc<Entry> {
    entry_of(zxid(epoch, counter), 40)
}

pub(crate) fn entries(epoch: u32, counters: std::ops::RangeInclusive<u32>) -> Vec<Arc<Entry>> {
    counters.map(|counter| entry(epoch, counter)).collect()
}

pub(crate) fn zxid(epoch: u32, counter: u32) -> Zxid {
    Zxid::new(Epoch(epoch), counter)
}

pub(crate) fn paths() -> Paths {
    Paths {
        data: "/data".into(),
        log: "/logs".into(),
    }
}

/// Writes a body that says what state it is.
pub(crate) fn write_state<D: crate::Disk>(
    writer: &mut SnapshotWriter<D>,
    at: Zxid,
) -> Result<Trailer, SnapshotWriteError> {
    let stat = StatPersisted {
        czxid: at,
        mzxid: at,
        ctime: 0,
        mtime: 0,
        version: 0,
        cversion: 0,
        aversion: 0,
        ephemeral_owner: 0,
        pzxid: at,
    };
    let root = ZnodeRecord {
        path: String::new(),
        data: Some(Bytes::copy_from_slice(&at.0.to_be_bytes())),
        acl: -1,
        stat,
    };
    for piece in [
        Piece::Sessions(0),
        Piece::Acls(0),
        Piece::Znode(root),
        Piece::End,
    ] {
        writer.write_piece(&piece)?;
    }
    Ok(Trailer {
        digest: None,
        last_zxid: Some(at),
    })
}

/// Collects what a replay delivers.
#[derive(Debug, Default, PartialEq, Eq)]
struct Seen {
    snapshot: Option<Zxid>,
    root: Option<Bytes>,
    trailer: Option<Trailer>,
    rejected: Vec<Zxid>,
    entries: Vec<Zxid>,
}

impl Replay for Seen {
    fn snapshot(&mut self, zxid: Zxid) {
        self.snapshot = Some(zxid);
    }

    fn piece(&mut self, piece: Piece) -> Result<(), Refusal> {
        if let Piece::Znode(root) = piece {
            self.root = root.data;
        }
        Ok(())
    }

    fn trailer(&mut self, trailer: Trailer) -> Result<(), Refusal> {
        self.trailer = Some(trailer);
        Ok(())
    }

    fn snapshot_rejected(&mut self, rejected: &Rejected) {
        let mut all = std::mem::take(&mut self.rejected);
        all.push(rejected.snapshot.zxid);
        *self = Self {
            rejected: all,
            ..Self::default()
        };
    }

    fn entry(&mut self, entry: Entry) -> Result<(), Refusal> {
        self.entries.push(entry.zxid());
        Ok(())
    }
}
