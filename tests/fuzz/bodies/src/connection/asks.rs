//! Requests, most of them nearly right.

use arbitrary::{Arbitrary, Result, Unstructured};
use bytes::Bytes;
use wire::client::{
    AddWatchRequest, AuthPacket, BarePath, CheckVersionRequest, CreateRequest,
    CreateSessionRequest, CreateTtlRequest, DeleteRequest, MultiRequest, PathRequest,
    ReconfigRequest, Request, SaslToken, SetAclRequest, SetDataRequest, SetWatches, SetWatches2,
    WatchesRequest,
};
use wire::{Acl, Id, Perms, Zxid};

/// What a client may ask for.
#[derive(Arbitrary, Debug)]
pub(crate) enum Ask {
    Create(New),
    Create2(New),
    Container(New),
    Ttl(New, Ttl),
    Delete(Path, Version),
    Exists(Path, bool),
    GetData(Path, bool),
    GetChildren(Path, bool),
    GetChildren2(Path, bool),
    GetAcl(Path),
    Sync(Path),
    GetEphemerals(Path),
    CountChildren(Path),
    SetData(Path, Data, Version),
    SetAcl(Path, List, Version),
    Multi(Vec<Part>),
    MultiRead(Vec<(Path, bool)>),
    Auth(Credentials),
    Sasl(Option<Vec<u8>>),
    WhoAmI,
    Ping,
    SetWatches(Again),
    AddWatch(Path, u8),
    CheckWatches(Path, u8),
    RemoveWatches(Path, u8),
    Reconfig(Member, Member, i8),
    Limit(Path, u8, u8),
    Close,
    /// Not a client's to ask.
    Check(Path),
    DeleteContainer(Path),
    CreateSession(i32),
}

#[derive(Arbitrary, Debug)]
pub(crate) enum Part {
    Create(New),
    Create2(New),
    Container(New),
    Ttl(New, Ttl),
    Delete(Path, Version),
    SetData(Path, Data, Version),
    Check(Path, Version),
}

#[derive(Arbitrary, Debug)]
pub(crate) struct New {
    path: Path,
    data: Data,
    acl: List,
    flags: u8,
}

/// A path, mostly one that others name as well.
#[derive(Debug)]
pub(crate) struct Path(String);

const PATHS: [&str; 30] = [
    "/a",
    "/a/b",
    "/a/b/c",
    "/a/c",
    "/b",
    "/b/x",
    "/c",
    "/c/-",
    "/q",
    "/q/a",
    "/q/a/b",
    "/q/c",
    "/a/b",
    "/a",
    "/b",
    "/",
    "/zookeeper",
    "/zookeeper/config",
    "/zookeeper/quota",
    "/zookeeper/quota/a",
    "/zookeeper/quota/a/zookeeper_limits",
    "/zookeeper/quota/a/zookeeper_stats",
    "",
    "a",
    "/a/",
    "//",
    "/a/../b",
    "/a\0",
    "/\u{e000}",
    "/\u{10000}",
];

impl<'a> Arbitrary<'a> for Path {
    fn arbitrary(u: &mut Unstructured<'a>) -> Result<Self> {
        let n: u8 = u.arbitrary()?;
        if n < 240 {
            return Ok(Self(PATHS[usize::from(n) % PATHS.len()].to_owned()));
        }
        Ok(Self(u.arbitrary()?))
    }
}

#[derive(Arbitrary, Debug)]
pub(crate) enum Data {
    None,
    Short(u8),
    Limits(i8, i8),
    Any(Vec<u8>),
}

impl Data {
    fn bytes(&self) -> Option<Bytes> {
        match self {
            Self::None => None,
            Self::Short(length) => Some(vec![b'x'; usize::from(*length)].into()),
            Self::Limits(count, bytes) => Some(limits(*count, *bytes).into()),
            Self::Any(bytes) => Some(bytes.clone().into()),
        }
    }
}

