//! What people write: settings, memberships, quotas, addresses, and words on the client port.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use arbitrary::{Arbitrary, Unstructured};
use bytes::Bytes;
use ferrokeeper::config::{Config, Overrides};
use ferrokeeper::rehearsal::Rehearsal;
use tree::acl::{Schemes, allows, authenticate, ip_identity};
use tree::{Applied, Options, Tree};
use wire::client::AuthPacket;
use wire::config::EnsembleConfig;
use wire::txn::{CreateTxn, Entry, SetDataTxn, Txn, TxnHeader, kind};
use wire::{Acl, Id, Perms, SessionId, Zxid};

use crate::connection::laws;

/// A membership's text, of a file or a request.
pub fn configurations(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    if let Ok(config) = text.parse::<EnsembleConfig>() {
        assert_eq!(config.to_string().parse().as_ref(), Ok(&config));
        let written: Result<EnsembleConfig, _> = config.to_file().parse();
        assert!(written.is_ok_and(|written| written.same_membership(&config)));
    }
    let _ = EnsembleConfig::from_list(text);
    let _ = EnsembleConfig::joining(text);
    let _ = EnsembleConfig::leaving(text);
}

/// A `zoo.cfg`. It leads to the same each time, and what is refused says where.
pub fn settings(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    // Other files are not the text's business.
    if text.contains("dynamicConfigFile") {
        return;
    }
    let file = Path::new("/nonexistent/zoo.cfg");
    let text = format!("dataDir=/nonexistent\n{text}");
    let parse = || Config::parse(file, &text, &Overrides::default());
    match (parse(), parse()) {
        (Ok(one), Ok(two)) => assert_eq!(format!("{one:?}"), format!("{two:?}")),
        (Err(one), Err(two)) => {
            assert_eq!(one.to_string(), two.to_string());
            let says_where = ["/nonexistent", "/myid"].map(|place| one.to_string().contains(place));
            assert!(says_where.contains(&true), "{one}");
        }
        (one, two) => panic!("{:?} and {:?}", one.err(), two.err()),
    }
}

/// What stands in the znodes of a quota, and what happens below it.
#[derive(Arbitrary, Debug)]
struct Quota {
    limits: Vec<u8>,
    stats: Vec<u8>,
    changes: Vec<(bool, u8, Vec<u8>)>,
}

/// Any texts of limits and counts. They do no harm, and a tree that is loaded counts anew.
pub fn quotas(bytes: &[u8]) {
    let Ok(quota) = Quota::arbitrary(&mut Unstructured::new(bytes)) else {
        return;
    };
    let mut tree = Tree::new(1, Options::default());
    let mut zxid = Zxid::ZERO;
    let mut create = |tree: &mut Tree, path: &str, data: &[u8]| {
        zxid = Zxid(zxid.0 + 1);
        change(tree, zxid, path, data, true);
        zxid
    };
    create(&mut tree, "/a", b"data");
    create(&mut tree, "/zookeeper/quota/a", b"");
    create(
        &mut tree,
        "/zookeeper/quota/a/zookeeper_limits",
        &quota.limits,
    );
    let mut last = create(
        &mut tree,
        "/zookeeper/quota/a/zookeeper_stats",
        &quota.stats,
    );
    let used = |tree: &Tree| tree.quotas().map(|quota| quota.used).collect::<Vec<_>>();
    assert_eq!(used(&tree), [tree::Usage { count: 1, bytes: 4 }]);
    for (creates, name, data) in quota.changes.iter().take(20) {
        last = Zxid(last.0 + 1);
        let name = format!("/a/{}", name % 4);
        change(&mut tree, last, &name, data, *creates);
    }
    let counted = used(&tree);
    laws::loaded(&mut tree);
    last = Zxid(last.0 + 1);
    let stats = "/zookeeper/quota/a/zookeeper_stats";
    change(&mut tree, last, stats, &quota.stats, false);
    let _ = used(&tree);
    let again = laws::reloaded(&mut tree);
    assert_eq!(used(&again), counted);
}

