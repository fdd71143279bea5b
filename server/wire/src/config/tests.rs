use super::*;

const GOLDEN: &str = "server.1=127.0.0.1:32881:33881:participant;127.0.0.1:31281\n\
    server.2=127.0.0.1:32882:33882:participant;127.0.0.1:31282\n\
    server.3=127.0.0.1:32883:33883:participant;127.0.0.1:31283\n\
    version=100000000";

fn config(text: &str) -> EnsembleConfig {
    text.parse().expect("a configuration")
}

fn member(text: &str) -> Member {
    text.parse().expect("a member")
}

fn error_of(text: &str) -> String {
    text.parse::<EnsembleConfig>()
        .expect_err("not a configuration")
        .to_string()
}

#[test]
fn text_of_a_genuine_ensemble_is_reproduced() {
    let parsed = config(GOLDEN);
    assert_eq!(parsed.version, 0x1_0000_0000);
    assert_eq!(parsed.voters().collect::<Vec<_>>(), [1, 2, 3].map(PeerId));
    assert_eq!(parsed.to_string(), GOLDEN);
}

#[test]
fn member_forms_are_completed_as_apache_does() {
    for (given, printed) in [
        ("zk-1:2888:3888", "zk-1:2888:3888:participant"),
        ("zk-1:2888:3888:observer", "zk-1:2888:3888:observer"),
        (
            "zk-1:2888:3888;2181",
            "zk-1:2888:3888:participant;0.0.0.0:2181",
        ),
        (
            "zk-1:2888:3888:PARTICIPANT;h:2181",
            "zk-1:2888:3888:participant;h:2181",
        ),
        ("zk-1:2888:3888;", "zk-1:2888:3888:participant"),
        (
            "[::1]:2888:3888;[fe80::1]:2181",
            "[0:0:0:0:0:0:0:1]:2888:3888:participant;[fe80:0:0:0:0:0:0:1]:2181",
        ),
        ("b:1:2|a:3:4:observer", "a:3:4|b:1:2:observer"),
    ] {
        assert_eq!(member(given).to_string(), printed, "{given}");
        assert_eq!(member(printed).to_string(), printed);
    }
}

#[test]
fn addresses_are_read_back() {
    for text in ["zk-1.zk:2888", "[0:0:0:0:0:0:0:1]:1", "10.0.0.1:65535"] {
        assert_eq!(
            text.parse::<Address>().expect("an address").to_string(),
            text
        );
    }
    assert!("zk-1".parse::<Address>().is_err());
    assert!("zk-1:0".parse::<Address>().is_err());
}

#[test]
fn hierarchical_text_lists_groups_and_every_weight() {
    let text = "server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2\nserver.4=d:1:2:observer\n\
        group.1=1:2\ngroup.2=3\nweight.1=5\nweight.2=1\nversion=a";
    let parsed = config(text);
    assert!(parsed.is_hierarchical());
    assert_eq!(parsed.weights, BTreeMap::from([(PeerId(1), 5)]));
    let printed = "server.1=a:1:2:participant\nserver.2=b:1:2:participant\n\
        server.3=c:1:2:participant\nserver.4=d:1:2:observer\n\
        group.1=1:2\ngroup.2=3\nweight.1=5\nweight.2=1\nweight.3=1\nversion=a";
    assert_eq!(parsed.to_string(), printed);
    assert_eq!(config(printed), parsed);
}

#[test]
fn weights_without_groups_are_left_out() {
    let observers = "server.1=a:1:2:observer";
    let weighted = config(&format!("{observers}\nweight.1=5\nweight.2=2"));
    assert_eq!(weighted, config(observers));
}

#[test]
fn lines_come_in_the_order_of_javas_buckets() {
    let text = "server.10=a:1:2\nserver.20=b:1:2\nserver.30=c:1:2";
    let ids: Vec<_> = config(text)
        .to_string()
        .lines()
        .filter_map(|line| Some(line.split_once('=')?.0.to_owned()))
        .collect();
    assert_eq!(ids, ["server.20", "server.10", "server.30", "version"]);
}

#[test]
fn dynamic_file_is_sorted_as_text_and_has_no_version() {
    let text = "# comment\n\nserver.2=b:1:2;3\n server.10 = a:1:2;3 \nversion=7";
    let file = "server.10=a:1:2:participant;0.0.0.0:3\nserver.2=b:1:2:participant;0.0.0.0:3";
    assert_eq!(config(text).to_file(), file);
    assert!(config(text).same_membership(&config(file)));
    assert_ne!(config(text), config(file));
}

