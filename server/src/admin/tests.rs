//! What is told, against the texts of a genuine server.

mod commands;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use member::{ClientId, Role, SessionDeadlines, Status};
use tree::{Tree, WatchKind, WatchTable, Watcher};
use wire::client::OpCode;
use wire::{Epoch, PeerId, SessionId, Zxid};
use zab::ProposalSizes;

use super::gauges::Gauges;
use super::words::Reply;
use super::{http, listings, texts, words};
use crate::clients::mailbox::Mailbox;
use crate::clock::Clock;
use crate::config::{Config, Overrides};
use crate::inbox::Inbox;
use crate::metrics::Metrics;
use crate::shared::{Parts, Serving, Shared};

const QUORUM: &str = "initLimit=20\nsyncLimit=10\n\
    server.1=127.0.0.1:32881:33881:participant;127.0.0.1:31281\n\
    server.2=127.0.0.1:32882:33882:participant;127.0.0.1:31282\n\
    server.3=127.0.0.1:32883:33883:participant;127.0.0.1:31283\n";
const ALONE: &str = "clientPort=31181\n";

struct World {
    shared: Arc<Shared>,
    asking: Arc<Mailbox>,
    _folder: tempfile::TempDir,
}

impl World {
    /// A serving member with these settings, and a connection that asks.
    fn new(settings: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        std::fs::create_dir_all(data.join("version-2")).unwrap();
        std::fs::write(data.join("myid"), "2").unwrap();
        std::fs::write(data.join("version-2/log.1"), [0; 1000]).unwrap();
        let file = folder.path().join("zoo.cfg");
        let data = data.display();
        let text = format!("tickTime=500\ndataDir={data}\n4lw.commands.whitelist=*\n{settings}");
        std::fs::write(&file, text).unwrap();
        let mut config = Config::load(&file, &Overrides::default()).unwrap();
        config.ensemble.version = 0x1_0000_0000;
        let parts = Parts {
            clock: Clock::start(),
            metrics: Metrics::new().unwrap(),
            inbox: Arc::new(Inbox::new()),
            digests: Default::default(),
        };
        let tree = Tree::new(1, tree::Options::default());
        let shared = Arc::new(Shared::new(config, tree, WatchTable::new(1), parts));
        let gauges = Gauges::of(&shared).unwrap();
        shared.metrics.registry.register(Box::new(gauges)).unwrap();
        shared.set_serving(Serving::Yes);
        let mut world = Self {
            asking: Arc::new(Mailbox::new(
                ClientId(9),
                "127.0.0.1:60604".parse().unwrap(),
                Default::default(),
            )),
            shared,
            _folder: folder,
        };
        world.asking = world.connect(9, "127.0.0.1:60604");
        world
    }

    fn connect(&self, client: u64, peer: &str) -> Arc<Mailbox> {
        let peer: SocketAddr = peer.parse().unwrap();
        let mailbox = Arc::new(Mailbox::new(ClientId(client), peer, Default::default()));
        let mut connections = self.shared.connections.lock();
        connections.insert(ClientId(client), mailbox.clone());
        mailbox
    }

    fn become_leader(&self) {
        let mut zab = zab::Status {
            part: zab::Part::Leading,
            phase: zab::Phase::Broadcast,
            ..zab::Status::default()
        };
        zab.learners = 2;
        zab.synced_followers = 1;
        zab.proposal_sizes = Some(ProposalSizes {
            last: 87,
            min: 48,
            max: 90,
        });
        let zxid = Zxid(0x2_0000_0003);
        let epoch = Epoch::default();
        self.shared.set_leading(true);
        *self.shared.status.write() = Some(Status {
            zab,
            role: Role::Leading { epoch, last: zxid },
            applied: zxid,
            committed: zxid,
            synced: zxid,
            last_logged: zxid,
            local_sessions: 0,
            sessions: Some(2),
            pending_syncs: 0,
            uncommitted: 0,
            uncommitted_bytes: 0,
            held_bytes: 0,
        });
        self.shared.set_applied(zxid);
    }

    fn ask(&self, word: &str) -> String {
        match words::answer(word.as_bytes(), &self.shared, &self.asking) {
            Reply::Now(answer) => answer,
            other => panic!("{word}: {other:?}"),
        }
    }

