//! How a cell of the table is met: what must be there, and what is then asked.

use bytes::Bytes;
use wire::client::{
    AddWatchRequest, BarePath, CheckVersionRequest, CreateRequest, CreateTtlRequest, DeleteRequest,
    ErrorCode, MultiRequest, OpCode, PathRequest, Request, SaslToken, SetAclRequest,
    SetDataRequest, SetWatches, SetWatches2, WatchesRequest,
};
use wire::{Acl, Id, Perms, Zxid};

use super::asked::{self, Asked};
use super::session::CLOSED;

/// What leads to a cell.
pub(super) struct Recipe {
    /// Asked before, by the superuser's client.
    pub(super) before: Vec<Request>,
    /// Asked before, by the client itself.
    pub(super) own: Vec<Request>,
    pub(super) asked: Asked,
    /// Asked afterwards, by the superuser's client.
    pub(super) after: Vec<Request>,
}

impl Recipe {
    fn new(asked: impl Into<Asked>) -> Self {
        Self {
            before: Vec::new(),
            own: Vec::new(),
            asked: asked.into(),
            after: Vec::new(),
        }
    }
}

/// What the recipes find: an open znode, one with a child, one of which only the superuser may
/// see anything, and two with quotas.
pub(super) fn fixtures() -> Vec<Request> {
    let nobody = vec![Acl {
        perms: Perms(31),
        id: Id::new("digest", "nobody:x"),
    }];
    let limit =
        |count, bytes| format!("count=-1,bytes=-1=;byteHardLimit={bytes};countHardLimit={count}");
    let mut made = Vec::new();
    let mut make = |path: &str, data: &str, acl: &[Acl]| {
        made.push(Request::Create(CreateRequest {
            path: path.to_owned(),
            data: Some(Bytes::copy_from_slice(data.as_bytes())),
            acl: acl.to_vec(),
            flags: 0,
        }));
    };
    let open = Acl::open();
    for path in [
        "/d",
        "/f",
        "/f/open",
        "/f/full",
        "/f/full/x",
        "/f/acl",
        "/f/tight",
        "/f/loose",
    ] {
        make(path, "abc", &open);
    }
    make("/f/none", "abc", &nobody);
    make("/f/none/x", "abc", &nobody);
    for (name, count, bytes) in [("tight", 1, 10), ("loose", 5, 300)] {
        let quota = format!("/zookeeper/quota/f/{name}");
        if name == "tight" {
            make("/zookeeper/quota/f", "", &open);
        }
        make(&quota, "", &open);
        make(
            &format!("{quota}/zookeeper_limits"),
            &limit(count, bytes),
            &open,
        );
        make(
            &format!("{quota}/zookeeper_stats"),
            "count=0,bytes=0",
            &open,
        );
    }
    made
}

/// How `name` meets `err`; `number` makes its paths its own.
pub(super) fn recipe(name: &str, err: i32, number: u64) -> Option<Recipe> {
    if let Some(part) = name.strip_prefix("multi: ") {
        return in_multi(part, err, number);
    }
    let op = OpCode::ALL.iter().find(|op| asked::name(**op) == name);
    let Some(op) = op.filter(|op| asked::name(**op) != "unknown") else {
        return (name == "unknown").then(|| Recipe::new(unknown()));
    };
    if err == CLOSED && matches!(op, OpCode::Auth | OpCode::Sasl) {
        // Credentials that cannot be read end the connection.
        let whole = if *op == OpCode::Auth {
            Asked::auth("digest", Some(b"alice:a"))
        } else {
            plain(*op, ErrorCode::Ok)?.into()
        };
        let Asked::Request(whole) = whole else {
            return None;
        };
        return Some(Recipe::new(Asked::cut(&whole)));
    }
    let error = ErrorCode::from_code(err).unwrap_or(ErrorCode::Ok);
    match (op, error) {
        (OpCode::Reconfig, error) => Some(Recipe::new(reconfig(error)?)),
        (OpCode::Auth, ErrorCode::AuthFailed) => {
            Some(Recipe::new(Asked::auth("unknown", Some(b"x"))))
        }
        (OpCode::Auth, _) => Some(Recipe::new(Asked::auth("digest", Some(b"dora:d")))),
        (OpCode::CheckWatches | OpCode::RemoveWatches | OpCode::AddWatch, error) => {
            watch(*op, error)
        }
        (OpCode::Multi, ErrorCode::MarshallingError) => {
            let create = create(OpCode::Create, "/f/open", 7, Acl::open());
            let ops = vec![create];
            Some(Recipe::new(Request::Multi(MultiRequest { ops })))
        }
        (_, ErrorCode::MarshallingError) => {
            let whole = single(*op, ErrorCode::Ok, number)?;
            let Asked::Request(request) = &whole.asked else {
                return None;
            };
            Some(Recipe::new(Asked::cut(request)))
        }
        (_, error) => single(*op, error, number),
    }
}

fn unknown() -> Asked {
    Asked::Raw {
        name: "unknown",
        op: 99,
        record: Bytes::new(),
    }
}