fn change(tree: &mut Tree, zxid: Zxid, path: &str, data: &[u8], creates: bool) {
    let data = Some(Bytes::copy_from_slice(data));
    let path = path.to_owned();
    let (kind, txn) = if creates {
        let create = CreateTxn {
            path,
            data,
            acl: Acl::open(),
            ephemeral: false,
            parent_cversion: -1,
        };
        (kind::CREATE, Txn::Create(create))
    } else {
        let set = SetDataTxn {
            path,
            data,
            version: 1,
        };
        (kind::SET_DATA, Txn::SetData(set))
    };
    let header = TxnHeader {
        client_id: SessionId(1),
        cxid: 1,
        zxid,
        time: 1,
        kind,
    };
    tree.apply(&Entry::new(header, txn, None), &mut Applied::default());
}

/// Who somebody is, and whom a list names.
#[derive(Arbitrary, Debug)]
enum Named {
    /// A network, and an address that is in it or not.
    V4(u32, u8, u32),
    V6(u128, u8, u128),
    /// Any text for a network.
    Text(String, u32),
    /// Any credentials.
    Credentials {
        scheme: String,
        auth: Option<Vec<u8>>,
    },
}

/// Addresses, networks and credentials: a network holds exactly the addresses that begin as it does.
pub fn acls(bytes: &[u8]) {
    let Ok(named) = Named::arbitrary(&mut Unstructured::new(bytes)) else {
        return;
    };
    match named {
        Named::V4(network, bits, address) => {
            let text = format!("{}/{bits}", Ipv4Addr::from(network));
            let is_in = u32::from(bits) <= 32 && (network ^ address).leading_zeros() >= bits.into();
            assert_eq!(
                holds(&text, Ipv4Addr::from(address).into()),
                is_in,
                "{text}"
            );
        }
        Named::V6(network, bits, address) => {
            let address = Ipv6Addr::from(address);
            if address.to_ipv4_mapped().is_some() {
                return;
            }
            let text = format!("{}/{bits}", Ipv6Addr::from(network));
            let differ = (network ^ u128::from(address)).leading_zeros();
            let is_in = u32::from(bits) <= 128 && differ >= bits.into();
            if Ipv6Addr::from(network).to_ipv4_mapped().is_none() {
                assert_eq!(holds(&text, address.into()), is_in, "{text}");
            }
        }
        Named::Text(text, address) => {
            let _ = holds(&text, Ipv4Addr::from(address).into());
        }
        Named::Credentials { scheme, auth } => {
            let packet = AuthPacket {
                kind: 0,
                scheme: scheme.clone(),
                auth: auth.map(Bytes::from),
            };
            let peer = IpAddr::from([127, 0, 0, 1]);
            if let Ok(identities) = authenticate(&packet, peer, &Schemes::default()) {
                assert!(
                    identities.iter().all(|id| id.scheme == scheme),
                    "{identities:?}"
                );
            }
        }
    }
}

fn holds(network: &str, address: IpAddr) -> bool {
    let acl = [Acl {
        perms: Perms::READ,
        id: Id::new("ip", network),
    }];
    allows(Some(&acl), Perms::READ, &[ip_identity(address)])
}

/// A connection's first bytes, a four-letter word perhaps: the answer does not depend on how they
/// come.
pub fn words(bytes: &[u8]) {
    let Some((step, bytes)) = bytes.split_first() else {
        return;
    };
    let at_once = told(bytes, bytes.len());
    let in_pieces = told(bytes, usize::from(*step % 8));
    assert_eq!(in_pieces, at_once);
}

/// What of an answer is the same each time: not what counts packets.
fn told(bytes: &[u8], step: usize) -> (bool, Option<String>) {
    let text = "dataDir=/nonexistent\nclientPort=2181\n4lw.commands.whitelist=*\n";
    let config = Config::parse(Path::new("zoo.cfg"), text, &Overrides::default());
    let mut server = Rehearsal::new(config.expect("a configuration")).expect("a server");
    let client = server.connect(([127, 0, 0, 1], 1).into());
    for piece in bytes.chunks(step.max(1)) {
        server.send(client, piece);
        server.run_client(client);
    }
    server.settle();
    let answer = server.received(client);
    let answer = String::from_utf8(answer).ok();
    let first = answer.map(|text| text.lines().next().unwrap_or_default().to_owned());
    (server.is_over(client), first)
}
