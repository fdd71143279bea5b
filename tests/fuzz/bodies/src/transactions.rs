//! Transactions, as a log or a leader has them.

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use tree::{Applied, Options, Tree};
use wire::client::Request;
use wire::txn::{
    CloseSessionTxn, CreateContainerTxn, CreateSessionTxn, CreateTtlTxn, CreateTxn, DeleteTxn,
    Entry, ErrorTxn, SetAclTxn, SetDataTxn, Txn, TxnDigest, TxnHeader, kind,
};
use wire::{SessionId, Zxid};

use crate::connection::asks::Ask;
use crate::connection::laws;

/// A log entry's bytes; or, after an odd first byte, a history that a leader may have made.
pub fn transactions(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let mut tree = Tree::new(1, options(*first));
    if first % 2 == 0 {
        read(rest, &mut tree);
    } else {
        let steps = Vec::<Made>::arbitrary(&mut Unstructured::new(rest));
        for (n, made) in steps.into_iter().flatten().take(STEPS).enumerate() {
            let entry = made.entry(n as u64 + 1);
            let read = Entry::decode(entry.bytes().clone()).expect("an entry that was written");
            assert_eq!(read, entry);
            tree.apply(&read, &mut Applied::default());
        }
    }
    laws::loaded(&mut tree);
}

/// Transactions of a history, at most.
const STEPS: usize = 100;

fn options(byte: u8) -> Options {
    Options {
        extended_types: byte & 2 != 0,
        emulate_353: byte & 4 != 0,
        ..Options::default()
    }
}

fn read(bytes: &[u8], tree: &mut Tree) {
    let Ok(entry) = Entry::decode(Bytes::copy_from_slice(bytes)) else {
        return;
    };
    assert_eq!(entry.bytes()[..], *bytes);
    tree.apply(&entry, &mut Applied::default());
    // Two empty paths look like a digest behind no list.
    if let Txn::CloseSession(Some(close)) = entry.txn()
        && close.paths_to_delete.iter().any(String::is_empty)
    {
        return;
    }
    let again = Entry::new(entry.header().clone(), entry.txn().clone(), entry.digest());
    let read = Entry::decode(again.bytes().clone());
    assert_eq!(read.as_ref(), Ok(&again));
    assert_eq!(again.txn(), entry.txn());
}

/// A transaction, whether or not anybody would have prepared it.
#[derive(Arbitrary, Debug)]
struct Made {
    session: u8,
    what: What,
    digest: Option<u64>,
}

#[derive(Arbitrary, Debug)]
enum What {
    /// Of a request, as if all were well.
    Of(Ask, Cversion),
    Parts(Vec<Ask>),
    Open(i32),
    Close(Option<Vec<Ask>>),
    Error(i32),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Cversion {
    Next,
    Of(u8),
    Any(i32),
}

impl Made {
    fn entry(&self, zxid: u64) -> Entry {
        let (kind, txn) = self.what.txn();
        let header = TxnHeader {
            client_id: SessionId(i64::from(self.session % 4)),
            cxid: 1,
            zxid: Zxid(zxid),
            time: 1_700_000_000_000 + zxid as i64,
            kind,
        };
        let digest = self.digest.map(|digest| TxnDigest {
            version: wire::txn::DIGEST_VERSION,
            digest,
        });
        Entry::new(header, txn, digest)
    }
}

impl What {
    fn txn(&self) -> (i32, Txn) {
        match self {
            Self::Of(ask, cversion) => of(&ask.request(), *cversion),
            Self::Parts(asks) => {
                let parts = asks
                    .iter()
                    .take(8)
                    .map(|ask| of(&ask.request(), Cversion::Next));
                // A session is neither opened nor closed there, and no ACL set.
                let may_be_part = |(_, txn): &(i32, Txn)| !matches!(txn, Txn::SetAcl(_));
                let parts = parts.filter(may_be_part).collect();
                (kind::MULTI, Txn::Multi(parts))
            }
            Self::Open(timeout) => {
                let open = CreateSessionTxn { timeout: *timeout };
                (kind::CREATE_SESSION, Txn::CreateSession(open))
            }
            Self::Close(paths) => {
                let close = paths.as_ref().map(|asks| CloseSessionTxn {
                    paths_to_delete: asks.iter().take(8).filter_map(path).collect(),
                });
                (kind::CLOSE_SESSION, Txn::CloseSession(close))
            }
            Self::Error(err) => (kind::ERROR, Txn::Error(ErrorTxn { err: *err })),
        }
    }
}

fn path(ask: &Ask) -> Option<String> {
    match ask.request() {
        Request::Create(r) => Some(r.path),
        Request::Delete(r) => Some(r.path),
        _ => None,
    }
    .filter(|path| !path.is_empty())
}

fn of(request: &Request, cversion: Cversion) -> (i32, Txn) {
    let parent_cversion = match cversion {
        Cversion::Next => -1,
        Cversion::Of(n) => n.into(),
        Cversion::Any(n) => n,
    };
    match request.clone() {
        Request::Create(r) | Request::Create2(r) => {
            let create = CreateTxn {
                path: r.path,
                data: r.data,
                acl: r.acl,
                ephemeral: r.flags & 1 == 1,
                parent_cversion,
            };
            (request.op().code(), Txn::Create(create))
        }
        Request::CreateContainer(r) => {
            let create = CreateContainerTxn {
                path: r.path,
                data: r.data,
                acl: r.acl,
                parent_cversion,
            };
            (kind::CREATE_CONTAINER, Txn::CreateContainer(create))
        }
        Request::CreateTtl(r) => {
            let create = CreateTtlTxn {
                path: r.path,
                data: r.data,
                acl: r.acl,
                parent_cversion,
                ttl: r.ttl,
            };
            (kind::CREATE_TTL, Txn::CreateTtl(create))
        }
        Request::Delete(r) => (kind::DELETE, Txn::Delete(DeleteTxn { path: r.path })),
        Request::SetData(r) => {
            let set = SetDataTxn {
                path: r.path,
                data: r.data,
                version: r.version,
            };
            (kind::SET_DATA, Txn::SetData(set))
        }
        Request::SetAcl(r) => {
            let set = SetAclTxn {
                path: r.path,
                acl: r.acl,
                version: r.version,
            };
            (kind::SET_ACL, Txn::SetAcl(set))
        }
        _ => (kind::ERROR, Txn::Error(ErrorTxn { err: -6 })),
    }
}
