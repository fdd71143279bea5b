use std::fs;
use std::path::Path;

use wire::PeerId;
use wire::config::Address;

use super::keys::Meaning;
use super::settings::Settings;
use super::{Config, ConfigError, Origin, Overrides, Warning, Words};

struct Folder {
    folder: tempfile::TempDir,
}

impl Folder {
    fn new(myid: Option<&str>) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        if let Some(myid) = myid {
            fs::write(folder.path().join("myid"), myid).expect("write myid");
        }
        Self { folder }
    }

    /// Loads a zoo.cfg whose first line is dataDir.
    fn load(&self, rest: &str) -> Result<Config, ConfigError> {
        let file = self.folder.path().join("zoo.cfg");
        let text = format!("dataDir={}\n{rest}", self.folder.path().display());
        fs::write(&file, text).expect("write zoo.cfg");
        Config::load(&file, &Overrides::default())
    }

    /// What is said, with the folder's name taken out.
    fn refusal(&self, rest: &str) -> String {
        let said = self.load(rest).expect_err("must be refused").to_string();
        said.replace(&self.folder.path().display().to_string(), "DIR")
    }
}

const THREE: &str = "initLimit=10\nsyncLimit=5\nclientPort=2181\nserver.1=a:2888:3888\n\
                     server.2=b:2888:3888:participant;2182\nserver.3=c:2888:3888:observer\n";

#[test]
fn a_minimal_standalone_file_has_apaches_defaults() {
    let config = Folder::new(None).load("clientPort=2181\n").expect("valid");
    assert!(config.standalone);
    assert_eq!(config.id, PeerId(0));
    assert_eq!(
        config.client,
        Address {
            host: "0.0.0.0".to_owned(),
            port: 2181
        }
    );
    assert_eq!(config.tick_time, 3000);
    assert_eq!(config.session_timeouts, (6000, 60_000));
    assert_eq!(config.limits.connections_per_address, 60);
    assert_eq!(config.limits.frame, 0xf_ffff);
    assert_eq!(config.storage.preallocate, 64 << 20);
    assert_eq!(config.access.words, Words::Only(["srvr".to_owned()].into()));
    assert_eq!(config.warnings, []);
}

#[test]
fn old_and_dynamic_server_lines_stand_side_by_side() {
    let config = Folder::new(Some("2\n"))
        .load(&THREE.replace("clientPort=2181\n", ""))
        .expect("valid");
    assert_eq!(config.id, PeerId(2));
    assert_eq!(config.client.port, 2182);
    assert_eq!(
        config.ensemble.voters().collect::<Vec<_>>(),
        [PeerId(1), PeerId(2)]
    );
    assert_eq!(config.ensemble.members.len(), 3);
}

#[test]
fn a_dynamic_file_gives_members_and_version() {
    let folder = Folder::new(Some("1"));
    let dynamic = folder.folder.path().join("zoo.cfg.dynamic.100000000");
    fs::write(
        &dynamic,
        "server.1=a:1:2;3\nserver.2=b:1:2;3\nserver.3=c:1:2;3",
    )
    .expect("write");
    let config = folder
        .load(&format!(
            "initLimit=1\nsyncLimit=1\ndynamicConfigFile={}\n",
            dynamic.display()
        ))
        .expect("valid");
    assert_eq!(config.ensemble.version, 0x1_0000_0000);
    assert_eq!(config.ensemble.voters().count(), 3);
}

#[test]
fn a_member_that_the_ensemble_does_not_list_is_refused() {
    assert_eq!(
        Folder::new(Some("7")).refusal(THREE),
        "DIR/myid: says 7, but the ensemble has the members 1, 2, 3 only"
    );
    assert_eq!(
        Folder::new(None).refusal(THREE),
        "DIR/myid: is missing: write this member's id into it, one of 1, 2, 3"
    );
    assert_eq!(
        Folder::new(Some("one")).refusal(THREE),
        "DIR/myid: \"one\" is not a number from 0 to 254"
    );
}

