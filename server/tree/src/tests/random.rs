//! A random workload, the same for the same seed.

use super::*;

#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ 0x5DEE_CE66)
    }

    /// Below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }

    fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len() as u64) as usize].clone()
    }

    fn path(&mut self) -> String {
        if self.below(30) == 0 {
            return "/".to_owned();
        }
        let depth = 1 + self.below(3);
        let names = ["a", "b", "c", "longer name", "ü"];
        (0..depth).fold(String::new(), |path, _| path + "/" + self.pick(&names))
    }

    /// Mostly a version that is right.
    fn version(&mut self) -> i32 {
        self.pick(&[-1, -1, -1, -1, 0, 1])
    }

    fn acl(&mut self) -> Vec<Acl> {
        let some = [
            Acl::open(),
            Acl::open(),
            vec![acl_of(31, "auth", "")],
            vec![
                acl_of(31, "digest", &alice().id),
                acl_of(1, "world", "anyone"),
            ],
            vec![acl_of(31, "ip", "127.0.0.1"), acl_of(16, "world", "anyone")],
            vec![],
        ];
        self.pick(&some)
    }

    fn data(&mut self) -> Option<Bytes> {
        let length = self.pick(&[0, 5, 5, 5, 100]);
        (self.below(10) > 0).then(|| vec![self.below(256) as u8; length].into())
    }

    fn create(&mut self, modes: &[CreateMode]) -> CreateRequest {
        CreateRequest {
            path: self.path(),
            data: self.data(),
            acl: self.acl(),
            flags: self.pick(modes).code(),
        }
    }

    /// What may also be a part of a multi.
    fn one(&mut self) -> Request {
        let ordinary = [
            CreateMode::Persistent,
            CreateMode::Persistent,
            CreateMode::Ephemeral,
            CreateMode::PersistentSequential,
            CreateMode::EphemeralSequential,
        ];
        match self.below(20) {
            0..=4 => Request::Create(self.create(&ordinary)),
            5..=7 => Request::Create2(self.create(&ordinary)),
            8 => Request::CreateContainer(self.create(&[CreateMode::Container])),
            9 => {
                let create = self.create(&[
                    CreateMode::PersistentWithTtl,
                    CreateMode::PersistentSequentialWithTtl,
                ]);
                Request::CreateTtl(CreateTtlRequest {
                    path: create.path,
                    data: create.data,
                    acl: create.acl,
                    flags: create.flags,
                    ttl: 50,
                })
            }
            10..=12 => delete(&self.path(), self.version()),
            13..=17 => Request::SetData(SetDataRequest {
                path: self.path(),
                data: self.data(),
                version: self.version(),
            }),
            _ => check(&self.path(), self.version()),
        }
    }

    pub(super) fn request(&mut self) -> Request {
        match self.below(20) {
            0..=13 => self.one(),
            14 | 15 => set_acl(&self.path(), self.acl(), self.version()),
            16 => Request::DeleteContainer(bare(&self.path())),
            _ => multi((0..self.below(5)).map(|_| self.one()).collect()),
        }
    }
}

/// A leader whose clients keep several requests in flight.
pub(super) struct Workload {
    pub(super) leader: Leader,
    open: BTreeMap<SessionId, bool>,
    pub(super) committed: Vec<Entry>,
}

/// What a step did.
pub(super) enum Step {
    Proposed(Box<(SessionId, Request, Entry)>),
    Committed,
}

impl Workload {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            leader: Leader::new(seed),
            open: (1..5).map(|id| (SessionId(id), false)).collect(),
            committed: Vec::new(),
        }
    }

    pub(super) fn step(&mut self, random: &mut Random) -> Step {
        let outstanding = self.leader.proposed.len() as u64;
        if random.below(12) < outstanding {
            let entry = self.leader.commit();
            self.committed.push(entry);
            return Step::Committed;
        }
        let session_id = SessionId(1 + random.below(4) as i64);
        let open = self.open.get_mut(&session_id).unwrap();
        let request = if !std::mem::replace(open, true) {
            session(1000 + random.below(9) as i32)
        } else if random.below(15) == 0 {
            *open = false;
            Request::CloseSession(())
        } else {
            random.request()
        };
        let ip = Id::new("ip", "127.0.0.1");
        self.leader.identities = if random.below(3) > 0 {
            Arc::new([ip, alice()])
        } else {
            Arc::new([ip])
        };
        let entry = self.leader.propose(session_id, request.clone());
        Step::Proposed(Box::new((session_id, request, entry)))
    }
}