fn reconfig(error: ErrorCode) -> Option<Asked> {
    let server = "server.9=127.0.0.1:1:2;3";
    Some(match error {
        ErrorCode::BadVersion => Asked::reconfig(Some(server), None, None, 7),
        ErrorCode::BadArguments => Asked::reconfig(Some("x"), None, None, -1),
        ErrorCode::NewConfigNoQuorum => {
            let others = "server.8=127.0.0.1:4:5;6,server.9=127.0.0.1:1:2;3";
            Asked::reconfig(None, None, Some(others), -1)
        }
        ErrorCode::MarshallingError => {
            let Asked::Raw { name, op, record } = Asked::reconfig(None, Some("9"), None, -1) else {
                return None;
            };
            let record = record.slice(..record.len() - 1);
            Asked::Raw { name, op, record }
        }
        // All of those that there are stay, which a client without rights may not ask for either.
        _ => Asked::reconfig(None, Some("9"), None, -1),
    })
}

fn watch(op: OpCode, error: ErrorCode) -> Option<Recipe> {
    let path = "/f/open".to_owned();
    let unwatched = "/f/unwatched".to_owned();
    if op == OpCode::AddWatch {
        let mode = if error == ErrorCode::MarshallingError {
            7
        } else {
            0
        };
        return Some(Recipe::new(Request::AddWatch(AddWatchRequest {
            path,
            mode,
        })));
    }
    let request = match error {
        ErrorCode::NoWatcher => WatchesRequest {
            path: unwatched,
            kind: 2,
        },
        ErrorCode::MarshallingError => WatchesRequest { path, kind: 9 },
        _ => WatchesRequest {
            path: path.clone(),
            kind: 2,
        },
    };
    let mut recipe = Recipe::new(match op {
        OpCode::CheckWatches => Request::CheckWatches(request),
        _ => Request::RemoveWatches(request),
    });
    if !matches!(error, ErrorCode::NoWatcher | ErrorCode::MarshallingError) {
        let path = "/f/open".to_owned();
        recipe.own = vec![Request::Exists(PathRequest { path, watch: true })];
    }
    Some(recipe)
}

/// A part that meets `err`, behind one that succeeds.
fn in_multi(part: &str, err: i32, number: u64) -> Option<Recipe> {
    let op = OpCode::ALL.iter().find(|op| asked::name(**op) == part)?;
    let is_read = matches!(op, OpCode::GetData | OpCode::GetChildren);
    let error = ErrorCode::from_code(err)?;
    // Whose session it is, is for the member to say.
    let error = match error {
        ErrorCode::SessionExpired => ErrorCode::EphemeralOnLocalSession,
        error => error,
    };
    let follows = error == ErrorCode::RuntimeInconsistency;
    let whole = single(*op, if follows { ErrorCode::Ok } else { error }, number)?;
    let Asked::Request(request) = whole.asked else {
        return None;
    };
    let path = if follows { "/f/missing" } else { "/f/open" };
    let first = Request::Check(CheckVersionRequest {
        path: path.to_owned(),
        version: -1,
    });
    let asked = if is_read {
        Request::MultiRead(MultiRequest { ops: vec![request] })
    } else {
        Request::Multi(MultiRequest {
            ops: vec![first, request],
        })
    };
    Some(Recipe {
        asked: asked.into(),
        ..whole
    })
}

fn single(op: OpCode, error: ErrorCode, number: u64) -> Option<Recipe> {
    match op {
        OpCode::Create | OpCode::Create2 | OpCode::CreateContainer | OpCode::CreateTtl => {
            Some(creation(op, error, number))
        }
        OpCode::Delete => Some(deletion(error, number)),
        OpCode::SetData | OpCode::SetAcl | OpCode::Check => Some(change(op, error)),
        _ => Some(Recipe::new(plain(op, error)?)),
    }
}

fn create(op: OpCode, path: &str, flags: i32, acl: Vec<Acl>) -> Request {
    let create = CreateRequest {
        path: path.to_owned(),
        data: Some(Bytes::from_static(b"abc")),
        acl,
        flags,
    };
    match op {
        OpCode::Create => Request::Create(create),
        OpCode::Create2 => Request::Create2(create),
        OpCode::CreateContainer => Request::CreateContainer(CreateRequest { flags: 4, ..create }),
        _ => Request::CreateTtl(CreateTtlRequest {
            path: create.path,
            data: create.data,
            acl: create.acl,
            flags: 5,
            ttl: 5_000_000,
        }),
    }
}

fn delete(path: &str, version: i32) -> Request {
    Request::Delete(DeleteRequest {
        path: path.to_owned(),
        version,
    })
}

