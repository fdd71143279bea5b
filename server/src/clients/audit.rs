//! The audit log: who changed what, in Apache's form, by the member that the client is attached
//! to. Lines go to the log under the target `audit`.

use wire::client::{MultiResponse, MultiResult, Request};
use wire::{Acl, Id, Perms, Reader, Record, SessionId};

/// A change that a client asked for, until it is known what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Audit {
    users: Option<String>,
    address: String,
    change: Change,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Change {
    One(Operation),
    /// Each part, `None` for one that changes nothing.
    Multi(Vec<Option<Operation>>),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Operation {
    name: &'static str,
    /// As asked for; a sequential znode gets another.
    path: Option<String>,
    znode_type: Option<&'static str>,
    acl: Option<String>,
}

impl Audit {
    /// What to log of a request, if it is one that changes something.
    pub(crate) fn of(request: &Request, identities: &[Id], address: String) -> Option<Box<Self>> {
        let change = match request {
            Request::Multi(multi) => Change::Multi(multi.ops.iter().map(operation).collect()),
            request => Change::One(operation(request)?),
        };
        Some(Box::new(Self {
            users: users(identities),
            address,
            change,
        }))
    }

    /// What became of it: a line for each change.
    pub(crate) fn lines(&self, session: SessionId, err: i32, body: &[u8]) -> Vec<String> {
        match &self.change {
            Change::One(operation) if err == 0 => vec![self.line(session, operation, body, true)],
            Change::One(operation) => vec![self.line(session, operation, &[], false)],
            Change::Multi(parts) => match MultiResponse::from_bytes(&body.to_vec().into()) {
                Ok(response) if err == 0 && !has_failed(&response) => parts
                    .iter()
                    .zip(&response.results)
                    .filter_map(|(part, result)| Some((part.as_ref()?, result)))
                    .map(|(part, result)| self.line(session, part, &path_of(result), true))
                    .collect(),
                _ => {
                    let whole = Operation {
                        name: "multiOperation",
                        ..Operation::default()
                    };
                    vec![self.line(session, &whole, &[], false)]
                }
            },
        }
    }

    /// `body` begins with the path of what was created, if something was.
    fn line(
        &self,
        session: SessionId,
        operation: &Operation,
        body: &[u8],
        is_done: bool,
    ) -> String {
        let created = operation
            .znode_type
            .and_then(|_| Reader::new(&body.to_vec().into()).read::<String>().ok());
        let session = session.to_string();
        let fields = [
            ("session", Some(session.as_str())),
            ("user", self.users.as_deref()),
            ("ip", Some(&*self.address)),
            ("operation", Some(operation.name)),
            ("znode", created.as_deref().or(operation.path.as_deref())),
            ("znode_type", operation.znode_type),
            ("acl", operation.acl.as_deref()),
            ("result", Some(if is_done { "success" } else { "failure" })),
        ];
        joined(&fields)
    }
}

/// An ephemeral znode went with its session.
pub(crate) fn ephemeral_gone(session: SessionId, path: &str) -> String {
    let session = session.to_string();
    joined(&[
        ("session", Some(&session)),
        ("user", Some(&owner())),
        (
            "operation",
            Some("ephemeralZNodeDeletionOnSessionCloseOrExpire"),
        ),
        ("znode", Some(path)),
        ("result", Some("success")),
    ])
}

/// The member itself does something: `serverStart`, `serverStop`.
pub(crate) fn member(operation: &str, result: &str) {
    write(&joined(&[
        ("user", Some(&owner())),
        ("operation", Some(operation)),
        ("result", Some(result)),
    ]));
}

/// Logs a line; what failed counts as an error, as in Apache.
pub(crate) fn write(line: &str) {
    if line.ends_with("result=failure") {
        tracing::error!(target: "audit", "{line}");
    } else {
        tracing::info!(target: "audit", "{line}");
    }
}

/// Whom the member runs as.
fn owner() -> String {
    std::env::var("USER").unwrap_or_else(|_| match rustix::process::getuid() {
        uid if uid.is_root() => "root".to_owned(),
        uid => uid.as_raw().to_string(),
    })
}

/// What has a value, between tabs. No value can end a line, or a field.
fn joined(fields: &[(&str, Option<&str>)]) -> String {
    let told: Vec<String> = fields
        .iter()
        .filter_map(|(name, value)| Some(format!("{name}={}", value.as_ref()?.escape_debug())))
        .collect();
    told.join("\t")
}

fn has_failed(response: &MultiResponse) -> bool {
    let mut results = response.results.iter();
    results.any(|result| matches!(result, MultiResult::Error(_)))
}

fn path_of(result: &MultiResult) -> Vec<u8> {
    let mut path = Vec::new();
    match result {
        MultiResult::Create(created) => created.path.encode(&mut path),
        MultiResult::Create2(created) => created.path.encode(&mut path),
        _ => {}
    }
    path
}

fn operation(request: &Request) -> Option<Operation> {
    let create = |path: &str, flags: i32| Operation {
        name: "create",
        path: Some(path.to_owned()),
        znode_type: Some(znode_type(flags)),
        acl: None,
    };
    let other = |name, path: Option<&str>| Operation {
        name,
        path: path.map(ToOwned::to_owned),
        ..Operation::default()
    };
    Some(match request {
        Request::Create(r) | Request::Create2(r) | Request::CreateContainer(r) => {
            create(&r.path, r.flags)
        }
        Request::CreateTtl(r) => create(&r.path, r.flags),
        Request::Delete(r) => other("delete", Some(&r.path)),
        Request::SetData(r) => other("setData", Some(&r.path)),
        Request::SetAcl(r) => Operation {
            acl: Some(r.acl.iter().map(acl_text).collect()),
            ..other("setAcl", Some(&r.path))
        },
        Request::Reconfig(_) => other("reconfig", Some("/zookeeper/config")),
        _ => return None,
    })
}

/// In Apache's words.
const fn znode_type(flags: i32) -> &'static str {
    match flags {
        0 => "persistent",
        1 => "ephemeral",
        2 => "persistent_sequential",
        3 => "ephemeral_sequential",
        4 => "container",
        5 => "persistent_with_ttl",
        6 => "persistent_sequential_with_ttl",
        _ => "unknown",
    }
}

