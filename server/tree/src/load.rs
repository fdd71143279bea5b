//! Building a tree from a snapshot.

use std::collections::BTreeMap;

use wire::Zxid;
use wire::snapshot::{AclRecord, OPEN_ACL, Piece, SessionRecord, ZnodeRecord};

use crate::acl::OPEN;
use crate::tree::unresolved_acl;
use crate::{Options, Tree, path};

/// Builds a [`Tree`] from the pieces of a snapshot, given in order.
#[derive(Debug)]
pub struct Loader {
    tree: Tree,
    /// Our numbers for the snapshot's ACLs.
    acls: BTreeMap<i64, u32>,
    expecting: Expecting,
    /// The parent of the last znode: mostly also that of the next.
    parent: Option<(String, u32)>,
}

/// Which piece comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Expecting {
    SessionCount,
    /// So many more.
    Sessions(u32),
    AclCount,
    Acls(u32),
    Root,
    Znodes,
    Nothing,
}

/// Why a snapshot is no tree.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum LoadError {
    /// A znode comes before its parent.
    #[error("snapshot holds znode {path} before or without its parent")]
    NoParent {
        /// The znode.
        path: String,
    },
    /// A znode comes twice.
    #[error("snapshot holds znode {path} twice")]
    Twice {
        /// The znode.
        path: String,
    },
    /// No znode can have this path.
    #[error("snapshot holds the impossible path {path:?}")]
    Path {
        /// The path.
        path: String,
    },
    /// Two ACLs have the same index.
    #[error("snapshot holds two ACLs with index {index}")]
    AclTwice {
        /// The index.
        index: i64,
    },
    /// The pieces are not in order, or not as many as announced.
    #[error("snapshot holds {found} where {expected} should be")]
    Order {
        /// What should come.
        expected: &'static str,
        /// What came.
        found: &'static str,
    },
}

impl Loader {
    /// Starts with nothing. `seed` keys the hashing of names.
    #[must_use]
    pub fn new(seed: u64, options: Options) -> Self {
        Self {
            tree: Tree::with_root_only(seed, options),
            acls: BTreeMap::new(),
            expecting: Expecting::SessionCount,
            parent: None,
        }
    }

    /// Takes the next piece.
    ///
    /// # Errors
    /// If the snapshot is inconsistent. The loader is of no use then.
    pub fn push(&mut self, piece: Piece) -> Result<(), LoadError> {
        self.expecting = match (self.expecting, piece) {
            (Expecting::SessionCount, Piece::Sessions(n)) => sessions_left(n),
            (Expecting::Sessions(n), Piece::Session(session)) => {
                self.session(session);
                sessions_left(n - 1)
            }
            (Expecting::AclCount, Piece::Acls(n)) => acls_left(n),
            (Expecting::Acls(n), Piece::Acl(acl)) => {
                self.acl(&acl)?;
                acls_left(n - 1)
            }
            (Expecting::Root, Piece::Znode(znode)) if znode.path.is_empty() => {
                let acl = self.acl_number(znode.acl);
                self.tree.set_root(znode.data.as_deref(), acl, &znode.stat);
                Expecting::Znodes
            }
            (Expecting::Znodes, Piece::Znode(znode)) => {
                self.znode(&znode)?;
                Expecting::Znodes
            }
            (Expecting::Znodes, Piece::End) => Expecting::Nothing,
            (expecting, piece) => {
                return Err(LoadError::Order {
                    expected: expecting.name(),
                    found: name(&piece),
                });
            }
        };
        Ok(())
    }

    fn session(&mut self, record: SessionRecord) {
        self.tree.sessions.insert(record.session, record.timeout);
    }

    fn acl(&mut self, record: &AclRecord) -> Result<(), LoadError> {
        let number = self.tree.acls.intern(&record.acl);
        match self.acls.insert(record.index, number) {
            None => Ok(()),
            Some(_) => Err(LoadError::AclTwice {
                index: record.index,
            }),
        }
    }

    fn znode(&mut self, record: &ZnodeRecord) -> Result<(), LoadError> {
        let (parent_path, name) = path::split(&record.path).ok_or_else(|| LoadError::Path {
            path: record.path.clone(),
        })?;
        let parent = self
            .parent(parent_path)
            .ok_or_else(|| LoadError::NoParent {
                path: record.path.clone(),
            })?;
        if self.tree.znodes.child(parent, name).is_some() {
            return Err(LoadError::Twice {
                path: record.path.clone(),
            });
        }
        let acl = self.acl_number(record.acl);
        let data = record.data.as_deref();
        self.tree
            .add(parent, &record.path, name, data, &record.stat, acl);
        Ok(())
    }

    fn parent(&mut self, path: &str) -> Option<u32> {
        if let Some((last, id)) = &self.parent
            && last == path
        {
            return Some(*id);
        }
        let id = self.tree.znodes.find(path)?;
        self.parent = Some((path.to_owned(), id));
        Some(id)
    }

    /// Our number for the snapshot's, counted as used.
    fn acl_number(&mut self, index: i64) -> u32 {
        if index == OPEN_ACL {
            return OPEN;
        }
        let acls = &mut self.tree.acls;
        match self.acls.get(&index) {
            Some(&number) => {
                acls.share(number);
                number
            }
            None => acls.intern(&unresolved_acl()),
        }
    }

    /// The tree. `zxid` is the snapshot's: that of the first transaction to replay is greater.
    ///
    /// # Errors
    /// If the snapshot is not complete.
    pub fn finish(mut self, zxid: Zxid) -> Result<Tree, LoadError> {
        if self.expecting != Expecting::Nothing {
            return Err(LoadError::Order {
                expected: self.expecting.name(),
                found: "its end",
            });
        }
        for number in std::mem::take(&mut self.acls).into_values() {
            self.tree.acls.release(number);
        }
        self.tree.add_special_znodes();
        self.tree.count_quotas();
        self.tree.last_zxid = zxid;
        Ok(self.tree)
    }
}

const fn sessions_left(n: u32) -> Expecting {
    match n {
        0 => Expecting::AclCount,
        n => Expecting::Sessions(n),
    }
}

const fn acls_left(n: u32) -> Expecting {
    match n {
        0 => Expecting::Root,
        n => Expecting::Acls(n),
    }
}

impl Expecting {
    const fn name(self) -> &'static str {
        match self {
            Self::SessionCount => "the number of sessions",
            Self::Sessions(_) => "a session",
            Self::AclCount => "the number of ACLs",
            Self::Acls(_) => "an ACL",
            Self::Root => "the root",
            Self::Znodes => "a znode or the end mark",
            Self::Nothing => "nothing more",
        }
    }
}

const fn name(piece: &Piece) -> &'static str {
    match piece {
        Piece::Sessions(_) => "a number of sessions",
        Piece::Session(_) => "a session",
        Piece::Acls(_) => "a number of ACLs",
        Piece::Acl(_) => "an ACL",
        Piece::Znode(_) => "a znode",
        Piece::End => "the end mark",
    }
}
