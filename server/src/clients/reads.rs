//! Requests that are served from the tree.

use tree::{Caller, Tree, Watcher, read_watch};
use wire::client::{ErrorCode, ReplyHeader, Request, SetWatches, SetWatches2};
use wire::{Record, Zxid};

use crate::clients::connection::Connection;
use crate::clients::mailbox::event_frame;

/// Appends the answer to a read. The caller holds the tree's guard and has sent all events that
/// belong to what it shows.
pub(crate) fn serve(
    connection: &Connection,
    tree: &Tree,
    xid: i32,
    request: &Request,
    out: &mut Vec<u8>,
) {
    match request {
        Request::SetWatches(old) => catch_up(connection, tree, &widened(old), out),
        Request::SetWatches2(wanted) => catch_up(connection, tree, wanted, out),
        _ => {}
    }
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    let err = match answer(connection, tree, request, out) {
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

/// A frame's length.
const LENGTH: usize = 4;
/// That and a [`ReplyHeader`].
const HEADER: usize = LENGTH + 4 + 8 + 4;

fn put_header(header: &ReplyHeader, place: &mut [u8]) {
    place[..4].copy_from_slice(&header.xid.to_be_bytes());
    place[4..12].copy_from_slice(&header.zxid.0.to_be_bytes());
    place[12..].copy_from_slice(&header.err.to_be_bytes());
}

fn answer(
    connection: &Connection,
    tree: &Tree,
    request: &Request,
    out: &mut Vec<u8>,
) -> Result<(), ErrorCode> {
    let watches = &connection.shared.watches;
    let watcher = Watcher(connection.mailbox.client.0);
    match request {
        Request::SetWatches(_) | Request::SetWatches2(_) => Ok(()),
        Request::CheckWatches(wanted) => watches.lock().check(watcher, wanted),
        Request::RemoveWatches(wanted) => watches.lock().remove(watcher, wanted),
        Request::AddWatch(wanted) => {
            watches.lock().add_requested(watcher, wanted)?;
            ErrorCode::Ok.code().encode(out);
            Ok(())
        }
        _ => {
            let caller = Caller {
                session: connection.session,
                identities: &connection.identities,
            };
            let outcome = tree.read_into(request, caller, out);
            if let Some((path, kind)) = read_watch(request, &outcome) {
                watches.lock().add(path, kind, watcher);
            }
            outcome
        }
    }
}

/// Sets watches again, and appends the events that the client missed.
fn catch_up(connection: &Connection, tree: &Tree, wanted: &SetWatches2, out: &mut Vec<u8>) {
    let watcher = Watcher(connection.mailbox.client.0);
    let mut missed = Vec::new();
    let mut watches = connection.shared.watches.lock();
    watches.set_watches(tree, watcher, wanted, &mut missed);
    drop(watches);
    for event in &missed {
        event_frame(out, event.kind, &event.path, Zxid::NONE);
    }
    connection.sent(missed.len() as u64);
}

fn widened(old: &SetWatches) -> SetWatches2 {
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
