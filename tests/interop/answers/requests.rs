//! Random requests, the same for the same seed: many that succeed, and each way to be refused.

use bytes::Bytes;
use wire::client::{
    AddWatchRequest, BarePath, CheckVersionRequest, CreateRequest, CreateTtlRequest, DeleteRequest,
    MultiRequest, PathRequest, Request, SaslToken, SetAclRequest, SetDataRequest, SetWatches,
    SetWatches2, WatchesRequest,
};
use wire::{Acl, Id, Perms, Zxid};

use super::asked::Asked;

/// Paths that are special, or no paths. Not `/zookeeper/config`, which holds ports, and which
/// Apache's first leader shows with version 0 until it starts again.
const ODD_PATHS: &[&str] = &[
    "/",
    "a",
    "/a/",
    "//",
    "/a//b",
    "/.",
    "/a/..",
    "/...",
    "/a/.b",
    "x/y",
    "/zookeeper",
    "/zookeeper/quota",
    "/zookeeper/x",
    "/\u{1}",
    "/a\0b",
    "/\u{1f}",
    "/\u{7e}",
    "/\u{7f}",
    "/\u{9f}",
    "/\u{a0}",
    "/\u{e000}",
    "/\u{f8ff}",
    "/\u{f900}",
    "/\u{ffef}",
    "/\u{fff0}",
    "/\u{ffff}",
    "/ü",
];

/// Where quotas are, and where they could be.
const QUOTA_PATHS: &[&str] = &[
    "/q",
    "/q/a",
    "/q/a/b",
    "/zookeeper/quota/q",
    "/zookeeper/quota/q/zookeeper_limits",
    "/zookeeper/quota/q/zookeeper_stats",
    "/zookeeper/quota/q/a/zookeeper_limits",
    "/zookeeper/quota/f/loose/zookeeper_stats",
    "/f/loose",
    "/f/loose/a",
    "/f/loose/b",
    "/f/loose/a/c",
];

/// What is always there.
const KNOWN_PATHS: &[&str] = &["/d", "/f", "/f/open", "/f/full", "/f/full/x", "/f/acl"];

/// What quotas may say. What is no number ends Apache's server.
const LIMITS: &[&str] = &[
    "count=5,bytes=100",
    "count=-1,bytes=-1",
    "count=3,bytes=-1=;byteHardLimit=-1;countHardLimit=4",
    "count=-1,bytes=50=;byteHardLimit=200;countHardLimit=-1",
    "count=2,bytes=20=;byteHardLimit=20;countHardLimit=2",
];

/// Permissions, scheme and identity of single entries.
const ENTRIES: &[(i32, &str, &str)] = &[
    (31, "auth", ""),
    (31, "digest", "alice:AIueg8ag5ALfqeEyKdLnva1Wvi0="),
    (31, "ip", "127.0.0.1"),
    (31, "ip", "127.0.0.0/8"),
    (16, "world", "anyone"),
    (1, "world", "anyone"),
    (0, "world", "anyone"),
    (1, "world", "someone"),
    (1, "ip", "1.2.3"),
    (1, "ip", "10.0.0.0/33"),
    (1, "ip", "::1"),
    (1, "ip", "2001:db8::/32"),
    (1, "ip", "127.0.0.1/"),
    (1, "ip", "127.0.0.1/-1"),
    (1, "digest", "x"),
    (1, "digest", "x:y:z"),
    (1, "digest", ":y"),
    (1, "digest", "x:"),
    (1, "super", ""),
    (1, "x509", "CN=x"),
    (1, "sasl", "x"),
    (1, "unknown", "x"),
    (1, "", ""),
];

/// Schemes, and what a client says to prove who it is.
const PROOFS: &[(&str, Option<&[u8]>)] = &[
    ("digest", Some(b"alice:a")),
    ("digest", Some(b"bob:b")),
    ("digest", Some(b"carol:")),
    ("digest", Some(b":")),
    ("digest", Some(b"nobody")),
    ("digest", Some(b"")),
    ("digest", Some(b"super:wrong")),
    ("digest", Some(b"a:b:c")),
    ("ip", Some(b"127.0.0.1")),
    ("ip", None),
    ("world", Some(b"anyone")),
    ("auth", Some(b"")),
    ("super", Some(b"test")),
    ("x509", Some(b"CN=x")),
    ("sasl", Some(b"x")),
    ("ensemble", Some(b"any")),
    ("unknown", Some(b"x")),
    ("", Some(b"")),
];

