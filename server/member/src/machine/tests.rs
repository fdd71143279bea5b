//! A member that leads alone, over a real tree, and one that finds no leader.

use bytes::Bytes;
use wire::Acl;
use wire::client::{
    BarePath, CreateMode, CreateRequest, DeleteRequest, ErrorCode, ReconfigRequest, SetDataRequest,
};
use wire::config::{Member as ConfiguredMember, MemberKind, PeerAddress};
use wire::txn::Txn;

use super::*;
use crate::{LocalSessions, ReapSettings};

const TICK: u64 = 100;
const TIMEOUT: i32 = 1000;

/// A member with its tree, and a disk that is always done.
struct World {
    member: Member,
    tree: Tree,
    now: Now,
    /// What was done, in order, short.
    seen: Vec<Seen>,
}

#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Applied(SessionId, i32, Txn),
    Synced(i32),
    Resumed(bool),
    Refused(SessionId),
    Config(u64),
    Ended(SessionId, Option<i32>),
}

fn ensemble(members: i64, version: u64) -> EnsembleConfig {
    let member = |id: i64| ConfiguredMember {
        addresses: vec![PeerAddress {
            host: format!("host{id}"),
            quorum_port: 2888,
            election_port: 3888,
        }],
        kind: MemberKind::Participant,
        client: None,
    };
    EnsembleConfig {
        members: (1..=members).map(|id| (PeerId(id), member(id))).collect(),
        version,
        ..EnsembleConfig::default()
    }
}

impl World {
    fn new(config: EnsembleConfig, tree: Tree) -> Self {
        Self::with(LocalSessions::None, config, tree)
    }

    fn with(local_sessions: LocalSessions, config: EnsembleConfig, tree: Tree) -> Self {
        let settings = Settings {
            zab: zab::Settings {
                id: PeerId(1),
                tick: TICK,
                init_limit: 10,
                sync_limit: 5,
                max_wait_for_epoch: None,
                finalize_wait: 200,
                notification_interval: (200, 60_000),
                window_entries: 10,
                window_bytes: 10_000,
                disk_sync_bytes: 10_000,
                ensemble: None,
                standalone: config.members.len() == 1,
                reconfig: false,
                seed: 1,
            },
            local_sessions,
            reap: ReapSettings::default(),
        };
        let boot = zab::Boot {
            config,
            accepted: wire::Epoch(0),
            current: wire::Epoch(0),
            last: tree.last_zxid(),
            recent: Vec::new(),
            may_vote: true,
        };
        let now = Now {
            monotonic: Instant(0),
            wall: 1_000_000,
        };
        let mut world = Self {
            member: Member::new(now, settings, boot),
            tree,
            now,
            seen: Vec::new(),
        };
        world.put(Input::Zab(zab::Input::Tick));
        world
    }

    fn alone() -> Self {
        Self::new(ensemble(1, 0), Tree::new(1, tree::Options::default()))
    }

    fn put(&mut self, input: Input) {
        self.member.handle(self.now, &self.tree, input);
        while let Some(effect) = self.member.poll_effect() {
            let answer = match effect {
                Effect::Zab(zab::Effect::Append { mark, .. }) => zab::Input::Synced { mark },
                Effect::Apply(entries) => zab::Input::Applied {
                    zxid: self.apply(&entries),
                },
                other => {
                    self.see(other);
                    continue;
                }
            };
            self.member.handle(self.now, &self.tree, Input::Zab(answer));
        }
    }

    fn apply(&mut self, entries: &[Arc<Entry>]) -> Zxid {
        let mut applied = tree::Applied::default();
        for entry in entries {
            self.tree.apply(entry, &mut applied);
            assert_eq!(applied.mismatch(), None);
            let header = entry.header();
            let (session, cxid) = (header.client_id, header.cxid);
            self.seen
                .push(Seen::Applied(session, cxid, entry.txn().clone()));
        }
        self.tree.last_zxid()
    }

    fn see(&mut self, effect: Effect) {
        self.seen.push(match effect {
            Effect::SyncDone { cxid, .. } => Seen::Synced(cxid),
            Effect::Resumed { valid, .. } => Seen::Resumed(valid),
            Effect::Refused { session } => Seen::Refused(session),
            Effect::Ended { session, cxid } => Seen::Ended(session, cxid),
            Effect::ConfigCommitted(config) => Seen::Config(config.version),
            _ => return,
        });
    }

    fn open(&mut self) -> SessionId {
        self.put(Input::Open {
            client: ClientId(1),
            timeout: TIMEOUT,
            identities: Arc::from([]),
        });
        let Some(Seen::Applied(session, 0, Txn::CreateSession(_))) = self.seen.pop() else {
            panic!("no session");
        };
        session
    }

    fn ask(&mut self, session: SessionId, requests: Vec<Request>) {
        let writes = requests.into_iter().enumerate().map(|(i, request)| Write {
            session,
            cxid: i as i32 + 1,
            request,
            identities: Arc::from([]),
        });
        self.put(Input::Writes(writes.collect()));
    }

