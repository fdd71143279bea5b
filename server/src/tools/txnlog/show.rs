//! One transaction as one line.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use serde_json::{Value, json};
use wire::client::OpCode;
use wire::txn::{Entry, Txn, kind};

use crate::tools::acl_text as acl;

/// How lines look.
pub(super) struct Lines {
    json: bool,
    data: bool,
}

impl Lines {
    pub(super) const fn new(json: bool, data: bool) -> Self {
        Self { json, data }
    }

    /// The record that starts at `offset`; one that holds no known transaction is told so.
    pub(super) fn record(&mut self, offset: u64, bytes: Bytes) -> String {
        let length = bytes.len();
        let entry = match Entry::decode(bytes) {
            Ok(entry) => entry,
            Err(why) if self.json => {
                return json!({ "offset": offset, "bytes": length, "unknown": why.to_string() })
                    .to_string();
            }
            Err(why) => return format!("{length} bytes at offset {offset}: unknown: {why}"),
        };
        if self.json {
            return self.json(offset, &entry).to_string();
        }
        let header = entry.header();
        let mut line = format!(
            "{} {} session {} cxid {:#x} {}",
            header.zxid,
            time(header.time),
            header.client_id,
            header.cxid,
            self.text(header.kind, entry.txn()),
        );
        if let Some(digest) = entry.digest() {
            let _ = write!(line, " digest {:#x}", digest.digest);
        }
        line
    }

    fn text(&self, kind: i32, txn: &Txn) -> String {
        let name = name(kind);
        match txn {
            Txn::Create(t) => {
                let what = if t.ephemeral { " ephemeral" } else { "" };
                let data = self.data_text(t.data.as_ref());
                format!("{name}{what} {} {data} acl {}", t.path, acl(&t.acl))
            }
            Txn::CreateTtl(t) => {
                let data = self.data_text(t.data.as_ref());
                format!("{name} {} {data} acl {} ttl {}", t.path, acl(&t.acl), t.ttl)
            }
            Txn::CreateContainer(t) => {
                let data = self.data_text(t.data.as_ref());
                format!("{name} {} {data} acl {}", t.path, acl(&t.acl))
            }
            Txn::Delete(t) => format!("{name} {}", t.path),
            Txn::SetData(t) => {
                let data = self.data_text(t.data.as_ref());
                format!("{name} {} {data} version {}", t.path, t.version)
            }
            Txn::Check(t) => format!("{name} {} version {}", t.path, t.version),
            Txn::SetAcl(t) => format!("{name} {} {} version {}", t.path, acl(&t.acl), t.version),
            Txn::CreateSession(t) => format!("{name} timeout {}", t.timeout),
            Txn::CloseSession(Some(t)) => format!("{name} deletes {:?}", t.paths_to_delete),
            Txn::CloseSession(None) => name.to_owned(),
            Txn::Error(t) => format!("{name} {}", t.err),
            Txn::Multi(parts) => {
                let parts: Vec<String> = parts
                    .iter()
                    .map(|(kind, part)| self.text(*kind, part))
                    .collect();
                format!("{name} [{}]", parts.join("; "))
            }
        }
    }

    fn data_text(&self, data: Option<&Bytes>) -> String {
        match data {
            None => "no data".to_owned(),
            Some(data) if self.data => match std::str::from_utf8(data) {
                Ok(text) => format!("{text:?}"),
                Err(_) => format!("base64:{}", STANDARD.encode(data)),
            },
            Some(data) => format!("{} bytes", data.len()),
        }
    }

    fn json(&self, offset: u64, entry: &Entry) -> Value {
        let header = entry.header();
        let mut line = json!({
            "offset": offset,
            "zxid": header.zxid.to_string(),
            "time": header.time,
            "session": header.client_id.to_string(),
            "cxid": header.cxid,
        });
        merge(&mut line, self.json_txn(header.kind, entry.txn()));
        if let Some(digest) = entry.digest() {
            line["digest"] = format!("{:#x}", digest.digest).into();
        }
        line
    }

