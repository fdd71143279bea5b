//! Requests that are served from the tree.

use parking_lot::Mutex;
use tree::{Caller, Tree, WatchTable, Watcher, read_watch};
use wire::client::{ErrorCode, EventType, ReplyHeader, Request, SetWatches, SetWatches2};
use wire::{Id, Record, Zxid};

use crate::clients::exchange::{Read, ReadGroup};
use crate::clients::mailbox::event_frame;
use crate::deviation::Deviation;
use crate::metrics::Metrics;

/// What reads need besides the tree.
pub(crate) struct Reader<'a> {
    pub(crate) watches: &'a Mutex<WatchTable>,
    /// Whose reads they are.
    pub(crate) watcher: Watcher,
    pub(crate) metrics: &'a Metrics,
}

/// What was served of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Served {
    /// Parts of the group.
    pub(crate) count: usize,
    /// Frames appended: answers, and events that a client had missed.
    pub(crate) frames: usize,
    /// Milliseconds that the oldest of them waited, counted from its arrival to `now`.
    pub(crate) waited: u64,
    /// Bytes of the smallest and of the greatest answer to a request, if there was one.
    pub(crate) sizes: Option<(usize, usize)>,
}

/// When to stop serving, and when it is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Parts of a group.
    pub(crate) reads: usize,
    /// Bytes in the output.
    pub(crate) bytes: usize,
    /// Milliseconds since the member started.
    pub(crate) now: u64,
}

impl Reader<'_> {
    /// Serves reads of a group, in order, up to the limits. The caller holds the tree's guard and
    /// has sent all events that belong to what it shows.
    pub(crate) fn serve(
        &self,
        tree: &Tree,
        group: &ReadGroup,
        limits: &Limits,
        out: &mut Vec<u8>,
    ) -> Served {
        let mut served = Served::default();
        while served.count < limits.reads
            && out.len() < limits.bytes
            && let Some(read) = group.next()
        {
            served.count += 1;
            served.frames += 1;
            match read {
                Read::Answered(frame) => out.extend_from_slice(&frame),
                Read::Request {
                    xid,
                    request,
                    since,
                } => {
                    served.waited = served.waited.max(limits.now.saturating_sub(since));
                    served.frames += self.catch_up(tree, &request, out);
                    let start = out.len();
                    self.reply(tree, group, xid, &request, out);
                    let size = out.len() - start;
                    let (least, greatest) = served.sizes.unwrap_or((size, size));
                    served.sizes = Some((least.min(size), greatest.max(size)));
                }
            }
        }
        served
    }

    fn reply(
        &self,
        tree: &Tree,
        group: &ReadGroup,
        xid: i32,
        request: &Request,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        out.extend_from_slice(&[0; HEADER]);
        let err = match self.answer(tree, group, request, out) {
            Ok(()) => ErrorCode::Ok,
            Err(err) => {
                out.truncate(start + HEADER);
                err
            }
        };
        let length = (out.len() - start - LENGTH) as u32;
        out[start..start + LENGTH].copy_from_slice(&length.to_be_bytes());
        let header = ReplyHeader {
            xid,
            zxid: tree.last_zxid(),
            err: err.code(),
        };
        put_header(&header, &mut out[start + LENGTH..start + HEADER]);
    }

    fn answer(
        &self,
        tree: &Tree,
        group: &ReadGroup,
        request: &Request,
        out: &mut Vec<u8>,
    ) -> Result<(), ErrorCode> {
        match request {
            Request::SetWatches(_) | Request::SetWatches2(_) => Ok(()),
            Request::CheckWatches(wanted) => self.watches.lock().check(self.watcher, wanted),
            Request::RemoveWatches(wanted) => {
                let removed = self.watches.lock().remove(self.watcher, wanted);
                if Deviation::RemovesAnyWatch.is_made() {
                    return Ok(());
                }
                removed
            }
            Request::AddWatch(wanted) => {
                self.watches.lock().add_requested(self.watcher, wanted)?;
                ErrorCode::Ok.code().encode(out);
                Ok(())
            }
            _ => {
                let caller = Caller {
                    session: group.session,
                    identities: &group.identities,
                };
                let start = out.len();
                let mut outcome = tree.read_into(request, caller, out);
                if Deviation::ExistsUnread.is_made() && matches!(request, Request::Exists(_)) {
                    let all = [Id::new("super", "")];
                    let caller = Caller {
                        identities: &all,
                        ..caller
                    };
                    outcome = outcome.or_else(|_| tree.read_into(request, caller, out));
                }
                if outcome.is_ok() {
                    self.count_bytes(request, &out[start..]);
                }
                if let Some((path, kind)) = read_watch(request, &outcome) {
                    self.watches.lock().add(path, kind, self.watcher);
                }
                outcome
            }
        }
    }

    fn count_bytes(&self, request: &Request, record: &[u8]) {
        let sizes = &self.metrics.read_per_namespace;
        match request {
            Request::GetData(r) => sizes.data_read(&r.path, record.len()),
            Request::GetChildren(r) => sizes.children_read(&r.path, record, false),
            Request::GetChildren2(r) => sizes.children_read(&r.path, record, true),
            _ => {}
        }
    }

    /// For a client that sets its watches again, appends the events that it missed.
    fn catch_up(&self, tree: &Tree, request: &Request, out: &mut Vec<u8>) -> usize {
        let widened;
        let wanted = match request {
            Request::SetWatches(old) => {
                widened = widen(old);
                &widened
            }
            Request::SetWatches2(wanted) => wanted,
            _ => return 0,
        };
        let mut missed = Vec::new();
        let mut watches = self.watches.lock();
        watches.set_watches(tree, self.watcher, wanted, &mut missed);
        drop(watches);
        if Deviation::ForgetsDeletions.is_made() {
            missed.retain(|event| event.kind != EventType::NodeDeleted);
        }
        for event in &missed {
            event_frame(out, event.kind, &event.path, Zxid::NONE);
        }
        missed.len()
    }
}

/// A frame's length.
const LENGTH: usize = 4;
/// That and a [`ReplyHeader`].
const HEADER: usize = LENGTH + 4 + 8 + 4;

fn put_header(header: &ReplyHeader, place: &mut [u8]) {
    place[..4].copy_from_slice(&header.xid.to_be_bytes());
    place[4..12].copy_from_slice(&header.zxid.0.to_be_bytes());
    place[12..].copy_from_slice(&header.err.to_be_bytes());
}

fn widen(old: &SetWatches) -> SetWatches2 {
    SetWatches2 {
        relative_zxid: old.relative_zxid,
        data: old.data.clone(),
        exist: old.exist.clone(),
        child: old.child.clone(),
        persistent: Vec::new(),
        persistent_recursive: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_in_place_is_the_record() {
        let header = ReplyHeader {
            xid: 7,
            zxid: Zxid(0x1_0000_0002),
            err: -101,
        };
        let mut place = [0; HEADER - LENGTH];
        put_header(&header, &mut place);
        assert_eq!(place[..], header.to_bytes()[..]);
    }
}
