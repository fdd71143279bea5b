//! What commands print: zkCli's lines, or JSON.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};
use wire::client::{ClientInfo, EventType};
use wire::{Acl, Stat};

use super::acl::permissions;
use super::failure::Failure;
use super::session::Event;

/// What a command found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Created(String),
    Children(Vec<String>),
    /// One of a listing of many.
    Path(String),
    Data(Option<Bytes>, Form),
    Stat(Stat),
    Acl(Vec<Acl>),
    Count(i32),
    Ephemerals(Vec<String>),
    WhoAmI(Vec<ClientInfo>),
    /// Error code of a sync, 0 for done.
    Synced(i32),
    Quota {
        path: String,
        limits: String,
        used: String,
    },
    Config(String),
    Reconfigured(String),
    Version(String),
    PrintsWatches(bool),
    History(Vec<(usize, Option<String>)>),
}

/// How data is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Text,
    Base64,
    Hex,
}

/// Takes lines that come while a person types.
type Aside = Box<dyn FnMut(String) + Send>;

/// Where answers, errors and events go. Clones share it.
#[derive(Clone)]
pub(crate) struct Output {
    json: bool,
    aside: Arc<Mutex<Option<Aside>>>,
}

impl Output {
    pub(super) fn new(json: bool) -> Self {
        Self {
            json,
            aside: Arc::default(),
        }
    }

    /// Events go to `aside` from now on, as they come while a person types.
    pub(super) fn set_aside(&self, aside: Option<Aside>) {
        *self.aside.lock().unwrap_or_else(PoisonError::into_inner) = aside;
    }

    pub(super) fn answer(&self, answer: &Answer) {
        if self.json {
            return out(&json_of(answer).to_string());
        }
        match answer {
            // As zkCli, of which scripts read the error stream for this.
            Answer::Created(path) => err(&format!("Created {path}")),
            Answer::Quota { path, limits, used } => {
                out(&format!("Output quota for {path} {limits}"));
                out(&format!("Output stat for {path} {used}"));
            }
            answer => out(&text_of(answer)),
        }
    }

    pub(super) fn failure(&self, failure: &Failure) {
        if self.json {
            let mut value = json!({ "error": failure.to_string() });
            if let Failure::Refused(refused) = failure {
                value["code"] = refused.code.into();
                value["path"] = refused.path.clone().into();
            }
            return err(&value.to_string());
        }
        err(&failure.to_string());
    }

    pub(super) fn event(&self, event: &Event) {
        let kind = event_name(event.kind);
        let text = if self.json {
            let path = &event.path;
            json!({ "event": kind, "state": event.state, "path": path, "zxid": event.zxid })
                .to_string()
        } else {
            let path = event.path.as_deref().unwrap_or("null");
            let (state, zxid) = (event.state, event.zxid);
            format!(
                "\nWATCHER::\n\nWatchedEvent state:{state} type:{kind} path:{path} zxid: {zxid}"
            )
        };
        let mut aside = self.aside.lock().unwrap_or_else(PoisonError::into_inner);
        match &mut *aside {
            Some(aside) => aside(text + "\n"),
            None => out(&text),
        }
    }

    /// For people and for scripts that read text.
    pub(super) fn notice(&self, text: &str) {
        if !self.json {
            out(text);
        }
    }

    /// The same on the error stream, also beside JSON.
    pub(super) fn remark(&self, text: &str) {
        if self.json {
            err(&json!({ "remark": text }).to_string());
        } else {
            err(text);
        }
    }
}

/// Whoever reads may have gone: that is no error of ours.
fn out(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
}

