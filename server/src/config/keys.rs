//! Every key that Apache ZooKeeper 3.9 knows, and what it means here.
//!
//! A test holds this list against what [`super::build`] reads.

/// What a key means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meaning {
    /// It is honoured: its default, and what it says.
    Does {
        default: &'static str,
        what: &'static str,
    },
    /// Whatever it says, what happens is this, which some values (between commas) agree with.
    Always {
        value: &'static str,
        why: &'static str,
    },
    /// It has no meaning here, and why.
    Nothing(&'static str),
}

/// A key's name, with `*` at the end for any that begins so.
pub(crate) type Key = (&'static str, Meaning);

const fn does(name: &'static str, default: &'static str, what: &'static str) -> Key {
    (name, Meaning::Does { default, what })
}

const fn always(name: &'static str, value: &'static str, why: &'static str) -> Key {
    (name, Meaning::Always { value, why })
}

const fn nothing(name: &'static str, why: &'static str) -> Key {
    (name, Meaning::Nothing(why))
}

/// What a key means, if Apache or this member knows it.
pub(crate) fn find(key: &str) -> Option<&'static Key> {
    let is_it = |name: &str| name == key;
    let begins = |name: &str| {
        let start = name.strip_suffix('*');
        start.is_some_and(|start| key.starts_with(start))
    };
    let mut all = ALL.iter().flat_map(|group| group.iter());
    all.clone()
        .find(|(name, _)| is_it(name))
        .or_else(|| all.find(|(name, _)| begins(name)))
}

/// All keys, for a list of what can be set.
pub(crate) fn all() -> impl Iterator<Item = &'static Key> {
    ALL.iter().flat_map(|group| group.iter())
}

/// The key that Apache spells a little differently.
pub(super) fn alike(key: &str) -> Option<&'static str> {
    let plain = |name: &str| -> String {
        let kept = name.chars().filter(char::is_ascii_alphanumeric);
        kept.map(|c| c.to_ascii_lowercase()).collect()
    };
    let wanted = plain(key);
    all()
        .map(|(name, _)| *name)
        .find(|name| !name.ends_with('*') && plain(name) == wanted)
}

/// The key that an environment variable names: in any case, with `_` for `.` and `-`.
pub(super) fn by_variable(wanted: &str) -> Option<String> {
    let plain = |name: &str| name.to_ascii_lowercase().replace(['.', '-'], "_");
    let wanted = plain(wanted);
    all().find_map(|(name, _)| match name.strip_suffix('*') {
        None if plain(name) == wanted => Some((*name).to_owned()),
        None => None,
        Some(start) => wanted
            .strip_prefix(&plain(start))
            .filter(|rest| rest.chars().all(|c| c.is_ascii_digit()))
            .map(|rest| format!("{start}{rest}")),
    })
}

/// Whether a key's value is nobody's business.
pub(crate) fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.contains("password") && !key.ends_with("passwordpath") || key.ends_with("superdigest")
}

const ALL: &[&[Key]] = &[
    BASICS, ENSEMBLE, STORAGE, LIMITS, DATA, ACCESS, SECURITY, ADMIN, PIPELINE, JAVA,
];

const BASICS: &[Key] = &[
    does("dataDir", "", "folder of the snapshots and of myid"),
    does("dataLogDir", "dataDir", "folder of the transaction log"),
    does("clientPort", "", "port for clients"),
    does("clientPortAddress", "0.0.0.0", "address for clients"),
    does(
        "tickTime",
        "3000",
        "milliseconds of a tick, the unit of other times",
    ),
    does(
        "minSessionTimeout",
        "2 ticks",
        "least session timeout granted, milliseconds",
    ),
    does(
        "maxSessionTimeout",
        "20 ticks",
        "greatest session timeout granted, milliseconds",
    ),
];

const NEXT_TO_QUORUM: &str = "members are told apart by what they announce in an election";

