//! All of a snapshot, one piece a line.

use std::collections::BTreeMap;
use std::io::{BufWriter, Write as _, stdout};
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use txnlog::Trailer;
use wire::snapshot::{OPEN_ACL, Piece, ZnodeRecord};

use super::{Source, shown};
use crate::tools::acl_text;

pub(super) fn dump(path: &Path, json: bool, data: bool) -> anyhow::Result<()> {
    let source = Source::open(path, true)?;
    let mut out = BufWriter::new(stdout().lock());
    let mut acls = BTreeMap::from([(OPEN_ACL, "world:anyone:cdrwa".to_owned())]);
    let trailer = source.each(|piece| {
        match piece {
            Piece::Session(session) => {
                let (id, timeout) = (session.session, session.timeout);
                if json {
                    let line = json!({ "session": id.to_string(), "timeout": timeout });
                    writeln!(out, "{line}")?;
                } else {
                    writeln!(out, "session {id} timeout {timeout}")?;
                }
            }
            Piece::Acl(acl) => {
                acls.insert(acl.index, acl_text(&acl.acl));
            }
            Piece::Znode(znode) => {
                let unknown = "unknown".to_owned();
                let acl = acls.get(&znode.acl).unwrap_or(&unknown);
                let line = if json {
                    json_line(&znode, acl, data)
                } else {
                    text_line(&znode, acl, data)
                };
                writeln!(out, "{line}")?;
            }
            Piece::Sessions(_) | Piece::Acls(_) | Piece::End => {}
        }
        Ok(())
    })?;
    writeln!(out, "{}", end_line(trailer, json))?;
    out.flush()?;
    Ok(())
}

fn text_line(znode: &ZnodeRecord, acl: &str, data: bool) -> String {
    let stat = &znode.stat;
    let shown_data = match &znode.data {
        None => "no data".to_owned(),
        Some(bytes) if data => match std::str::from_utf8(bytes) {
            Ok(text) => format!("{text:?}"),
            Err(_) => format!("base64:{}", STANDARD.encode(bytes)),
        },
        Some(bytes) => format!("{} bytes", bytes.len()),
    };
    format!(
        "{} {shown_data} acl {acl} czxid {} mzxid {} pzxid {} version {} cversion {} aversion {} \
         owner {:#x} ctime {} mtime {}",
        shown(&znode.path),
        stat.czxid,
        stat.mzxid,
        stat.pzxid,
        stat.version,
        stat.cversion,
        stat.aversion,
        stat.ephemeral_owner,
        stat.ctime,
        stat.mtime,
    )
}

fn json_line(znode: &ZnodeRecord, acl: &str, data: bool) -> String {
    let stat = &znode.stat;
    let mut line = json!({
        "path": shown(&znode.path),
        "dataLength": znode.data.as_ref().map(bytes::Bytes::len),
        "acl": acl,
        "czxid": stat.czxid.to_string(),
        "mzxid": stat.mzxid.to_string(),
        "pzxid": stat.pzxid.to_string(),
        "version": stat.version,
        "cversion": stat.cversion,
        "aversion": stat.aversion,
        "owner": format!("{:#x}", stat.ephemeral_owner),
        "ctime": stat.ctime,
        "mtime": stat.mtime,
    });
    if let Some(bytes) = znode.data.as_ref().filter(|_| data) {
        match std::str::from_utf8(bytes) {
            Ok(text) => line["data"] = text.into(),
            Err(_) => line["base64"] = STANDARD.encode(bytes).into(),
        }
    }
    line.to_string()
}

fn end_line(trailer: Trailer, json: bool) -> String {
    let last = trailer.last_zxid.map(|zxid| zxid.to_string());
    let digest = trailer.digest.map(|digest| format!("{:#x}", digest.digest));
    if json {
        return json!({ "end": true, "lastZxid": last, "digest": digest }).to_string();
    }
    let unknown = || "unknown".to_owned();
    format!(
        "end: last zxid {}, digest {}",
        last.unwrap_or_else(unknown),
        digest.unwrap_or_else(unknown)
    )
}