    fn monitored(&self) -> BTreeMap<String, String> {
        let text = self.ask("mntr");
        let pairs = text.lines().map(|line| line.split_once('\t').unwrap());
        let pairs: Vec<_> = pairs.map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let found: BTreeMap<_, _> = pairs.iter().cloned().collect();
        assert_eq!(found.len(), pairs.len(), "a name stands twice:\n{text}");
        found
    }
}

/// What is said, with Java's dates taken out after they were read.
fn without_dates(text: &str) -> String {
    let line = |line: &str| match line.split_once(" expire at ") {
        Some((count, date)) => {
            let read = jiff::civil::DateTime::strptime("%a %b %d %H:%M:%S UTC %Y:", date);
            assert!(read.is_ok(), "{date}: {read:?}");
            format!("{count} expire at DATE:\n")
        }
        None => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

#[test]
fn a_leader_describes_itself_as_apache_does() {
    let world = World::new(QUORUM);
    world.become_leader();
    let other = world.connect(10, "127.0.0.1:59254");
    other
        .counters
        .connected(SessionId(0x0200_001b_cb36_0001), 10_000);
    for took in [0, 0, 1] {
        world.shared.metrics.read(1, took);
    }
    world.shared.metrics.packets_sent.inc();
    let version = format!("Zookeeper version: {}\n", *texts::VERSION);
    let numbers = "Latency min/avg/max: 0/0.3333/1\nReceived: 1\nSent: 1\nConnections: 2\n\
        Outstanding: 0\nZxid: 0x200000003\nMode: leader\nNode count: 5\n\
        Proposal sizes last/min/max: 87/48/90\n";
    let clients = "Clients:\n /127.0.0.1:60604[0](queued=0,recved=1,sent=0)\n \
        /127.0.0.1:59254[1](queued=0,recved=0,sent=0)\n\n";
    assert_eq!(world.ask("stat"), format!("{version}{clients}{numbers}"));
    let numbers = numbers.replace("Received: 1", "Received: 2");
    assert_eq!(world.ask("srvr"), format!("{version}{numbers}"));
}

#[test]
fn the_version_is_one_that_clients_can_read() {
    let version = &*texts::VERSION;
    let (number, rest) = version.split_once('-').unwrap();
    assert_eq!(number, "3.9.5");
    let (own, built) = rest.split_once(", built on ").unwrap();
    assert_eq!(own, concat!("ferrokeeper-", env!("CARGO_PKG_VERSION")));
    let shape: String = built
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "0000-00-00 00:00 UTC");
}

#[test]
fn a_quorum_member_shows_its_configuration_as_apache_does() {
    let world = World::new(QUORUM);
    let data = world.shared.config.data_dir.join("version-2");
    let data = data.display();
    let expected = format!(
        "clientPort=31282\nsecureClientPort=-1\ndataDir={data}\ndataDirSize=1000\n\
         dataLogDir={data}\ndataLogSize=1000\ntickTime=500\nmaxClientCnxns=60\n\
         minSessionTimeout=1000\nmaxSessionTimeout=10000\nclientPortListenBacklog=-1\n\
         serverId=2\ninitLimit=20\nsyncLimit=10\nelectionAlg=3\nelectionPort=33882\n\
         quorumPort=32882\npeerType=0\nmembership: \n\
         server.1=127.0.0.1:32881:33881:participant;127.0.0.1:31281\n\
         server.2=127.0.0.1:32882:33882:participant;127.0.0.1:31282\n\
         server.3=127.0.0.1:32883:33883:participant;127.0.0.1:31283\nversion=100000000"
    );
    assert_eq!(world.ask("conf"), expected);
}

#[test]
fn a_standalone_server_shows_no_quorum() {
    let world = World::new(ALONE);
    assert_eq!(world.ask("conf").lines().last(), Some("serverId=2"));
    assert!(
        world
            .ask("srvr")
            .ends_with("Mode: standalone\nNode count: 5\n")
    );
    let monitored = world.monitored();
    assert_eq!(monitored["zk_server_state"], "standalone");
    for name in [
        "zk_peer_state",
        "zk_quorum_size",
        "zk_learners",
        "zk_leader_uptime",
    ] {
        assert_eq!(monitored.get(name), None, "{name}");
    }
}

#[test]
fn watches_sessions_and_connections_are_listed_as_apache_lists_them() {
    let world = World::new(QUORUM);
    let session = SessionId(0x0200_001b_cb36_0001);
    let other = world.connect(10, "127.0.0.1:59254");
    other.counters.connected(session, 10_000);
    other.counters.asked(3, OpCode::AddWatch.code());
    other.counters.answered(Zxid(0x2_0000_0003), 1_840_949, 4);
    {
        let mut watches = world.shared.watches.lock();
        watches.add("/e9", WatchKind::Data, Watcher(10));
        watches.add("/", WatchKind::Child, Watcher(10));
    }
    assert_eq!(
        world.ask("wchs"),
        "1 connections watching 2 paths\nTotal watches:2\n"
    );
    assert_eq!(
        world.ask("wchp"),
        format!("/\n\t{session}\n/e9\n\t{session}\n\n")
    );
    let by_session = world.ask("wchc");
    let mut lines: Vec<_> = by_session.lines().collect();
    assert_eq!(
        (lines.remove(0), by_session.ends_with("\n\n")),
        (&*session.to_string(), true)
    );
    lines.sort_unstable();
    assert_eq!(lines, ["", "\t/", "\t/e9"]);
    let asked = 4;
    let expected = format!(
        " /127.0.0.1:60604[0](queued=0,recved={asked},sent=0)\n \
         /127.0.0.1:59254[1](queued=0,recved=0,sent=0,sid={session},lop=ADDW,est={},to=10000,\
         lcxid=0x3,lzxid=0x200000003,lresp=1840949,llat=4,minlat=4,avglat=4,maxlat=4)\n\n",
        other.counters.established,
    );
    assert_eq!(world.ask("cons"), expected);
    let dump = "SessionTracker dump:\nGlobal Sessions(0):\nephemeral nodes dump:\n\
        Sessions with Ephemerals (0):\nConnections dump:\nConnections Sets (2)/(2):\n\
        1 expire at DATE:\n\tip: /127.0.0.1:60604 sessionId: 0x0\n\
        1 expire at DATE:\n\tip: /127.0.0.1:59254 sessionId: 0x200001bcb360001\n";
    assert_eq!(
        without_dates(&listings::dump(&world.shared, &SessionDeadlines::default())),
        dump
    );
    let ends = vec![(member::Instant(500), vec![session])];
    let dump = dump.replace(
        "Global Sessions(0):\n",
        "Session Sets (1)/(1):\n1 expire at DATE:\n\t0x200001bcb360001\n",
    );
    let ends = SessionDeadlines {
        global: Some(ends),
        local: None,
    };
    assert_eq!(without_dates(&listings::dump(&world.shared, &ends)), dump);
    let ends = SessionDeadlines {
        local: ends.global.clone(),
        ..ends
    };
    let sets = dump
        .lines()
        .skip(1)
        .take_while(|line| !line.starts_with("eph"));
    let sets: String = sets.map(|line| format!("{line}\n")).collect();
    let both = dump.replace(&sets, &format!("Local {sets}Global {sets}"));
    assert_eq!(without_dates(&listings::dump(&world.shared, &ends)), both);
    assert_eq!(world.ask("dirs"), "datadir_size: 1000\nlogdir_size: 1000\n");
    assert_eq!(world.ask("crst"), "Connection stats reset.\n");
    assert!(world.ask("cons").contains("[0](queued=0,recved=1,"));
}

#[test]
fn who_does_not_serve_says_so() {
    let world = World::new(QUORUM);
    world.shared.set_serving(Serving::No);
    let refusal = "This ZooKeeper instance is not currently serving requests\n";
    for word in [
        "srvr", "stat", "mntr", "conf", "hash", "cons", "dump", "wchs",
    ] {
        assert_eq!(world.ask(word), refusal, "{word}");
    }
    assert_eq!(world.ask("ruok"), "imok");
    assert_eq!(world.ask("isro"), "null");
    world.shared.set_serving(Serving::ReadOnly);
    assert_eq!(world.ask("isro"), "ro");
    let heading = format!(
        "Zookeeper version: {}\nREAD-ONLY mode; serving only read-only clients\n",
        *texts::VERSION
    );
    for (word, next) in [("srvr", "Latency"), ("stat", "Clients:\n")] {
        assert!(world.ask(word).starts_with(&format!("{heading}{next}")));
    }
    world.shared.set_serving(Serving::Yes);
    assert_eq!(world.ask("isro"), "rw");
    assert!(
        world
            .ask("envi")
            .starts_with("Environment:\nzookeeper.version=3.9.5-ferrokeeper-")
    );
}

#[test]
fn only_the_words_that_are_allowed_are_answered() {
    let settings = format!("{QUORUM}4lw.commands.whitelist=srvr,ruok\n");
    let world = World::new(&settings);
    let refusal = "mntr is not executed because it is not in the whitelist.\n";
    assert_eq!(world.ask("mntr"), refusal);
    assert_eq!(world.ask("ruok"), "imok");
    for (bytes, reply) in [
        (&b"xxxx"[..], Reply::NotAWord),
        (&[0, 0, 0, 45], Reply::NotAWord),
        (b"ruo", Reply::More),
    ] {
        assert_eq!(words::answer(bytes, &world.shared, &world.asking), reply);
    }
}

#[test]
fn the_trace_mask_is_kept() {
    let world = World::new(ALONE);
    assert_eq!(world.ask("gtmk"), "306");
    let mask = b"stmk\0\0\0\0\0\0\0\x0a";
    let answer = |bytes| words::answer(bytes, &world.shared, &world.asking);
    assert_eq!(answer(&mask[..11]), Reply::More);
    assert_eq!(answer(mask), Reply::Now("10".to_owned()));
    assert_eq!(world.ask("gtmk"), "10");
}

/// Of Apache's leader: all scalar lines that have a meaning here.
const SCALARS: &str = "version server_state peer_state ephemerals_count avg_latency \
    num_alive_connections min_proposal_size outstanding_requests znode_count global_sessions \
    last_client_response_size packets_sent packets_received max_proposal_size \
    max_client_response_size synced_followers watch_count synced_non_voting_followers \
    synced_observers auth_failed_count min_latency max_file_descriptor_count \
    approximate_data_size open_file_descriptor_count last_proposal_size pending_syncs \
    leader_uptime local_sessions uptime max_latency learners min_client_response_size \
    quorum_size connection_rejected connection_drop_count bytes_received_count response_bytes \
    diff_count connection_revalidate_count commit_count proposal_count \
    cnxn_closed_without_zk_server_running looking_count learner_proposal_received_count \
    digest_mismatches_count learner_commit_received_count connection_request_count snap_count \
    stale_sessions_expired connection_drop_probability throttled_ops large_requests_rejected \
    sessionless_connections_expired request_throttle_wait_count snapshot_rate_limited_count \
    snapshot_error_count restore_rate_limited_count restore_error_count insecure_admin_count \
    watch_bytes ensemble_auth_success ensemble_auth_fail prep_processor_request_queued \
    sync_processor_request_queued unrecoverable_error_count avg_unavailable_time \
    avg_quorum_ack_latency avg_dbinittime cnt_node_created_watch_count";

#[test]
fn a_leader_is_monitored_by_apaches_names() {
    let world = World::new(QUORUM);
    world.become_leader();
    world.shared.metrics.fsynctime.observe(2.0);
    world.shared.metrics.fsynctime.observe(3.0);
    let found = world.monitored();
    for name in SCALARS.split_whitespace() {
        assert!(
            found.contains_key(&format!("zk_{name}")),
            "{name} is missing: {found:#?}"
        );
    }
    let expected = [
        ("server_state", "leader"),
        ("peer_state", "leading - broadcast"),
        ("avg_latency", "0.0"),
        ("quorum_size", "3"),
        ("learners", "2"),
        ("synced_followers", "1"),
        ("last_proposal_size", "87"),
        ("min_client_response_size", "-1"),
        ("znode_count", "5"),
        ("approximate_data_size", "44"),
        ("digest_mismatches_count", "0"),
        ("avg_fsynctime", "2.5"),
        ("min_fsynctime", "2"),
        ("max_fsynctime", "3"),
        ("cnt_fsynctime", "2"),
        ("sum_fsynctime", "5"),
    ];
    for (name, value) in expected {
        assert_eq!(found[&format!("zk_{name}")], value, "{name}");
    }
}

#[test]
fn prometheus_gets_apaches_names_without_prefix_and_each_once() {
    let world = World::new(QUORUM);
    world.become_leader();
    world.shared.metrics.read(1, 3);
    let families = world.shared.metrics.registry.gather();
    let mut names: Vec<_> = families
        .iter()
        .map(|family| family.name().to_owned())
        .collect();
    let all = names.len();
    names.dedup();
    assert_eq!(names.len(), all);
    let text = prometheus::TextEncoder::new()
        .encode_to_string(&families)
        .unwrap();
    for line in [
        "znode_count 5",
        "# TYPE commit_count counter",
        "commit_count 0",
        "readlatency_sum 3",
        "readlatency_count 1",
        "readlatency{quantile=\"0.5\"} 3",
    ] {
        assert!(
            text.lines().any(|found| found == line),
            "{line} is missing:\n{text}"
        );
    }
}

#[test]
fn what_scripts_look_at_comes_first() {
    let world = World::new(QUORUM);
    world.become_leader();
    let text = world.ask("mntr");
    let (first, _) = text.split_at(2048);
    for name in [
        "version",
        "server_state",
        "znode_count",
        "watch_count",
        "ephemerals_count",
        "approximate_data_size",
        "open_file_descriptor_count",
        "max_file_descriptor_count",
        "synced_followers",
        "pending_syncs",
        "outstanding_requests",
        "num_alive_connections",
        "packets_received",
        "packets_sent",
        "uptime",
        "avg_latency",
        "max_latency",
    ] {
        assert!(
            first.contains(&format!("\nzk_{name}\t")) || name == "version",
            "{name}:\n{first}"
        );
    }
}

#[test]
fn counters_end_in_total_where_that_is_asked_for() {
    let world = World::new(&format!("{ALONE}metricsProvider.totalNames=true\n"));
    let names: Vec<_> = http::families(&world.shared)
        .iter()
        .map(|family| family.name().to_owned())
        .collect();
    for name in ["commit_count_total", "znode_count", "fsynctime"] {
        assert!(names.contains(&name.to_owned()), "{name}: {names:?}");
    }
    assert!(!names.contains(&"commit_count".to_owned()));
}

#[test]
fn stat_reset_forgets_all_counts() {
    let world = World::new(ALONE);
    world.shared.metrics.read(3, 7);
    assert_eq!(world.monitored()["zk_cnt_readlatency"], "3");
    assert_eq!(world.ask("srst"), "Server stats reset.\n");
    let found = world.monitored();
    for name in [
        "cnt_readlatency",
        "max_readlatency",
        "p99_readlatency",
        "max_latency",
    ] {
        assert_eq!(found[&format!("zk_{name}")], "0", "{name}");
    }
}

#[test]
fn ready_means_serving_and_not_about_to_stop() {
    use std::sync::atomic::Ordering;

    let world = World::new(QUORUM);
    let shared = &*world.shared;
    let why = |shared| http::why_not_ready(shared).map(|why| why.split(':').next().unwrap());
    assert_eq!(why(None), Some("starting"));
    assert_eq!(why(Some(shared)), None);
    shared.draining.store(true, Ordering::Release);
    assert_eq!(why(Some(shared)), Some("draining"));
    shared.draining.store(false, Ordering::Release);
    for serving in [Serving::Holding, Serving::No] {
        shared.set_serving(serving);
        assert_eq!(why(Some(shared)), Some("without a leader"));
    }
}

#[test]
fn a_follower_shows_nothing_that_only_leaders_have() {
    let world = World::new(QUORUM);
    let epoch = Epoch::default();
    world.become_leader();
    world.shared.set_leading(false);
    let role = Role::Following {
        leader: PeerId(1),
        epoch,
        link: zab::LinkId(1),
    };
    if let Some(status) = &mut *world.shared.status.write() {
        status.role = role;
        status.zab.part = zab::Part::Following;
    }
    let found = world.monitored();
    assert_eq!(found["zk_server_state"], "follower");
    assert_eq!(found["zk_peer_state"], "following - broadcast");
    for name in ["zk_learners", "zk_synced_followers", "zk_leader_uptime"] {
        assert_eq!(found.get(name), None, "{name}");
    }
    assert!(!world.ask("srvr").contains("Proposal sizes"));
}