const ENSEMBLE: &[Key] = &[
    does(
        "server.*",
        "",
        "a member: host:quorum port:election port[:role][;client port]",
    ),
    does("group.*", "", "members that count as one group in a quorum"),
    does("weight.*", "1", "a member's weight in its group"),
    does("dynamicConfigFile", "", "file with the members"),
    does(
        "initLimit",
        "",
        "ticks for a follower to be brought up to date",
    ),
    does(
        "syncLimit",
        "",
        "ticks of silence after which leader and follower part",
    ),
    does(
        "standaloneEnabled",
        "true",
        "one voter alone runs without a quorum",
    ),
    does(
        "reconfigEnabled",
        "false",
        "clients may change the membership",
    ),
    does(
        "peerType",
        "participant",
        "this member's role; the server list counts",
    ),
    does("electionAlg", "3", "the election; only 3 exists"),
    does(
        "cnxTimeout",
        "5000",
        "milliseconds to connect to another member",
    ),
    does(
        "quorumListenOnAllIPs",
        "false",
        "members are listened for on all addresses",
    ),
    does(
        "leader.maxTimeToWaitForEpoch",
        "-1",
        "milliseconds that a leader waits for followers",
    ),
    does(
        "fastleader.minNotificationInterval",
        "200",
        "milliseconds until a vote is repeated",
    ),
    does(
        "fastleader.maxNotificationInterval",
        "60000",
        "greatest pause between two votes",
    ),
    does("leaderServes", "yes", "whether a leader serves clients too"),
    always(
        "syncEnabled",
        "true",
        "observers always keep log and snapshots",
    ),
    always(
        "observer.syncEnabled",
        "true",
        "observers always keep log and snapshots",
    ),
    always(
        "multiAddress.enabled",
        "true,false",
        "several addresses of a member are always tried",
    ),
    nothing(
        "multiAddress.*",
        "addresses of a member are tried one after the other",
    ),
    nothing("observerMasterPort", "observers follow the leader"),
    nothing("observerMaster.*", "observers follow the leader"),
    nothing(
        "observer.*",
        "observers come back at the pace of any member",
    ),
    nothing("connectToLearnerMasterLimit", "initLimit covers it"),
    nothing(
        "quorumCnxnTimeoutMs",
        "votes are sent without waiting for an answer",
    ),
    nothing("quorum.cnxn.threads.size", NEXT_TO_QUORUM),
    nothing("electionPortBindRetry", "a port is tried for half a minute"),
    always(
        "tcpKeepAlive",
        "true,false",
        "votes and pings show at once that a member is gone",
    ),
    nothing(
        "leaderConnectDelayDuringRetryMs",
        "a leader is tried again at growing pauses",
    ),
    nothing("leader.nodelay", "packets are always sent at once"),
    nothing("follower.nodelay", "packets are always sent at once"),
    nothing(
        "leader.closeSocketAsync",
        "no thread waits for a socket to close",
    ),
    nothing(
        "learner.closeSocketAsync",
        "no thread waits for a socket to close",
    ),
    nothing(
        "learner.asyncSending",
        "learners always send without waiting",
    ),
    nothing(
        "leader.ackLoggingFrequency",
        "acknowledgements are not logged",
    ),
    nothing(
        "leader.maxConcurrentSnapSyncs",
        "learners are sent one shared cut at their own pace",
    ),
    nothing(
        "leader.maxConcurrentDiffSyncs",
        "what learners missed is read at their own pace",
    ),
    nothing(
        "oraclePath",
        "a quorum is a majority; no file may stand in for one",
    ),
    nothing("forceSnapshotSync", "it is for tests of Apache's"),
    nothing("testingonly.*", "it is for tests of Apache's"),
    nothing("test.*", "it is for tests of Apache's"),
    nothing(
        "version",
        "a configuration's version stands in its dynamic file",
    ),
];

const ONE_SYNC: &str =
    "what comes in during one sync goes into the next: nothing is won by waiting for more";

const STORAGE: &[Key] = &[
    does("preAllocSize", "65536", "KiB by which the log grows"),
    does("snapCount", "100000", "transactions between two snapshots"),
    does(
        "snapSizeLimitInKb",
        "4194304",
        "KiB of log between two snapshots",
    ),
    does(
        "snapshot.logFactor",
        "1",
        "log that snapCount waits for, as a share of the last snapshot's size",
    ),
    does(
        "commitLogCount",
        "500",
        "transactions kept in memory for members that were away",
    ),
    does(
        "snapshotSizeFactor",
        "0.33",
        "log sent instead of a snapshot, as a share of its size",
    ),
    does(
        "autopurge.snapRetainCount",
        "3",
        "snapshots kept by a purge",
    ),
    does(
        "autopurge.purgeInterval",
        "0",
        "hours between two purges, 0 for none",
    ),
    does(
        "snapshot.trust.empty",
        "false",
        "a log without snapshot is believed",
    ),
    does(
        "db.autocreate",
        "true",
        "a member with an empty disk may vote",
    ),
    does(
        "digest.enabled",
        "true",
        "snapshots and transactions carry the tree's digest",
    ),
    does(
        "serializeLastProcessedZxid.enabled",
        "true",
        "snapshots end with their last zxid",
    ),
    does(
        "fsync.warningthresholdms",
        "1000",
        "a slower sync of the log is warned of",
    ),
    always(
        "forceSync",
        "yes,true",
        "nothing is acknowledged that is not on the disk",
    ),
    does(
        "snapshot.compression.method",
        "",
        "how snapshots are compressed: gz or snappy",
    ),
    always(
        "txnLogSizeLimitInKb",
        "-1",
        "the log starts a new file at each snapshot",
    ),
    always(
        "datadir.autocreate",
        "true",
        "folders are made where they are missing",
    ),
    nothing("flushDelay", ONE_SYNC),
    nothing("maxBatchSize", ONE_SYNC),
    nothing("maxWriteQueuePollTime", ONE_SYNC),
];