fn limits(count: i8, bytes: i8) -> String {
    format!("count={count},bytes={bytes}=;byteHardLimit={bytes};countHardLimit={count}")
}

#[derive(Arbitrary, Debug)]
pub(crate) enum List {
    Open,
    ReadOnly,
    Mine,
    Of(Scheme, u8),
    Two(Scheme, u8, Scheme, u8),
    Empty,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub(crate) enum Scheme {
    Anyone,
    Auth,
    Digest,
    Address,
    Network,
    Super,
    Unknown,
    BadAddress,
}

impl Scheme {
    fn id(self) -> Id {
        match self {
            Self::Anyone => Id::anyone(),
            Self::Auth => Id::new("auth", ""),
            // bob:bob
            Self::Digest => Id::new("digest", "bob:3bMX1EjsQGLWgMv3nLM3EgUMLT4="),
            Self::Address => Id::new("ip", "127.0.0.1"),
            Self::Network => Id::new("ip", "127.0.0.0/30"),
            Self::Super => Id::new("super", ""),
            Self::Unknown => Id::new("kerberos", "x"),
            Self::BadAddress => Id::new("ip", "127.0.0/33"),
        }
    }
}

impl List {
    fn acl(&self) -> Vec<Acl> {
        let one = |scheme: Scheme, perms: u8| Acl {
            perms: Perms(i32::from(perms % 64)),
            id: scheme.id(),
        };
        match self {
            Self::Open => Acl::open(),
            Self::ReadOnly => Acl::read_only(),
            Self::Mine => vec![one(Scheme::Auth, 31)],
            Self::Of(scheme, perms) => vec![one(*scheme, *perms)],
            Self::Two(first, p, second, q) => vec![one(*first, *p), one(*second, *q)],
            Self::Empty => Vec::new(),
        }
    }
}

#[derive(Arbitrary, Debug)]
pub(crate) enum Version {
    Any,
    Of(u8),
    Other(i32),
}

impl Version {
    const fn number(&self) -> i32 {
        match self {
            Self::Any => -1,
            Self::Of(n) => *n as i32 % 4,
            Self::Other(n) => *n,
        }
    }
}

#[derive(Arbitrary, Debug)]
pub(crate) enum Ttl {
    Short,
    Longest,
    Any(i64),
}

#[derive(Arbitrary, Debug)]
pub(crate) enum Credentials {
    Bob,
    Super,
    Address,
    Ensemble,
    Any { scheme: u8, auth: Option<Vec<u8>> },
}

#[derive(Arbitrary, Debug)]
pub(crate) struct Again {
    since: Option<u8>,
    old: bool,
    lists: [Vec<Path>; 5],
}

#[derive(Arbitrary, Debug)]
pub(crate) enum Member {
    None,
    Id,
    Server,
    Text(String),
}

impl Member {
    fn text(&self) -> String {
        match self {
            Self::None => String::new(),
            Self::Id => "2".to_owned(),
            Self::Server => "server.2=127.0.0.1:1:2;3".to_owned(),
            Self::Text(text) => text.clone(),
        }
    }
}

impl New {
    fn record(&self, flags: Option<i32>) -> CreateRequest {
        CreateRequest {
            path: self.path.0.clone(),
            data: self.data.bytes(),
            acl: self.acl.acl(),
            // Mostly 0 to 3.
            flags: flags.unwrap_or_else(|| match self.flags {
                0..200 => i32::from(self.flags % 4),
                200..250 => i32::from(self.flags % 8),
                _ => i32::from(self.flags) - 250,
            }),
        }
    }