fn creation(op: OpCode, error: ErrorCode, number: u64) -> Recipe {
    let fresh = format!("/d/n{number}");
    let (path, flags, acl) = match error {
        ErrorCode::BadArguments => ("/f/open/".to_owned(), 0, Acl::open()),
        ErrorCode::NoNode => ("/f/missing/x".to_owned(), 0, Acl::open()),
        ErrorCode::NoAuth => ("/f/none/y".to_owned(), 0, Acl::open()),
        ErrorCode::NodeExists => ("/f/open".to_owned(), 0, Acl::open()),
        ErrorCode::InvalidAcl => (fresh.clone(), 0, Vec::new()),
        ErrorCode::NoChildrenForEphemerals => (format!("{fresh}/x"), 0, Acl::open()),
        ErrorCode::QuotaExceeded => ("/f/tight/y".to_owned(), 0, Acl::open()),
        ErrorCode::EphemeralOnLocalSession => (fresh.clone(), 1, Acl::open()),
        ErrorCode::Unimplemented => (fresh.clone(), 5, Acl::open()),
        _ => (fresh.clone(), 0, Acl::open()),
    };
    let mut recipe = Recipe::new(create(op, &path, flags, acl));
    match error {
        ErrorCode::NoChildrenForEphemerals => {
            recipe.before = vec![create(OpCode::Create, &fresh, 1, Acl::open())];
            recipe.after = vec![delete(&fresh, -1)];
        }
        ErrorCode::Ok => recipe.after = vec![delete(&fresh, -1)],
        _ => {}
    }
    recipe
}

fn deletion(error: ErrorCode, number: u64) -> Recipe {
    let fresh = format!("/d/n{number}");
    let (path, version) = match error {
        ErrorCode::BadArguments => ("/", -1),
        ErrorCode::NoNode => ("/f/missing", -1),
        ErrorCode::NoAuth => ("/f/none/x", -1),
        ErrorCode::BadVersion => ("/f/open", 77),
        ErrorCode::NotEmpty => ("/f/full", -1),
        _ => (&*fresh, -1),
    };
    let mut recipe = Recipe::new(delete(path, version));
    if error == ErrorCode::Ok {
        recipe.before = vec![create(OpCode::Create, &fresh, 0, Acl::open())];
    }
    recipe
}

fn change(op: OpCode, error: ErrorCode) -> Recipe {
    let (path, version) = match error {
        ErrorCode::BadArguments => ("/f/", -1),
        ErrorCode::NoNode => ("/f/missing", -1),
        ErrorCode::NoAuth => ("/f/none", -1),
        ErrorCode::BadVersion => ("/f/open", 77),
        ErrorCode::QuotaExceeded => ("/f/tight", -1),
        _ => ("/f/acl", -1),
    };
    let path = path.to_owned();
    let bad_acl = error == ErrorCode::InvalidAcl;
    Recipe::new(match op {
        OpCode::SetData => {
            let length = if error == ErrorCode::QuotaExceeded {
                90
            } else {
                4
            };
            let data = Some(vec![7; length].into());
            Request::SetData(SetDataRequest {
                path,
                data,
                version,
            })
        }
        OpCode::SetAcl => {
            let acl = if bad_acl { Vec::new() } else { Acl::open() };
            Request::SetAcl(SetAclRequest { path, acl, version })
        }
        _ => Request::Check(CheckVersionRequest { path, version }),
    })
}

/// What changes nothing.
fn plain(op: OpCode, error: ErrorCode) -> Option<Request> {
    let path = match error {
        ErrorCode::NoNode => "/f/missing",
        ErrorCode::NoAuth => "/f/none",
        ErrorCode::BadArguments => "/a\0b",
        _ => "/f/open",
    };
    let path = path.to_owned();
    let watch = false;
    let at = |path| PathRequest { path, watch };
    let paths = vec![path.clone()];
    let version = -1;
    Some(match op {
        OpCode::Exists => Request::Exists(at(path)),
        OpCode::GetData => Request::GetData(at(path)),
        OpCode::GetChildren => Request::GetChildren(at(path)),
        OpCode::GetChildren2 => Request::GetChildren2(at(path)),
        OpCode::GetAcl => Request::GetAcl(BarePath { path }),
        OpCode::GetAllChildrenNumber => Request::GetAllChildrenNumber(BarePath { path }),
        OpCode::GetEphemerals => Request::GetEphemerals(BarePath { path }),
        OpCode::Sync => Request::Sync(BarePath { path }),
        OpCode::Ping => Request::Ping(()),
        OpCode::WhoAmI => Request::WhoAmI(()),
        OpCode::CloseSession => Request::CloseSession(()),
        OpCode::Multi => Request::Multi(MultiRequest {
            ops: vec![Request::Check(CheckVersionRequest { path, version })],
        }),
        OpCode::MultiRead => Request::MultiRead(MultiRequest {
            ops: vec![Request::GetData(at(path))],
        }),
        OpCode::SetWatches => Request::SetWatches(SetWatches {
            relative_zxid: Zxid(1),
            data: paths,
            exist: Vec::new(),
            child: Vec::new(),
        }),
        OpCode::SetWatches2 => Request::SetWatches2(SetWatches2 {
            relative_zxid: Zxid(1),
            data: paths,
            exist: Vec::new(),
            child: Vec::new(),
            persistent: Vec::new(),
            persistent_recursive: Vec::new(),
        }),
        OpCode::Sasl => Request::Sasl(SaslToken {
            token: Some(Bytes::from_static(b"x")),
        }),
        _ => return None,
    })
}