const NO_STALE: &str = "clients that must wait are not read, so that no request gets stale";

const LIMITS: &[Key] = &[
    does(
        "maxClientCnxns",
        "60",
        "connections from one address, 0 for any number",
    ),
    does("maxCnxns", "0", "connections in all, 0 for any number"),
    does(
        "clientPortListenBacklog",
        "-1",
        "connections that may wait to be accepted",
    ),
    does("jute.maxbuffer", "1048575", "bytes of the longest request"),
    does(
        "globalOutstandingLimit",
        "64 MiB",
        "requests under way before clients wait",
    ),
    does(
        "nio.sessionlessCnxnTimeout",
        "10000",
        "milliseconds to ask for a session",
    ),
    does(
        "clientTcpKeepAlive",
        "false",
        "clients gone without a word are found out",
    ),
    does(
        "connection_throttle_tokens",
        "0",
        "connections taken at once, 0 for any number",
    ),
    does(
        "connection_throttle_fill_time",
        "1",
        "milliseconds until more are taken",
    ),
    does(
        "connection_throttle_fill_count",
        "1",
        "how many more are taken then",
    ),
    does(
        "connection_throttle_freeze_time",
        "-1",
        "milliseconds between two changes of chance",
    ),
    does(
        "connection_throttle_drop_increase",
        "0.02",
        "growth of the chance of a refusal",
    ),
    does(
        "connection_throttle_drop_decrease",
        "0.002",
        "fall of the chance of a refusal",
    ),
    does(
        "connection_throttle_decrease_ratio",
        "0",
        "share of tokens at which it stays the same",
    ),
    does(
        "connection_throttle_weight_enabled",
        "false",
        "sessions cost several tokens",
    ),
    does(
        "connection_throttle_global_session_weight",
        "3",
        "tokens of a new session",
    ),
    does(
        "connection_throttle_renew_session_weight",
        "2",
        "tokens of a renewed session",
    ),
    does(
        "connection_throttle_local_session_weight",
        "1",
        "tokens of a local session",
    ),
    does(
        "request_throttle_max_requests",
        "0",
        "requests under way before no client is read",
    ),
    does(
        "throttled_op_wait_time",
        "0",
        "milliseconds after which a request is refused",
    ),
    does(
        "largeRequestThreshold",
        "-1",
        "bytes from which on a request is a large one",
    ),
    does(
        "largeRequestMaxBytes",
        "104857600",
        "bytes of all large requests under way",
    ),
    does(
        "request_throttle_stall_time",
        "100",
        "milliseconds between two looks at them",
    ),
    nothing("request_throttle_drop_stale", NO_STALE),
    nothing("request_stale_latency_check", NO_STALE),
    nothing("request_stale_connection_check", NO_STALE),
    nothing("request_throttler.shutdownTimeout", NO_STALE),
    nothing(
        "jute.maxbuffer.extrasize",
        "records of the log may always be twice as long",
    ),
];

const DATA: &[Key] = &[
    does(
        "extendedTypesEnabled",
        "false",
        "znodes may have a time to live",
    ),
    does(
        "znode.container.checkIntervalMs",
        "60000",
        "milliseconds between two collections",
    ),
    does(
        "znode.container.maxPerMinute",
        "10000",
        "containers collected in a minute",
    ),
    does(
        "znode.container.maxNeverUsedIntervalMs",
        "0",
        "patience with unused containers",
    ),
    does(
        "emulate353TTLNodes",
        "false",
        "what 3.5.3 wrote as a time to live is one",
    ),
    does(
        "enforceQuota",
        "false",
        "what goes beyond a hard quota is refused",
    ),
    always(
        "closeSessionTxn.enabled",
        "true",
        "the end of a session always lists its znodes",
    ),
    does(
        "localSessionsEnabled",
        "false",
        "new sessions are of one member only",
    ),
    does(
        "localSessionsUpgradingEnabled",
        "false",
        "such a session becomes the ensemble's with its first ephemeral",
    ),
    does(
        "readonlymode.enabled",
        "false",
        "clients that allow it may read while there is no quorum",
    ),
];