fn err(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

fn text_of(answer: &Answer) -> String {
    match answer {
        Answer::Created(path) | Answer::Path(path) => path.clone(),
        Answer::Children(names) | Answer::Ephemerals(names) => format!("[{}]", names.join(", ")),
        Answer::Data(data, form) => show(data.as_ref(), *form),
        Answer::Stat(stat) => stat_text(stat),
        Answer::Acl(acl) => acl_text(acl),
        Answer::Count(count) => count.to_string(),
        Answer::WhoAmI(infos) => {
            let mut text = "Auth scheme: User".to_owned();
            for info in infos {
                let _ = write!(text, "\n{}: {}", info.scheme, info.user);
            }
            text
        }
        Answer::Synced(0) => "Sync is OK".to_owned(),
        Answer::Synced(code) => format!("Sync has failed. rc={code}"),
        Answer::Quota { limits, .. } => limits.clone(),
        Answer::Config(text) => text.clone(),
        Answer::Reconfigured(text) => format!("Committed new configuration:\n{text}"),
        Answer::Version(version) => format!("ZooKeeper CLI version: {version}"),
        Answer::PrintsWatches(on) => {
            format!("printwatches is {}", if *on { "on" } else { "off" })
        }
        Answer::History(lines) => {
            let line = |(number, line): &(usize, Option<String>)| {
                format!("{number} - {}", line.as_deref().unwrap_or("null"))
            };
            lines.iter().map(line).collect::<Vec<_>>().join("\n")
        }
    }
}

fn json_of(answer: &Answer) -> Value {
    match answer {
        Answer::Created(path) => json!({ "created": path }),
        Answer::Children(names) => json!({ "children": names }),
        Answer::Path(path) => json!({ "path": path }),
        Answer::Data(None, _) => json!({ "data": null }),
        Answer::Data(Some(data), form) => match (form, std::str::from_utf8(data)) {
            (Form::Text, Ok(text)) => json!({ "data": text }),
            _ => json!({ "base64": STANDARD.encode(data) }),
        },
        Answer::Stat(stat) => json!({ "stat": stat_json(stat) }),
        Answer::Acl(acl) => {
            let entry = |entry: &Acl| {
                json!({
                    "scheme": entry.id.scheme,
                    "id": entry.id.id,
                    "permissions": permissions(entry.perms),
                })
            };
            json!({ "acl": acl.iter().map(entry).collect::<Vec<_>>() })
        }
        Answer::Count(count) => json!({ "count": count }),
        Answer::Ephemerals(paths) => json!({ "ephemerals": paths }),
        Answer::WhoAmI(infos) => {
            let info = |info: &ClientInfo| json!({ "scheme": info.scheme, "user": info.user });
            json!({ "identities": infos.iter().map(info).collect::<Vec<_>>() })
        }
        Answer::Synced(code) => json!({ "synced": *code == 0, "code": code }),
        Answer::Quota { path, limits, used } => {
            json!({ "path": path, "limits": limits, "used": used })
        }
        Answer::Config(text) | Answer::Reconfigured(text) => json!({ "config": text }),
        Answer::Version(version) => json!({ "version": version }),
        Answer::PrintsWatches(on) => json!({ "printwatches": on }),
        Answer::History(lines) => json!({ "history": lines }),
    }
}

fn show(data: Option<&Bytes>, form: Form) -> String {
    match (data, form) {
        (None, _) => "null".to_owned(),
        (Some(data), Form::Text) => String::from_utf8_lossy(data).into_owned(),
        (Some(data), Form::Base64) => STANDARD.encode(data),
        (Some(data), Form::Hex) => hex(data),
    }
}

/// Sixteen bytes a row, in a frame.
fn hex(data: &[u8]) -> String {
    const ROW: usize = 16;
    const EDGE: &str = "+-------------------------------------------------+";
    const FOOT: &str =
        "+--------+-------------------------------------------------+----------------+";
    if data.is_empty() {
        return String::new();
    }
    let columns: String = (0..ROW).map(|column| format!("  {column:x}")).collect();
    let mut text = format!("         {EDGE}\n         |{columns} |\n{FOOT}");
    for (row, bytes) in data.chunks(ROW).enumerate() {
        let numbers: String = bytes.iter().map(|byte| format!(" {byte:02x}")).collect();
        let letter = |byte: &u8| match byte {
            0x20..=0x7e => char::from(*byte),
            _ => '.',
        };
        let letters: String = bytes.iter().map(letter).collect();
        let _ = write!(text, "\n|{:08x}|{numbers:<48} |{letters:<16}|", row * ROW);
    }
    text + "\n" + FOOT
}

fn stat_text(stat: &Stat) -> String {
    format!(
        "cZxid = 0x{:x}\nctime = {}\nmZxid = 0x{:x}\nmtime = {}\npZxid = 0x{:x}\ncversion = {}\n\
         dataVersion = {}\naclVersion = {}\nephemeralOwner = 0x{:x}\ndataLength = {}\n\
         numChildren = {}",
        stat.czxid.0,
        date(stat.ctime),
        stat.mzxid.0,
        date(stat.mtime),
        stat.pzxid.0,
        stat.cversion,
        stat.version,
        stat.aversion,
        stat.ephemeral_owner,
        stat.data_length,
        stat.num_children,
    )
}

fn stat_json(stat: &Stat) -> Value {
    json!({
        "czxid": stat.czxid.0.cast_signed(),
        "mzxid": stat.mzxid.0.cast_signed(),
        "pzxid": stat.pzxid.0.cast_signed(),
        "ctime": stat.ctime,
        "mtime": stat.mtime,
        "version": stat.version,
        "cversion": stat.cversion,
        "aversion": stat.aversion,
        "ephemeralOwner": stat.ephemeral_owner,
        "dataLength": stat.data_length,
        "numChildren": stat.num_children,
    })
}

fn acl_text(acl: &[Acl]) -> String {
    let entry = |entry: &Acl| {
        let (scheme, id) = (&entry.id.scheme, &entry.id.id);
        format!("'{scheme},'{id}\n: {}", permissions(entry.perms))
    };
    acl.iter().map(entry).collect::<Vec<_>>().join("\n")
}

/// As Java prints dates: `Thu Jan 01 00:00:00 UTC 1970`.
fn date(milliseconds: i64) -> String {
    match Timestamp::from_millisecond(milliseconds) {
        Ok(time) => {
            let local = time.to_zoned(TimeZone::system());
            local.strftime("%a %b %d %H:%M:%S %Z %Y").to_string()
        }
        Err(_) => milliseconds.to_string(),
    }
}

const fn event_name(kind: EventType) -> &'static str {
    match kind {
        EventType::None => "None",
        EventType::NodeCreated => "NodeCreated",
        EventType::NodeDeleted => "NodeDeleted",
        EventType::NodeDataChanged => "NodeDataChanged",
        EventType::NodeChildrenChanged => "NodeChildrenChanged",
        EventType::DataWatchRemoved => "DataWatchRemoved",
        EventType::ChildWatchRemoved => "ChildWatchRemoved",
        EventType::PersistentWatchRemoved => "PersistentWatchRemoved",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_in_rows_of_sixteen() {
        let data: Vec<u8> = (0x4e..0x5f).chain([0x0a]).collect();
        assert_eq!(
            hex(&data),
            "         +-------------------------------------------------+\n         \
             |  0  1  2  3  4  5  6  7  8  9  a  b  c  d  e  f |\n\
             +--------+-------------------------------------------------+----------------+\n\
             |00000000| 4e 4f 50 51 52 53 54 55 56 57 58 59 5a 5b 5c 5d |NOPQRSTUVWXYZ[\\]|\n\
             |00000010| 5e 0a                                           |^.              |\n\
             +--------+-------------------------------------------------+----------------+"
        );
        assert_eq!(hex(&[]), "");
    }

    #[test]
    fn json_keeps_bytes_that_are_no_text() {
        let data = |bytes: &'static [u8], form| {
            json_of(&Answer::Data(Some(Bytes::from_static(bytes)), form)).to_string()
        };
        assert_eq!(data(b"a\"b", Form::Text), r#"{"data":"a\"b"}"#);
        assert_eq!(data(b"\xff", Form::Text), r#"{"base64":"/w=="}"#);
        assert_eq!(data(b"a", Form::Base64), r#"{"base64":"YQ=="}"#);
        let absent = json_of(&Answer::Data(None, Form::Text)).to_string();
        assert_eq!(absent, r#"{"data":null}"#);
    }
}