    /// Lets time pass in small steps, with the session heard from or not.
    fn pass(&mut self, milliseconds: u64, heard: Option<SessionId>) {
        for _ in 0..milliseconds / 50 {
            self.now.monotonic.0 += 50;
            self.now.wall += 50;
            self.put(Input::Touched(heard.into_iter().collect()));
            self.put(Input::Zab(zab::Input::Tick));
        }
    }

    /// The errors of the transactions seen, 0 for success.
    fn errors(&self) -> Vec<i32> {
        let errors = self.seen.iter().map(|seen| match seen {
            Seen::Applied(_, _, Txn::Error(error)) => error.err,
            _ => 0,
        });
        errors.collect()
    }

    fn closed(&self) -> Vec<SessionId> {
        let closed = self.seen.iter().filter_map(|seen| match seen {
            Seen::Applied(session, _, Txn::CloseSession(_)) => Some(*session),
            _ => None,
        });
        closed.collect()
    }
}

fn create(path: &str, mode: CreateMode) -> Request {
    let request = CreateRequest {
        path: path.into(),
        data: None,
        acl: Acl::open(),
        flags: mode.code(),
    };
    if mode == CreateMode::Container {
        Request::CreateContainer(request)
    } else {
        Request::Create(request)
    }
}

fn delete(path: &str) -> Request {
    Request::Delete(DeleteRequest {
        path: path.into(),
        version: -1,
    })
}

fn sync() -> Request {
    Request::Sync(BarePath { path: "/".into() })
}

#[test]
fn a_sync_is_done_between_the_writes_around_it() {
    let mut world = World::alone();
    let session = world.open();
    world.ask(
        session,
        vec![
            create("/a", CreateMode::Persistent),
            sync(),
            delete("/a"),
            sync(),
        ],
    );
    let order: Vec<i32> = world
        .seen
        .iter()
        .filter_map(|seen| match seen {
            Seen::Applied(_, cxid, _) | Seen::Synced(cxid) => Some(*cxid),
            _ => None,
        })
        .collect();
    assert_eq!(order, [1, 2, 3, 4]);
    assert_eq!(world.errors(), [0; 4]);
}

#[test]
fn pipelined_writes_see_each_other() {
    let mut world = World::alone();
    let session = world.open();
    let path = "/a";
    world.ask(
        session,
        vec![
            delete(path),
            create(path, CreateMode::Persistent),
            create(path, CreateMode::Persistent),
            delete(path),
        ],
    );
    let (none, exists) = (ErrorCode::NoNode.code(), ErrorCode::NodeExists.code());
    assert_eq!(world.errors(), [none, 0, exists, 0]);
}

#[test]
fn what_a_session_that_is_no_more_asks_for_fails_and_takes_a_zxid() {
    let mut world = World::alone();
    let session = world.open();
    world.ask(session, vec![Request::CloseSession(())]);
    let before = world.tree.last_zxid();
    world.seen.clear();
    world.ask(
        session,
        vec![
            create("/a", CreateMode::Persistent),
            Request::CloseSession(()),
        ],
    );
    assert_eq!(world.errors(), [ErrorCode::SessionExpired.code(); 2]);
    assert_eq!(world.tree.last_zxid(), Zxid(before.0 + 2));
    world.put(Input::Resume {
        client: ClientId(2),
        session,
        timeout: TIMEOUT,
    });
    assert_eq!(world.seen.pop(), Some(Seen::Resumed(false)));
}

#[test]
fn a_change_of_the_ensemble_is_refused() {
    let mut world = World::alone();
    let session = world.open();
    let request = Request::Reconfig(ReconfigRequest {
        joining: String::new(),
        leaving: "1".into(),
        new_members: String::new(),
        config_id: -1,
    });
    world.ask(session, vec![request]);
    assert_eq!(world.errors(), [ErrorCode::ReconfigDisabled.code()]);
}

#[test]
fn a_session_that_is_not_heard_from_ends_once_with_its_ephemerals() {
    let mut world = World::alone();
    let (silent, heard) = (world.open(), world.open());
    world.ask(silent, vec![create("/e", CreateMode::Ephemeral)]);
    world.pass(5000, Some(heard));
    assert_eq!(world.closed(), [silent]);
    assert_eq!(world.tree.ephemerals_count(), 0);
    assert_eq!(world.tree.session(heard), Some(TIMEOUT));
}

#[test]
fn a_new_leader_gives_each_session_its_full_timeout() {
    let mut world = World::alone();
    let session = world.open();
    let mut world = World::new(ensemble(1, 0), world.tree);
    world.pass(900, None);
    assert_eq!(world.closed(), []);
    world.pass(300, None);
    assert_eq!(world.closed(), [session]);
}

#[test]
fn after_a_stop_a_session_that_was_alive_meanwhile_stays() {
    let mut world = World::alone();
    let (silent, heard) = (world.open(), world.open());
    world.now.monotonic.0 += 60_000;
    world.put(Input::Zab(zab::Input::Tick));
    assert_eq!(world.closed(), []);
    world.put(Input::Touched(vec![heard]));
    world.pass(200, None);
    assert_eq!(world.closed(), [silent]);
}