const ACCESS: &[Key] = &[
    does("skipACL", "no", "ACLs are not checked"),
    does(
        "DigestAuthenticationProvider.superDigest",
        "",
        "user:hash of the superuser",
    ),
    does(
        "authProvider.*",
        "",
        "a scheme that clients may use, by the name of Apache's class",
    ),
    does(
        "DigestAuthenticationProvider.enabled",
        "true",
        "user and password identify a client",
    ),
    does(
        "DigestAuthenticationProvider.digestAlg",
        "SHA1",
        "how passwords are hashed; the same on all members",
    ),
    nothing(
        "IPAuthenticationProvider.*",
        "a client's address is that of its connection",
    ),
    does(
        "ensembleAuthName",
        "",
        "names of this ensemble, for clients that say which they want",
    ),
    does(
        "enforce.auth.enabled",
        "false",
        "clients must show who they are before they are served",
    ),
    does(
        "enforce.auth.schemes",
        "",
        "schemes of which a client must show one",
    ),
    does(
        "sessionRequireClientSASLAuth",
        "false",
        "as enforce.auth.schemes=sasl",
    ),
    does(
        "enableEagerACLCheck",
        "false",
        "permissions are looked at before a request goes to the leader, too",
    ),
];

const NO_TLS: &str = "TLS is not there: nothing is encrypted";
const NO_SASL: &str = "SASL is not there: nobody logs in by it";

const SECURITY: &[Key] = &[
    nothing("secureClientPort", NO_TLS),
    nothing("secureClientPortAddress", NO_TLS),
    always("sslQuorum", "false", NO_TLS),
    nothing("sslQuorumReloadCertFiles", NO_TLS),
    always("portUnification", "false", NO_TLS),
    always("client.portUnification", "false", NO_TLS),
    nothing("client.certReload", NO_TLS),
    nothing("ssl.*", NO_TLS),
    nothing("X509AuthenticationProvider.*", NO_TLS),
    always(
        "fips-mode",
        "true,false",
        "no rule of FIPS is broken where nothing is encrypted",
    ),
    nothing("kerberos.*", NO_SASL),
    nothing("superUser*", NO_SASL),
    nothing("allowSaslFailedClients", NO_SASL),
    nothing("letAnySaslUserDoX", NO_SASL),
    always("quorum.auth.enableSasl", "false", NO_SASL),
    always("quorum.auth.serverRequireSasl", "false", NO_SASL),
    always("quorum.auth.learnerRequireSasl", "false", NO_SASL),
    nothing("quorum.auth.*", NO_SASL),
    nothing("sasl.*", NO_SASL),
    nothing("requireKerberosConfig", NO_SASL),
    nothing("server.realm", NO_SASL),
    nothing("security.auth_to_local", NO_SASL),
];

const ADMIN: &[Key] = &[
    does(
        "4lw.commands.whitelist",
        "srvr",
        "four-letter words that are answered, * for all",
    ),
    does("admin.enableServer", "true", "the AdminServer runs"),
    does(
        "admin.serverAddress",
        "127.0.0.1",
        "its address; Apache's default is every address",
    ),
    does("admin.serverPort", "8080", "its port"),
    does(
        "metricsProvider.className",
        "",
        "metrics are served if it is Prometheus' provider",
    ),
    does(
        "metricsProvider.httpHost",
        "0.0.0.0",
        "address for Prometheus",
    ),
    does("metricsProvider.httpPort", "7000", "port for Prometheus"),
    does(
        "metricsProvider.totalNames",
        "false",
        "counters end in _total, as from 3.10 on",
    ),
    nothing("metricsProvider.exportJvmInfo", NO_JAVA),
    nothing("metricsProvider.httpsPort", NO_TLS),
    nothing("metricsProvider.ssl.*", NO_TLS),
    nothing(
        "metricsProvider.*",
        "numbers are counted in place, without workers and queues",
    ),
    does("admin.commandURL", "/commands", "path of its commands"),
    does("admin.snapshot.enabled", "true", "it hands out snapshots"),
    does("admin.restore.enabled", "true", "it restores snapshots"),
    does(
        "admin.rateLimiterIntervalInMS",
        "300000",
        "milliseconds between two of either",
    ),
    does(
        "admin.idleTimeout",
        "30000",
        "milliseconds that nothing may move on a monitor's connection",
    ),
    always(
        "admin.httpVersion",
        "11",
        "HTTP/1.1 is spoken, whatever is asked for",
    ),
    always("admin.portUnification", "false", NO_TLS),
    always("admin.forceHttps", "false", NO_TLS),
    always("admin.needClientAuth", "false", NO_TLS),
    does(
        "audit.enable",
        "false",
        "changes are logged with who made them",
    ),
    nothing(
        "audit.impl.class",
        "no class of Java's can be loaded: it goes to the log",
    ),
];

