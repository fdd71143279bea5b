//! Answers to reads.

use wire::client::{ErrorCode, MultiHeader, OpCode, Request};
use wire::{Acl, Perms, Record};

use crate::tree::{Caller, Tree};
use crate::znodes::ROOT;
use crate::{acl, encode};

impl Tree {
    /// Answers a read: appends the answer's record to `out`. Watches are the caller's business:
    /// see [`crate::read_watch`].
    ///
    /// # Errors
    /// The code for the reply's header; `out` is then unchanged.
    pub fn read_into(
        &self,
        request: &Request,
        who: Caller<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), ErrorCode> {
        match request {
            Request::Exists(r) => {
                if r.path.contains('\0') {
                    return Err(ErrorCode::BadArguments);
                }
                self.stat(self.readable(&r.path, who)?).encode(out);
            }
            Request::GetData(r) => {
                let id = self.readable(&r.path, who)?;
                self.encode_data(id, out);
            }
            Request::GetChildren(r) => {
                let id = self.readable(&r.path, who)?;
                self.encode_children(id, out);
            }
            Request::GetChildren2(r) => {
                let id = self.readable(&r.path, who)?;
                self.encode_children(id, out);
                self.stat(id).encode(out);
            }
            Request::GetAcl(r) => self.encode_acl(&r.path, who, out)?,
            Request::GetEphemerals(r) => self.encode_ephemerals(&r.path, who, out),
            Request::GetAllChildrenNumber(r) => {
                let id = self.readable(&r.path, who)?;
                let total = if id == ROOT {
                    self.znodes.count() as i32 - 1
                } else {
                    self.znodes.descendants(id).count() as i32
                };
                total.encode(out);
            }
            Request::WhoAmI(()) => {
                let infos: Vec<_> = who.identities.iter().map(acl::client_info).collect();
                infos.encode(out);
            }
            Request::MultiRead(multi) => self.read_all(&multi.ops, who, out)?,
            _ => return Err(ErrorCode::Unimplemented),
        }
        Ok(())
    }

    /// The znode at `path`, if the caller may read it.
    fn readable(&self, path: &str, who: Caller<'_>) -> Result<u32, ErrorCode> {
        let id = self.znodes.find(path).ok_or(ErrorCode::NoNode)?;
        self.require(id, Perms::READ, who)?;
        Ok(id)
    }

    fn require(&self, id: u32, perms: Perms, who: Caller<'_>) -> Result<(), ErrorCode> {
        if self.allows(self.acl(id).map(|acl| &**acl), perms, who.identities) {
            Ok(())
        } else {
            Err(ErrorCode::NoAuth)
        }
    }

    /// Each part has an error of its own; only what is no read fails the whole.
    fn read_all(
        &self,
        ops: &[Request],
        who: Caller<'_>,
        out: &mut Vec<u8>,
    ) -> Result<(), ErrorCode> {
        let is_read = |op: &Request| matches!(op.op(), OpCode::GetData | OpCode::GetChildren);
        if !ops.iter().all(is_read) {
            return Err(ErrorCode::MarshallingError);
        }
        for op in ops {
            let start = out.len();
            MultiHeader {
                kind: op.op().code(),
                done: false,
                err: 0,
            }
            .encode(out);
            if let Err(error) = self.read_into(op, who, out) {
                out.truncate(start);
                encode::multi_error(error.code(), out);
            }
        }
        MultiHeader::END.encode(out);
        Ok(())
    }

    /// Data and state.
    pub(crate) fn encode_data(&self, id: u32, out: &mut Vec<u8>) {
        encode::buffer(self.znodes.data(id), out);
        self.stat(id).encode(out);
    }

    fn encode_children(&self, id: u32, out: &mut Vec<u8>) {
        encode::count(self.znodes.child_count(id) as usize, out);
        for child in self.znodes.children(id) {
            encode::string(self.znodes.name(child), out);
        }
    }

    fn encode_acl(&self, path: &str, who: Caller<'_>, out: &mut Vec<u8>) -> Result<(), ErrorCode> {
        let id = self.znodes.find(path).ok_or(ErrorCode::NoNode)?;
        self.require(id, Perms::READ | Perms::ADMIN, who)?;
        let may_change = self.require(id, Perms::ADMIN, who).is_ok();
        match self.acl(id) {
            None => Acl::open().encode(out),
            Some(list) => {
                encode::count(list.len(), out);
                for entry in list.iter() {
                    if may_change {
                        entry.encode(out);
                    } else {
                        acl::masked(entry).encode(out);
                    }
                }
            }
        }
        self.stat(id).encode(out);
        Ok(())
    }

    /// The caller's own ephemerals whose path starts with `prefix`, as a string.
    fn encode_ephemerals(&self, prefix: &str, who: Caller<'_>, out: &mut Vec<u8>) {
        // As Java trims: control characters too, but not every blank of Unicode.
        let all = matches!(prefix.trim_matches(|c| c <= ' '), "" | "/");
        let paths: Vec<String> = self
            .ephemerals(who.session)
            .filter(|path| all || path.starts_with(prefix))
            .collect();
        paths.encode(out);
    }
}