    fn ttl(&self, ttl: &Ttl) -> CreateTtlRequest {
        let flags = 5 + i32::from(self.flags % 2);
        let CreateRequest {
            path, data, acl, ..
        } = self.record(None);
        CreateTtlRequest {
            path,
            data,
            acl,
            flags,
            ttl: match ttl {
                Ttl::Short => 2000,
                Ttl::Longest => (1 << 40) - 1,
                Ttl::Any(ttl) => *ttl,
            },
        }
    }
}

fn read(path: &Path, watch: bool) -> PathRequest {
    PathRequest {
        path: path.0.clone(),
        watch,
    }
}

fn bare(path: &Path) -> BarePath {
    BarePath {
        path: path.0.clone(),
    }
}

fn delete(path: &Path, version: &Version) -> DeleteRequest {
    DeleteRequest {
        path: path.0.clone(),
        version: version.number(),
    }
}

fn set(path: &Path, data: &Data, version: &Version) -> SetDataRequest {
    SetDataRequest {
        path: path.0.clone(),
        data: data.bytes(),
        version: version.number(),
    }
}

fn check(path: &Path, version: i32) -> CheckVersionRequest {
    CheckVersionRequest {
        path: path.0.clone(),
        version,
    }
}

fn watches(path: &Path, kind: u8) -> WatchesRequest {
    WatchesRequest {
        path: path.0.clone(),
        kind: i32::from(kind % 8),
    }
}

/// The flags of a container.
const CONTAINER: Option<i32> = Some(4);
/// Parts of a multi, at most.
const PARTS: usize = 8;

impl Part {
    fn request(&self) -> Request {
        match self {
            Self::Create(new) => Request::Create(new.record(None)),
            Self::Create2(new) => Request::Create2(new.record(None)),
            Self::Container(new) => Request::CreateContainer(new.record(CONTAINER)),
            Self::Ttl(new, ttl) => Request::CreateTtl(new.ttl(ttl)),
            Self::Delete(path, version) => Request::Delete(delete(path, version)),
            Self::SetData(path, data, version) => Request::SetData(set(path, data, version)),
            Self::Check(path, version) => Request::Check(check(path, version.number())),
        }
    }
}

impl Ask {
    /// As it is sent.
    pub(crate) fn request(&self) -> Request {
        match self {
            Self::Create(new) => Request::Create(new.record(None)),
            Self::Create2(new) => Request::Create2(new.record(None)),
            Self::Container(new) => Request::CreateContainer(new.record(CONTAINER)),
            Self::Ttl(new, ttl) => Request::CreateTtl(new.ttl(ttl)),
            Self::Delete(path, version) => Request::Delete(delete(path, version)),
            Self::Exists(path, watch) => Request::Exists(read(path, *watch)),
            Self::GetData(path, watch) => Request::GetData(read(path, *watch)),
            Self::GetChildren(path, watch) => Request::GetChildren(read(path, *watch)),
            Self::GetChildren2(path, watch) => Request::GetChildren2(read(path, *watch)),
            Self::GetAcl(path) => Request::GetAcl(bare(path)),
            Self::Sync(path) => Request::Sync(bare(path)),
            Self::GetEphemerals(path) => Request::GetEphemerals(bare(path)),
            Self::CountChildren(path) => Request::GetAllChildrenNumber(bare(path)),
            Self::SetData(path, data, version) => Request::SetData(set(path, data, version)),
            Self::SetAcl(path, acl, version) => Request::SetAcl(SetAclRequest {
                path: path.0.clone(),
                acl: acl.acl(),
                version: version.number(),
            }),
            Self::Multi(parts) => {
                let ops = parts.iter().take(PARTS).map(Part::request).collect();
                Request::Multi(MultiRequest { ops })
            }
            Self::MultiRead(parts) => Request::MultiRead(reads(parts)),
            Self::Auth(credentials) => Request::Auth(credentials.packet()),
            Self::Sasl(token) => Request::Sasl(SaslToken {
                token: token.clone().map(Bytes::from),
            }),
            Self::WhoAmI => Request::WhoAmI(()),
            Self::Ping => Request::Ping(()),
            Self::SetWatches(again) => again.request(),
            Self::AddWatch(path, mode) => Request::AddWatch(AddWatchRequest {
                path: path.0.clone(),
                mode: i32::from(mode % 3),
            }),
            Self::CheckWatches(path, kind) => Request::CheckWatches(watches(path, *kind)),
            Self::RemoveWatches(path, kind) => Request::RemoveWatches(watches(path, *kind)),
            Self::Reconfig(joining, leaving, version) => Request::Reconfig(ReconfigRequest {
                joining: joining.text(),
                leaving: leaving.text(),
                new_members: String::new(),
                config_id: (*version).into(),
            }),
            Self::Limit(path, count, bytes) => limit(path, *count, *bytes),
            Self::Close => Request::CloseSession(()),
            Self::Check(path) => Request::Check(check(path, -1)),
            Self::DeleteContainer(path) => Request::DeleteContainer(bare(path)),
            Self::CreateSession(timeout) => {
                Request::CreateSession(CreateSessionRequest { timeout: *timeout })
            }
        }
    }
}

fn reads(parts: &[(Path, bool)]) -> MultiRequest {
    let op = |(path, children): &(Path, bool)| {
        let request = read(path, false);
        if *children {
            Request::GetChildren(request)
        } else {
            Request::GetData(request)
        }
    };
    MultiRequest {
        ops: parts.iter().take(PARTS).map(op).collect(),
    }
}

/// Puts a quota on a child of the root, as zkCli does.
fn limit(path: &Path, count: u8, bytes: u8) -> Request {
    let name = path.0.split('/').nth(1).unwrap_or_default();
    let quota = format!("/zookeeper/quota/{name}");
    let create = |path: String, data: String| {
        Request::Create(CreateRequest {
            path,
            data: Some(data.into()),
            acl: Acl::open(),
            flags: 0,
        })
    };
    let text = format!("count=-1,bytes=-1=;byteHardLimit={bytes};countHardLimit={count}");
    let stats = "count=0,bytes=0".to_owned();
    Request::Multi(MultiRequest {
        ops: vec![
            create(quota.clone(), String::new()),
            create(format!("{quota}/zookeeper_limits"), text),
            create(format!("{quota}/zookeeper_stats"), stats),
        ],
    })
}

impl Credentials {
    fn packet(&self) -> AuthPacket {
        let packet = |scheme: &str, auth: Option<&[u8]>| AuthPacket {
            kind: 0,
            scheme: scheme.to_owned(),
            auth: auth.map(Bytes::copy_from_slice),
        };
        const SCHEMES: [&str; 8] = [
            "digest", "ip", "world", "auth", "ensemble", "x509", "sasl", "",
        ];
        match self {
            Self::Bob => packet("digest", Some(b"bob:bob")),
            Self::Super => packet("digest", Some(b"super:test")),
            Self::Address => packet("ip", None),
            Self::Ensemble => packet("ensemble", Some(b"one")),
            Self::Any { scheme, auth } => {
                packet(SCHEMES[usize::from(*scheme) % 8], auth.as_deref())
            }
        }
    }

    /// Whether every server takes them.
    pub(crate) const fn are_good(&self) -> bool {
        matches!(self, Self::Bob | Self::Super | Self::Address)
    }
}

impl Again {
    fn request(&self) -> Request {
        let relative_zxid = self
            .since
            .map_or(Zxid(u64::MAX), |since| Zxid(since.into()));
        let list = |n: usize| self.lists[n].iter().map(|path| path.0.clone()).collect();
        if self.old {
            return Request::SetWatches(SetWatches {
                relative_zxid,
                data: list(0),
                exist: list(1),
                child: list(2),
            });
        }
        Request::SetWatches2(SetWatches2 {
            relative_zxid,
            data: list(0),
            exist: list(1),
            child: list(2),
            persistent: list(3),
            persistent_recursive: list(4),
        })
    }
}