const NO_QUEUES: &str = "requests pass through no such queue: reads are served in place";
const COMPACT: &str = "the watch table is compact, and frees at once what a connection leaves";
const NO_CACHE: &str = "answers are made straight from memory";

const PIPELINE: &[Key] = &[
    nothing(
        "nio.*",
        "sockets are served by as many workers as there are processors",
    ),
    nothing("netty.*", "there is no Netty here"),
    always(
        "serverCnxnFactory",
        "org.apache.zookeeper.server.NIOServerCnxnFactory,\
         org.apache.zookeeper.server.NettyServerCnxnFactory",
        "there is one way to serve sockets",
    ),
    nothing("commitProcessor.*", NO_QUEUES),
    nothing("follower.skipLearnerRequestToNextProcessor", NO_QUEUES),
    nothing(
        "forward_learner_requests_to_commit_processor_disabled",
        NO_QUEUES,
    ),
    nothing("maxResponseCacheSize", NO_CACHE),
    nothing("maxGetChildrenResponseCacheSize", NO_CACHE),
    nothing("intBufferStartingSizeBytes", NO_CACHE),
    nothing("watchManagerName", COMPACT),
    nothing("watcherCleanThreadsNum", COMPACT),
    nothing("watcherCleanThreshold", COMPACT),
    nothing("watcherCleanIntervalInSeconds", COMPACT),
    nothing("maxInProcessingDeadWatchers", COMPACT),
    nothing("bitHashCacheSize", COMPACT),
    nothing(
        "messageTracker.*",
        "RUST_LOG shows what members say to each other",
    ),
    nothing("pathStats.*", "no statistics are kept for single paths"),
];

const NO_JAVA: &str = "there is no Java machine";

const JAVA: &[Key] = &[
    nothing("jvm.*", NO_JAVA),
    nothing("jmx.*", NO_JAVA),
    nothing("java.*", NO_JAVA),
    nothing("javax.*", NO_JAVA),
    nothing("sun.*", NO_JAVA),
    nothing("com.*", NO_JAVA),
    nothing("user.*", NO_JAVA),
    nothing("file.encoding", NO_JAVA),
    nothing("log4j.*", "--log and --log-format say what is logged"),
    nothing("logback.*", "--log and --log-format say what is logged"),
    nothing("log.*", "--log and --log-format say what is logged"),
    nothing("root.logger", "--log and --log-format say what is logged"),
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_key_stands_once() {
        let names: Vec<&str> = all().map(|(name, _)| *name).collect();
        let different: BTreeSet<&str> = names.iter().copied().collect();
        assert_eq!(names.len(), different.len());
    }

    #[test]
    fn a_name_counts_more_than_a_beginning() {
        let meaning = |key| find(key).map(|(name, _)| *name);
        assert_eq!(
            meaning("observer.syncEnabled"),
            Some("observer.syncEnabled")
        );
        assert_eq!(meaning("observer.reconnectDelayMs"), Some("observer.*"));
        assert_eq!(meaning("made.up"), None);
    }

    #[test]
    fn a_slip_of_the_pen_is_recognized() {
        assert_eq!(alike("ticktime"), Some("tickTime"));
        assert_eq!(alike("max_client_cnxns"), Some("maxClientCnxns"));
        assert_eq!(alike("tickTimes"), None);
    }

    #[test]
    fn passwords_and_hashes_are_secret_but_not_where_they_are() {
        let secret = [
            "ssl.keyStore.password",
            "DigestAuthenticationProvider.superDigest",
        ];
        assert!(secret.iter().all(|key| is_secret(key)));
        assert!(!is_secret("ssl.keyStore.passwordPath"));
    }
}