    fn json_txn(&self, kind: i32, txn: &Txn) -> Value {
        let mut value = json!({ "type": name(kind) });
        let more = match txn {
            Txn::Create(t) => {
                let mut more = json!({ "path": t.path, "ephemeral": t.ephemeral });
                more["parentCversion"] = t.parent_cversion.into();
                more["acl"] = acl(&t.acl).into();
                merge(&mut more, self.data_json(t.data.as_ref()));
                more
            }
            Txn::CreateTtl(t) => {
                let mut more = json!({ "path": t.path, "ttl": t.ttl, "acl": acl(&t.acl) });
                more["parentCversion"] = t.parent_cversion.into();
                merge(&mut more, self.data_json(t.data.as_ref()));
                more
            }
            Txn::CreateContainer(t) => {
                let mut more = json!({ "path": t.path, "acl": acl(&t.acl) });
                more["parentCversion"] = t.parent_cversion.into();
                merge(&mut more, self.data_json(t.data.as_ref()));
                more
            }
            Txn::Delete(t) => json!({ "path": t.path }),
            Txn::SetData(t) => {
                let mut more = json!({ "path": t.path, "version": t.version });
                merge(&mut more, self.data_json(t.data.as_ref()));
                more
            }
            Txn::Check(t) => json!({ "path": t.path, "version": t.version }),
            Txn::SetAcl(t) => json!({ "path": t.path, "version": t.version, "acl": acl(&t.acl) }),
            Txn::CreateSession(t) => json!({ "timeout": t.timeout }),
            Txn::CloseSession(Some(t)) => json!({ "deletes": t.paths_to_delete }),
            Txn::CloseSession(None) => json!({}),
            Txn::Error(t) => json!({ "error": t.err }),
            Txn::Multi(parts) => {
                let parts = parts.iter().map(|(kind, part)| self.json_txn(*kind, part));
                json!({ "parts": parts.collect::<Vec<_>>() })
            }
        };
        merge(&mut value, more);
        value
    }

    fn data_json(&self, data: Option<&Bytes>) -> Value {
        match data {
            None => json!({ "dataLength": null }),
            Some(data) if self.data => {
                let text = std::str::from_utf8(data).ok();
                let mut value = json!({ "dataLength": data.len() });
                match text {
                    Some(text) => value["data"] = text.into(),
                    None => value["base64"] = STANDARD.encode(data).into(),
                }
                value
            }
            Some(data) => json!({ "dataLength": data.len() }),
        }
    }
}

fn merge(into: &mut Value, from: Value) {
    if let (Value::Object(into), Value::Object(from)) = (into, from) {
        into.extend(from);
    }
}

/// What a transaction is called: as the operation that makes it.
fn name(kind: i32) -> &'static str {
    match kind {
        kind::ERROR => "error",
        kind::DELETE_CONTAINER => "deleteContainer",
        _ => match OpCode::from_code(kind) {
            Some(OpCode::Create) => "create",
            Some(OpCode::Create2) => "create2",
            Some(OpCode::CreateTtl) => "createTTL",
            Some(OpCode::CreateContainer) => "createContainer",
            Some(OpCode::Delete) => "delete",
            Some(OpCode::SetData) => "setData",
            Some(OpCode::SetAcl) => "setACL",
            Some(OpCode::Check) => "check",
            Some(OpCode::Multi) => "multi",
            Some(OpCode::Reconfig) => "reconfig",
            Some(OpCode::CreateSession) => "createSession",
            Some(OpCode::CloseSession) => "closeSession",
            _ => "unknown",
        },
    }
}

fn time(milliseconds: i64) -> String {
    match Timestamp::from_millisecond(milliseconds) {
        Ok(time) => format!("{time:.3}"),
        Err(_) => milliseconds.to_string(),
    }
}
