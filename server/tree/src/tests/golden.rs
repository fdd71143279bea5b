//! Transactions of a genuine Apache ZooKeeper 3.9.5.

use super::*;

fn bytes(parts: &[&[u8]]) -> Bytes {
    parts.concat().into()
}

fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u8> = digits
        .bytes()
        .filter_map(|b| (b as char).to_digit(16).map(|d| d as u8))
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

#[test]
fn apaches_transactions_have_our_digests() {
    let create_session = bytes(&[&hex(
        "0100001a4a6a0000 00000000 0000000100000001 000001a1f7376a67 fffffff6 00002710 \
         00000002 0000000051c6d660",
    )]);
    let create = bytes(&[
        &hex("0100001a4a6a0000 00000001 0000000100000002 000001a1f7376a7a 00000001 0000000c"),
        b"/f1795148966",
        &hex("00000005"),
        b"hello",
        &hex("00000001 0000001f 00000005"),
        b"world",
        &hex("00000006"),
        b"anyone",
        &hex("00 00000001 00000002 00000001fb6e9ce3"),
    ]);
    let mut tree = Tree::new(1, Options::default());
    let mut applied = Applied::default();
    for bytes in [create_session, create] {
        let entry = Entry::decode(bytes).unwrap();
        assert!(entry.digest().is_some());
        tree.apply(&entry, &mut applied);
        assert_eq!(applied.mismatch(), None);
    }
    assert_eq!(tree.last_zxid(), Zxid(0x1_0000_0002));
    assert_eq!(tree.digest(), 0x1_fb6e_9ce3);
    assert_eq!(tree.session(SessionId(0x0100_001a_4a6a_0000)), Some(10_000));
}

#[test]
fn the_snapshot_of_a_fresh_tree_is_apaches() {
    let mut tree = Tree::new(1, Options::default());
    tree.set_initial_config("c", Zxid(0x1_0000_0000), 7);
    let body = bodies::snapshot(&mut tree);
    let znode = |path: &str, data: &str, acl: &str, mzxid: &str, mtime: &str, versions: &str| {
        let mut out = hex(&format!("{:08x}", path.len()));
        out.extend(path.bytes());
        out.extend(hex(&format!("{:08x}", data.len())));
        out.extend(data.bytes());
        let stat = format!("{acl} {:016x} {mzxid} {:016x} {mtime} {versions}", 0, 0);
        out.extend(hex(&stat));
        out.extend(hex(&format!("{:016x} {:016x}", 0, 0)));
        out
    };
    let zero = "0000000000000000";
    let open = "ffffffffffffffff";
    let plain = |path: &str| znode(path, "", open, zero, zero, "00000000 00000000 00000000");
    let expected = bytes(&[
        &hex("00000000 00000001 0000000000000001 00000001 00000001 00000005"),
        b"world",
        &hex("00000006"),
        b"anyone",
        &plain(""),
        &plain("/zookeeper"),
        &znode(
            "/zookeeper/config",
            "c",
            "0000000000000001",
            "0000000100000000",
            "0000000000000007",
            "ffffffff 00000000 ffffffff",
        ),
        &plain("/zookeeper/quota"),
        &hex("00000001 2f"),
    ]);
    assert_eq!(body, expected);
}