#[test]
fn an_empty_container_is_collected_once_it_had_a_child() {
    let mut world = World::alone();
    let session = world.open();
    world.ask(
        session,
        vec![
            create("/used", CreateMode::Container),
            create("/fresh", CreateMode::Container),
            create("/used/a", CreateMode::Persistent),
            delete("/used/a"),
        ],
    );
    world.seen.clear();
    world.pass(61_000, Some(session));
    let path = "/used".to_owned();
    let txn = Txn::Delete(wire::txn::DeleteTxn { path });
    assert_eq!(world.seen, [Seen::Applied(SessionId::NONE, 0, txn)]);
}

#[test]
fn a_tree_that_is_older_than_the_configuration_gets_it() {
    let tree = Tree::new(1, tree::Options::default());
    let mut world = World::new(ensemble(3, 7), tree);
    assert_eq!(world.seen, [Seen::Config(7)]);
    world.put(Input::Zab(zab::Input::Tick));
    assert_eq!(world.seen.len(), 1);
}

#[test]
fn without_a_leader_requests_wait_until_there_are_too_many() {
    let tree = Tree::new(1, tree::Options::default());
    let mut world = World::new(ensemble(3, 0), tree);
    let session = SessionId(5);
    let megabyte = Bytes::from(vec![0; 1 << 20]);
    let set = || {
        Request::SetData(SetDataRequest {
            path: "/a".into(),
            data: Some(megabyte.clone()),
            version: -1,
        })
    };
    world.ask(session, (0..100).map(|_| set()).collect());
    assert_eq!(world.seen, []);
    assert!(world.member.status().held_bytes >= 100 << 20);
    world.ask(session, (0..100).map(|_| set()).collect());
    world.ask(session, vec![sync()]);
    assert_eq!(world.seen, [Seen::Refused(session)]);
    assert!(world.member.status().held_bytes <= Status::HELD_LIMIT);
}

fn with_local_sessions(kind: LocalSessions) -> (World, SessionId) {
    let tree = Tree::new(1, tree::Options::default());
    let mut world = World::with(kind, ensemble(1, 0), tree);
    world.seen.clear();
    world.put(Input::Open {
        client: ClientId(1),
        timeout: TIMEOUT,
        identities: Arc::from([]),
    });
    assert_eq!(world.seen, [Seen::Resumed(true)]);
    world.seen.clear();
    let session = world.member.locals.sessions().next().expect("one");
    (world, session)
}

#[test]
fn a_session_of_this_member_only_is_in_no_transaction() {
    let (mut world, session) = with_local_sessions(LocalSessions::Fixed);
    let persistent = create("/a", CreateMode::Persistent);
    let ephemeral = create("/e", CreateMode::Ephemeral);
    let requests = vec![persistent, ephemeral, Request::CloseSession(())];
    world.ask(session, requests);
    let refused = ErrorCode::EphemeralOnLocalSession.code();
    // The driver hears of the end first, and answers in the order of the requests.
    assert_eq!(world.seen[0], Seen::Ended(session, Some(3)));
    assert_eq!(world.errors(), [0, 0, refused]);
    world.seen.clear();
    world.ask(session, vec![create("/b", CreateMode::Persistent)]);
    assert_eq!(world.errors(), [ErrorCode::SessionExpired.code()]);
}

#[test]
fn a_session_of_this_member_only_ends_in_time_unless_heard_from() {
    let (mut world, session) = with_local_sessions(LocalSessions::Fixed);
    world.pass(5000, Some(session));
    assert_eq!(world.seen, []);
    world.pass(1200, None);
    assert_eq!(world.seen, [Seen::Ended(session, None)]);
}

#[test]
fn an_ephemeral_makes_a_session_the_ensembles() {
    let (mut world, session) = with_local_sessions(LocalSessions::Upgradable);
    world.ask(session, vec![create("/e", CreateMode::Ephemeral)]);
    let [
        Seen::Applied(first, 0, Txn::CreateSession(made)),
        Seen::Applied(second, 1, Txn::Create(_)),
    ] = &world.seen[..]
    else {
        panic!("{:?}", world.seen);
    };
    assert_eq!((*first, *second, made.timeout), (session, session, TIMEOUT));
    world.pass(5000, Some(session));
    assert_eq!(world.tree.ephemerals_count(), 1);
    world.pass(1200, None);
    assert_eq!(world.closed(), [session]);
    assert_eq!(world.tree.ephemerals_count(), 0);
}

#[test]
fn without_a_leader_only_sessions_of_this_member_go_on() {
    let tree = Tree::new(1, tree::Options::default());
    let mut world = World::with(LocalSessions::Fixed, ensemble(3, 0), tree);
    world.put(Input::ServeReadOnly);
    world.put(Input::Open {
        client: ClientId(1),
        timeout: TIMEOUT,
        identities: Arc::from([]),
    });
    let session = world.member.locals.sessions().next().expect("one");
    for session in [session, SessionId(99)] {
        world.put(Input::Resume {
            client: ClientId(2),
            session,
            timeout: TIMEOUT,
        });
    }
    let resumed = [true, true, false].map(Seen::Resumed);
    assert_eq!(world.seen, resumed);
}