#[test]
fn an_impossible_setting_is_refused_with_its_line() {
    let folder = Folder::new(Some("1"));
    for (text, said) in [
        (
            "tickTime=0",
            "DIR/zoo.cfg:2: tickTime: \"0\" is not a number from 1 to 2147483647",
        ),
        (
            "\ntickTime=fast",
            "DIR/zoo.cfg:3: tickTime: \"fast\" is not a number from 1 to 2147483647",
        ),
        (
            "clientPort=70000",
            "DIR/zoo.cfg:2: clientPort: \"70000\" is not a number from 0 to 65535",
        ),
        (
            "clientPort=1\nelectionAlg=1",
            "DIR/zoo.cfg:3: electionAlg: only 3, fast leader election, exists",
        ),
        (
            "clientPort=1\nskipACL=maybe",
            "DIR/zoo.cfg:3: skipACL: write true or false",
        ),
        (
            "clientPort=1\nminSessionTimeout=9\nmaxSessionTimeout=8",
            "DIR/zoo.cfg: minSessionTimeout <= maxSessionTimeout is missing: \
             the least, 9 ms, is above the greatest, 8 ms",
        ),
        (
            "tickTime=2000",
            "DIR/zoo.cfg: clientPort is missing: write clientPort=2181, \
             or end this member's server line with ;2181",
        ),
        (
            "clientPort=1\nsyncLimit=5\nserver.1=a:1:2\nserver.2=b:1:2",
            "DIR/zoo.cfg: initLimit is missing: an ensemble needs it, for example initLimit=10",
        ),
        (
            "clientPort=1\nsslQuorum=true",
            "DIR/zoo.cfg:3: sslQuorum: TLS between members is not there, and without it what you \
             want protected would be open: take the line out if it may be",
        ),
        (
            "clientPort=1\nenforce.auth.enabled=true",
            "DIR/zoo.cfg: enforce.auth.schemes is missing: enforce.auth.enabled=true needs it, \
             for example enforce.auth.schemes=digest",
        ),
        (
            "clientPort=1\nenforce.auth.enabled=true\nenforce.auth.schemes=ip,sasl",
            "DIR/zoo.cfg: authProvider.N is missing: the scheme sasl is required and does not \
             exist here",
        ),
        (
            "server.999=a:1:2",
            "DIR/zoo.cfg:2: server.999: the id must be a number from 0 to 254",
        ),
    ] {
        assert_eq!(folder.refusal(text), said, "for {text:?}");
    }
}

#[test]
fn a_client_port_said_twice_must_be_the_same() {
    let text = THREE.replace("2181", "2183");
    assert_eq!(
        Folder::new(Some("2")).refusal(&text),
        "DIR/zoo.cfg:4: clientPort: is 2183 here and 2182 in server.2: keep one"
    );
}

#[test]
fn unknown_and_repeated_keys_are_warnings() {
    let config = Folder::new(None)
        .load("clientPort=1\nclientPort=2181\nmade.up=1\nzookeeper.skipACL=yes\n")
        .expect("valid");
    assert_eq!(config.client.port, 2181);
    assert!(config.access.skip_acl);
    let warning = |line, key: &str, why: &str| Warning {
        origin: Origin::Line(line),
        key: key.to_owned(),
        why: why.to_owned(),
    };
    assert_eq!(
        config.warnings,
        [
            warning(
                2,
                "clientPort",
                "stands again further down, where it counts"
            ),
            warning(
                4,
                "made.up",
                "has no meaning here (Apache takes it as a system property)"
            ),
        ]
    );
}

/// A value that each honoured key takes, where 1 is none.
fn sample(key: &str) -> &'static str {
    match key {
        "dataDir" | "dataLogDir" => "/data",
        "electionAlg" => "3",
        "peerType" => "participant",
        "snapCount" => "1000",
        "snapshot.compression.method" => "gz",
        "preAllocSize" | "jute.maxbuffer" => "65536",
        "clientPortAddress" | "admin.serverAddress" | "metricsProvider.httpHost" => "127.0.0.1",
        "maxSessionTimeout" => "60000",
        "metricsProvider.className" => "PrometheusMetricsProvider",
        "admin.commandURL" => "/commands",
        "DigestAuthenticationProvider.digestAlg" => "SHA3-256",
        "enforce.auth.schemes" => "digest, ip",
        "sessionRequireClientSASLAuth" => "false",
        _ if super::keys::find(key).is_some_and(|(_, meaning)| has_flag(*meaning)) => "true",
        _ => "1",
    }
}

fn has_flag(meaning: Meaning) -> bool {
    matches!(
        meaning,
        Meaning::Does {
            default: "true" | "false" | "yes" | "no",
            ..
        }
    )
}

#[test]
fn each_key_said_to_do_something_is_read_and_the_others_are_not() {
    let honoured = super::keys::all().filter_map(|(key, meaning)| match meaning {
        Meaning::Does { .. } if !key.ends_with('*') && *key != "dynamicConfigFile" => Some(*key),
        _ => None,
    });
    let text: String = honoured
        .map(|key| format!("{key}={}\n", sample(key)))
        .collect();
    let config = Folder::new(None).load(&text).expect("valid");
    let unread: Vec<_> = config
        .warnings
        .iter()
        .filter(|warning| warning.key != "dataDir" && warning.key != "autopurge.snapRetainCount")
        .collect();
    assert_eq!(unread, Vec::<&Warning>::new());

    let mut settings = Settings::new(Path::new("zoo.cfg"), &text, &Overrides::default());
    super::build::settled(&mut settings).expect("valid");
    let unknown: Vec<&String> = settings
        .asked_for()
        .iter()
        .filter(|key| !matches!(super::keys::find(key), Some((_, Meaning::Does { .. }))))
        .collect();
    assert_eq!(unknown, Vec::<&String>::new());
}