fn acl_text(acl: &Acl) -> String {
    let letters = [
        (Perms::CREATE, 'c'),
        (Perms::DELETE, 'd'),
        (Perms::READ, 'r'),
        (Perms::WRITE, 'w'),
        (Perms::ADMIN, 'a'),
    ];
    let has = |perm: Perms| acl.perms.0 & perm.0 != 0;
    let given = letters.into_iter().filter(|(perm, _)| has(*perm));
    let given: String = given.map(|(_, letter)| letter).collect();
    format!("{}:{}:{given}", acl.id.scheme, acl.id.id)
}

/// Names without what proves them.
fn users(identities: &[Id]) -> Option<String> {
    let names = identities.iter().map(|id| match &*id.scheme {
        "digest" => id.id.split(':').next().unwrap_or_default(),
        _ => &*id.id,
    });
    let names: Vec<&str> = names.filter(|name| !name.trim().is_empty()).collect();
    (!names.is_empty()).then(|| names.join(","))
}

#[cfg(test)]
mod tests {
    use wire::client::{CreateRequest, DeleteRequest, MultiRequest, SetAclRequest};

    use super::*;

    fn create(path: &str, flags: i32) -> Request {
        Request::Create(CreateRequest {
            path: path.to_owned(),
            data: None,
            acl: Acl::open(),
            flags,
        })
    }

    fn delete(path: &str) -> Request {
        Request::Delete(DeleteRequest {
            path: path.to_owned(),
            version: -1,
        })
    }

    fn lines(request: &Request, err: i32, body: &[u8]) -> Vec<String> {
        let identities = [
            Id::new("ip", "127.0.0.1"),
            Id::new("digest", "me:hash"),
            Id::new("super", ""),
        ];
        let audit = Audit::of(request, &identities, "127.0.0.1".to_owned()).expect("a change");
        audit.lines(SessionId(0x1_0000), err, body)
    }

    const WHO: &str = "session=0x10000\tuser=127.0.0.1,me\tip=127.0.0.1\t";

    #[test]
    fn a_change_is_told_as_apache_tells_it() {
        let mut created = Vec::new();
        "/a0000000001".to_owned().encode(&mut created);
        let set_acl = Request::SetAcl(SetAclRequest {
            path: "/a".to_owned(),
            acl: Acl::open(),
            version: -1,
        });
        for (request, err, body, rest) in [
            (
                create("/a", 2),
                0,
                &created[..],
                "operation=create\tznode=/a0000000001\tznode_type=persistent_sequential\tresult=success",
            ),
            (
                create("/a", 0),
                -110,
                &[],
                "operation=create\tznode=/a\tznode_type=persistent\tresult=failure",
            ),
            (
                delete("/a"),
                0,
                &[],
                "operation=delete\tznode=/a\tresult=success",
            ),
            (
                delete("/a\n\t"),
                0,
                &[],
                "operation=delete\tznode=/a\\n\\t\tresult=success",
            ),
            (
                set_acl,
                0,
                &[],
                "operation=setAcl\tznode=/a\tacl=world:anyone:cdrwa\tresult=success",
            ),
        ] {
            assert_eq!(lines(&request, err, body), [format!("{WHO}{rest}")]);
        }
    }

    #[test]
    fn a_multi_is_told_part_by_part_or_as_one_failure() {
        let multi = Request::Multi(MultiRequest {
            ops: vec![create("/a", 1), delete("/b")],
        });
        let created = wire::client::CreateResponse {
            path: "/a".to_owned(),
        };
        let done = MultiResponse {
            results: vec![MultiResult::Create(created), MultiResult::Delete],
        };
        assert_eq!(
            lines(&multi, 0, &done.to_bytes()),
            [
                format!("{WHO}operation=create\tznode=/a\tznode_type=ephemeral\tresult=success"),
                format!("{WHO}operation=delete\tznode=/b\tresult=success"),
            ]
        );
        let failed = MultiResponse {
            results: vec![MultiResult::Error(0), MultiResult::Error(-101)],
        };
        let line = format!("{WHO}operation=multiOperation\tresult=failure");
        assert_eq!(lines(&multi, 0, &failed.to_bytes()), [line]);
    }

    #[test]
    fn what_changes_nothing_is_not_told() {
        assert_eq!(Audit::of(&Request::Ping(()), &[], String::new()), None);
    }
}