#[test]
fn errors_name_the_line_and_the_way_out() {
    for (text, says) in [
        ("server.1=a:1", "host:port:port"),
        ("server.1=a:1:2:observer:4", "host:port:port"),
        ("server.1=a:1:2;3;4", "more than one \";\""),
        ("server.1=a:1:2:leader", "neither participant nor observer"),
        ("server.1=a:1:1", "they must differ"),
        ("server.1=a:1:70000", "\"70000\" is not a port"),
        ("server.1=:1:2", "\"\" is not a host"),
        ("server.1=a:1:2:observer|b:1:2:participant", "disagree"),
        ("server.x=a:1:2", "\"x\" is not an id"),
        ("server.-1=a:1:2", "\"-1\" is not an id"),
        ("server.1=a:1:2\nserver.1=b:1:2", "server.1 is given twice"),
        ("tickTime=2000", "expected server.N"),
        ("nonsense", "expected key=value"),
        ("version=x", "hexadecimal"),
        ("server.1=a:1:2\nweight.1=2", "must be in a group"),
        ("server.1=a:1:2\ngroup.1=1\ngroup.2=1", "in group.1 too"),
        (
            "server.1=a:1:2\ngroup.1=1:2",
            "no server.2 is a participant",
        ),
        ("server.1=a:1:2\ngroup.1=1\nweight.1=-1", "is not a weight"),
    ] {
        let error = error_of(text);
        assert!(error.contains(says), "{text:?} gives {error:?}");
        let of_a_line = text
            .lines()
            .any(|line| error.contains(&format!("{line:?}")));
        let of_a_key = ["group.", "server."]
            .iter()
            .any(|key| error.starts_with(&format!("\"{key}")));
        assert!(of_a_line || of_a_key, "{text:?} gives {error:?}");
    }
}

#[test]
fn incremental_change_leaves_first_and_joins_then() {
    let joining =
        EnsembleConfig::joining("server.4=zk4:1:2;3,server.1=zk1:1:2:observer;3").expect("joiners");
    let leaving = EnsembleConfig::leaving("2, 9,4").expect("ids");
    let next = config(GOLDEN)
        .changed(&joining, &leaving, 5)
        .expect("a change");
    let text = "server.1=zk1:1:2:observer;0.0.0.0:3\n\
        server.3=127.0.0.1:32883:33883:participant;127.0.0.1:31283\n\
        server.4=zk4:1:2:participant;0.0.0.0:3\nversion=5";
    assert_eq!(next.to_string(), text);
}

#[test]
fn impossible_changes_are_refused() {
    let now = config("server.1=zk1:1:2;3\nserver.2=zk2:1:2;3");
    let refusal = |joining: &str| {
        let joining = EnsembleConfig::joining(joining).expect("joiners");
        now.changed(&joining, &[], 1)
            .expect_err("a refusal")
            .to_string()
    };
    assert!(refusal("server.3=zk3:1:2").contains("needs its client port"));
    assert!(refusal("server.3=zk2:1:9;3").contains("zk2:1 belongs to server.2"));
    let grouped = config("server.1=zk1:1:2;3\ngroup.1=1");
    assert!(grouped.changed(&[], &[PeerId(1)], 1).is_err());
    assert!(EnsembleConfig::joining("zk3:1:2;3").is_err());
    assert!(EnsembleConfig::leaving("1,two").is_err());
}

#[test]
fn a_member_may_change_its_own_line_and_share_loopback_with_others() {
    let now = config("server.1=127.0.0.1:1:2;3\nserver.2=zk2:1:2;3");
    let joining = EnsembleConfig::joining("server.2=zk2:1:2;127.0.0.1:3,server.3=127.0.0.1:1:2;3")
        .expect("joiners");
    assert!(now.changed(&joining, &[], 1).is_ok());
}

#[test]
fn whole_configuration_may_be_a_list() {
    let list = "server.1=a:1:2;3,server.2=b:1:2;3";
    assert_eq!(
        EnsembleConfig::from_list(list).expect("a list"),
        config(&list.replace(',', "\n"))
    );
}