#[test]
fn words_are_listed_between_commas_and_a_star_is_all() {
    let words = |list: &str| {
        let text = format!("clientPort=1\n4lw.commands.whitelist={list}\n");
        let config = Folder::new(None).load(&text).expect("valid");
        config.access.words
    };
    let only = |list: &[&str]| Words::Only(list.iter().map(ToString::to_string).collect());
    assert_eq!(words("srvr, mntr"), only(&["mntr", "srvr"]));
    assert_eq!(words("srvr, *"), Words::All);
    assert_eq!(words("stat, ,ruok"), only(&["ruok", "srvr", "stat"]));
    assert_eq!(words(""), only(&["srvr"]));
    let config = Folder::new(None).load("clientPort=1\nreadonlymode.enabled=true\n");
    assert_eq!(config.expect("valid").access.words, only(&["isro", "srvr"]));
}

#[test]
fn a_file_in_latin_1_is_read() {
    let folder = Folder::new(Some("1\r\nwritten twice\r\n"));
    let file = folder.folder.path().join("zoo.cfg");
    let text = format!(
        "# f\u{fc}r uns\ndataDir={}\n{THREE}",
        folder.folder.path().display()
    );
    let latin: Vec<u8> = text
        .chars()
        .map(|c| u8::try_from(c).expect("Latin 1"))
        .collect();
    fs::write(&file, latin).expect("write zoo.cfg");
    let config = Config::load(&file, &Overrides::default()).expect("valid");
    assert_eq!(config.id, PeerId(1));
}

#[test]
fn overrides_count_more_than_the_file() {
    let folder = Folder::new(None);
    folder
        .load("clientPort=2181\ntickTime=2000\n")
        .expect("valid");
    let file = folder.folder.path().join("zoo.cfg");
    let flags = ["zookeeper.tickTime=500".to_owned()];
    let variable = ("FERROKEEPER_SET_CLIENTPORT".to_owned(), "x".to_owned());
    let overrides = Overrides::new([variable.clone()], &flags).expect("settings");
    let refused = Config::load(&file, &overrides).expect_err("no port");
    assert_eq!(
        refused.to_string(),
        "FERROKEEPER_SET_CLIENTPORT: clientPort: \"x\" is not a number from 0 to 65535"
    );
    let variable = (variable.0, "2182".to_owned());
    let overrides = Overrides::new([variable], &flags).expect("settings");
    let config = Config::load(&file, &overrides).expect("valid");
    assert_eq!((config.client.port, config.tick_time), (2182, 500));
    assert_eq!(config.warnings, []);
}

#[test]
fn a_setting_that_says_what_happens_anyway_is_no_warning() {
    let agreed = "clientPort=1\nforceSync=yes\nleaderServes=yes\nserverCnxnFactory=\
                  org.apache.zookeeper.server.NettyServerCnxnFactory\nsslQuorum=false\n";
    assert_eq!(Folder::new(None).load(agreed).expect("valid").warnings, []);
    let config = Folder::new(None).load("clientPort=1\nforceSync=no\nticktime=5\n");
    let said: Vec<String> = config
        .expect("valid")
        .warnings
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        said,
        [
            "line 3: forceSync: nothing is acknowledged that is not on the disk",
            "line 4: ticktime: is no key of Apache's: did you mean tickTime?",
        ]
    );
}

#[test]
fn numbers_that_apache_starts_with_start_here() {
    let config = Folder::new(None)
        .load(
            "clientPort=1\nmaxClientCnxns=-1\nznode.container.checkIntervalMs=100000000\n\
             snapCount=many\nconnection_throttle_drop_increase=7\n",
        )
        .expect("valid");
    assert_eq!(config.limits.connections_per_address, 0);
    assert_eq!(config.storage.container_interval, 100_000_000);
    assert_eq!(config.storage.snapshot_every, 100_000);
    assert_eq!(config.limits.connecting.drop_increase, 1.0);
    let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "line 3: maxClientCnxns: -1 is not one of 0 to 2147483647: 0 counts in its place",
            "line 5: snapCount: \"many\" is no number that Apache would read: the default counts",
            "line 6: connection_throttle_drop_increase: 7 is not one of 0 to 1: 1 counts in its \
             place",
        ]
    );
}

#[test]
fn one_voter_is_a_quorum_where_no_server_may_stand_alone() {
    let one = "initLimit=10\nsyncLimit=5\nserver.1=a:2888:3888;2181\n";
    let folder = Folder::new(Some("1"));
    let alone = folder.load(one).expect("valid");
    assert!(alone.standalone && alone.ensemble.members.is_empty());
    let quorum = folder.load(&format!("{one}standaloneEnabled=false\n"));
    let quorum = quorum.expect("valid");
    let voters: Vec<PeerId> = quorum.ensemble.voters().collect();
    assert_eq!((quorum.standalone, voters), (false, vec![PeerId(1)]));
}