pub(super) struct Random(u64);

impl Random {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Below `limit`.
    pub(super) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize]
    }

    fn path(&mut self) -> String {
        match self.below(24) {
            0 | 1 => return self.pick(ODD_PATHS).to_owned(),
            2 => return self.pick(QUOTA_PATHS).to_owned(),
            _ => {}
        }
        // Now and then one whose parents are seldom there.
        let depth = match self.below(10) {
            0 => 4,
            _ => self.pick(&[1, 1, 1, 2, 2, 3]),
        };
        (0..depth).fold(String::new(), |path, _| {
            path + "/" + self.pick(&["a", "b", "c"])
        })
    }

    fn paths(&mut self) -> Vec<String> {
        (0..self.below(3)).map(|_| self.path()).collect()
    }

    fn version(&mut self) -> i32 {
        self.pick(&[-1, -1, -1, -1, 0, 1, -2])
    }

    fn acl(&mut self) -> Vec<Acl> {
        match self.below(12) {
            0..=7 => Acl::open(),
            8 => [Acl::open(), Acl::open()].concat(),
            _ => (0..self.below(3))
                .map(|_| {
                    let (perms, scheme, id) = self.pick(ENTRIES);
                    Acl {
                        perms: Perms(perms),
                        id: Id::new(scheme, id),
                    }
                })
                .collect(),
        }
    }

    /// What a znode at `path` may hold.
    fn data_for(&mut self, path: &str) -> Option<Bytes> {
        if path.ends_with("/zookeeper_limits") || path.ends_with("/zookeeper_stats") {
            return Some(Bytes::from_static(self.pick(LIMITS).as_bytes()));
        }
        self.data()
    }

    fn data(&mut self) -> Option<Bytes> {
        let length = self.pick(&[0, 3, 3, 90]);
        (self.below(8) > 0).then(|| vec![7; length].into())
    }

    fn create(&mut self, flags: &[i32]) -> CreateRequest {
        let path = self.path();
        CreateRequest {
            data: self.data_for(&path),
            path,
            acl: self.acl(),
            flags: self.pick(flags),
        }
    }

    fn create_ttl(&mut self) -> Request {
        let create = self.create(&[5, 6]);
        Request::CreateTtl(CreateTtlRequest {
            path: create.path,
            data: create.data,
            acl: create.acl,
            flags: create.flags,
            ttl: self.pick(&[5_000_000, 5_000_000, 0, 1 << 40, -5]),
        })
    }

    fn change(&mut self) -> Request {
        match self.below(18) {
            0..=4 => Request::Create(self.create(&[0, 0, 0, 1, 2, 3])),
            5..=7 => Request::Create2(self.create(&[0, 0, 0, 0, 1, 2, 3, 7, -1, 5])),
            8 => Request::CreateContainer(self.create(&[4])),
            9 => self.create_ttl(),
            10..=12 => Request::Delete(DeleteRequest {
                path: self.path(),
                version: self.version(),
            }),
            _ => {
                let path = self.path_to_write();
                Request::SetData(SetDataRequest {
                    data: self.data_for(&path),
                    path,
                    version: self.version(),
                })
            }
        }
    }

    fn part(&mut self) -> Request {
        match self.below(9) {
            0 => Request::Check(CheckVersionRequest {
                path: self.path(),
                version: self.version(),
            }),
            _ => self.change(),
        }
    }

    /// Often one that is there.
    fn path_to_read(&mut self) -> String {
        match self.below(2) {
            0 => self.pick(KNOWN_PATHS).to_owned(),
            _ => self.path(),
        }
    }

    /// Likewise.
    fn path_to_write(&mut self) -> String {
        match self.below(3) {
            0 => self.pick(&["/d", "/f/open", "/f/acl"]).to_owned(),
            _ => self.path(),
        }
    }

    fn read(&mut self) -> Request {
        let path = self.path_to_read();
        let watch = self.below(2) == 0;
        match self.below(12) {
            0..=2 => Request::Exists(PathRequest { path, watch }),
            3..=5 => Request::GetData(PathRequest { path, watch }),
            6 => Request::GetChildren(PathRequest { path, watch }),
            7 | 8 => Request::GetChildren2(PathRequest { path, watch }),
            9 => Request::GetAcl(BarePath { path }),
            10 => Request::GetAllChildrenNumber(BarePath { path }),
            _ => Request::GetEphemerals(BarePath { path }),
        }
    }

    fn read_part(&mut self) -> Request {
        let path = self.path_to_read();
        let watch = false;
        match self.below(2) {
            0 => Request::GetData(PathRequest { path, watch }),
            _ => Request::GetChildren(PathRequest { path, watch }),
        }
    }

    fn watch(&mut self) -> Request {
        let path = self.path();
        match self.below(4) {
            0 => Request::AddWatch(AddWatchRequest {
                path,
                mode: self.below(2) as i32,
            }),
            1 => Request::CheckWatches(WatchesRequest {
                path,
                kind: 1 + self.below(5) as i32,
            }),
            2 => Request::RemoveWatches(WatchesRequest {
                path,
                kind: 1 + self.below(5) as i32,
            }),
            _ => Request::SetWatches2(SetWatches2 {
                relative_zxid: Zxid(1 << 32 | self.below(3000)),
                data: self.paths(),
                exist: self.paths(),
                child: self.paths(),
                persistent: self.paths(),
                persistent_recursive: self.paths(),
            }),
        }
    }

    /// A request, or what is none.
    pub(super) fn asked(&mut self) -> Asked {
        match self.below(100) {
            0 => self.odd(),
            1 => self.auth(),
            2 if self.below(2) == 0 => self.reconfig(),
            _ => self.request().into(),
        }
    }

    /// A record that is cut short or too long, or an operation that does not exist.
    fn odd(&mut self) -> Asked {
        let request = self.request();
        match self.below(6) {
            0 => Asked::Raw {
                name: "unknown",
                op: self.pick(&[0, 10, 23, 71, 99, 108, 500, -2, i32::MIN]),
                record: Bytes::new(),
            },
            1 => Asked::Raw {
                name: "check",
                op: 13,
                record: Bytes::new(),
            },
            2 => Asked::changed(&request, |record| record.extend_from_slice(b"more")),
            _ => {
                let part = self.below(8);
                Asked::changed(&request, |record| {
                    record.truncate(record.len() * part as usize / 8);
                })
            }
        }
    }

    fn auth(&mut self) -> Asked {
        let (scheme, auth) = self.pick(PROOFS);
        Asked::auth(scheme, auth)
    }

    /// One that is refused wherever reconfiguration is switched off.
    fn reconfig(&mut self) -> Asked {
        let server = "server.4=127.0.0.1:1:2;3";
        match self.below(4) {
            0 => Asked::reconfig(Some(server), None, None, -1),
            1 => Asked::reconfig(None, Some("1"), None, -1),
            2 => Asked::reconfig(None, None, Some(server), -1),
            _ => Asked::reconfig(None, None, None, 7),
        }
    }

    fn request(&mut self) -> Request {
        match self.below(60) {
            0..=19 => self.change(),
            20..=22 => Request::SetAcl(SetAclRequest {
                path: self.path(),
                acl: self.acl(),
                version: self.version(),
            }),
            23..=28 => {
                let ops = (0..self.below(5)).map(|_| self.part()).collect();
                Request::Multi(MultiRequest { ops })
            }
            29 | 30 => {
                let ops = (0..self.below(4)).map(|_| self.read_part()).collect();
                Request::MultiRead(MultiRequest { ops })
            }
            31..=36 => self.watch(),
            37 => Request::WhoAmI(()),
            38 => self.seldom(),
            _ => self.read(),
        }
    }

    fn seldom(&mut self) -> Request {
        match self.below(5) {
            // Seldom, so that sessions have ephemerals and a past.
            0 => Request::CloseSession(()),
            1 => Request::Ping(()),
            2 => Request::Sync(BarePath { path: self.path() }),
            3 => Request::Sasl(SaslToken {
                token: Some(Bytes::from_static(b"x")),
            }),
            _ => Request::SetWatches(SetWatches {
                relative_zxid: Zxid(1 << 32 | self.below(3000)),
                data: self.paths(),
                exist: self.paths(),
                child: self.paths(),
            }),
        }
    }
}
