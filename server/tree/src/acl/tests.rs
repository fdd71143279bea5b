use super::*;

fn acl(perms: i32, scheme: &str, id: &str) -> Acl {
    Acl {
        perms: Perms(perms),
        id: Id::new(scheme, id),
    }
}

fn digest_packet(credentials: &str) -> AuthPacket {
    AuthPacket {
        kind: 0,
        scheme: "digest".to_owned(),
        auth: Some(credentials.as_bytes().to_vec().into()),
    }
}

const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

#[test]
fn digest_is_the_one_that_apache_documents() {
    assert_eq!(
        digest_of("super:test"),
        "super:D/InIHSb7yEEbrWz8b9l71RjZJU="
    );
}

#[test]
fn super_password_gives_both_identities() {
    let schemes = Schemes {
        super_digest: Some(digest_of("super:test")),
        ..Schemes::default()
    };
    let digest = Id::new("digest", &digest_of("super:test"));
    assert_eq!(
        authenticate(&digest_packet("super:test"), PEER, &schemes),
        Ok(vec![Id::new("super", ""), digest])
    );
    assert_eq!(
        authenticate(&digest_packet("a:b"), PEER, &schemes),
        Ok(vec![Id::new("digest", &digest_of("a:b"))])
    );
}

#[test]
fn unknown_schemes_and_missing_credentials_fail() {
    let mut packet = digest_packet("a:b");
    packet.auth = None;
    let schemes = Schemes::default();
    assert_eq!(authenticate(&packet, PEER, &schemes), Err(AuthFailed));
    for scheme in ["world", "auth", "super", "sasl", "", "x"] {
        packet.scheme = scheme.to_owned();
        assert_eq!(authenticate(&packet, PEER, &schemes), Err(AuthFailed));
    }
    packet.scheme = "ip".to_owned();
    assert_eq!(
        authenticate(&packet, PEER, &schemes),
        Ok(vec![Id::new("ip", "127.0.0.1")])
    );
}

#[test]
fn permissions_are_granted_by_scheme() {
    let alice = Id::new("digest", &digest_of("alice:a"));
    let here = Id::new("ip", "10.1.2.3");
    let list = [
        acl(1, "digest", &alice.id),
        acl(2, "ip", "10.1.0.0/16"),
        acl(4, "ip", "2001:db8::/32"),
        acl(8, "world", "anyone"),
    ];
    let may = |perms: Perms, id: &Id| allows(Some(&list), perms, std::slice::from_ref(id));
    assert!(may(Perms::READ, &alice));
    assert!(!may(Perms::WRITE, &alice));
    assert!(may(Perms::WRITE, &here));
    assert!(!may(Perms::WRITE, &Id::new("ip", "10.2.2.3")));
    assert!(may(Perms::CREATE, &Id::new("ip", "2001:db8::1")));
    assert!(!may(Perms::CREATE, &Id::new("ip", "2001:db9::1")));
    assert!(may(Perms::DELETE, &here));
    assert!(!may(Perms::ADMIN, &here));
    assert!(may(Perms::ADMIN, &Id::new("super", "")));
    assert!(may(Perms::READ | Perms::ADMIN, &alice));
    assert!(allows(None, Perms::ADMIN, &[]));
    assert!(allows(Some(&[]), Perms::ADMIN, &[]));
}

#[test]
fn auth_is_resolved_when_written() {
    let alice = Id::new("digest", &digest_of("alice:a"));
    let identities = [
        Id::new("ip", "127.0.0.1"),
        Id::new("super", ""),
        alice.clone(),
    ];
    let schemes = Schemes::default();
    let wanted = [
        acl(31, "auth", ""),
        acl(31, "auth", ""),
        acl(1, "world", "anyone"),
    ];
    assert_eq!(
        resolve(&wanted, &identities, &schemes),
        Ok(vec![
            acl(31, "digest", &alice.id),
            acl(1, "world", "anyone")
        ])
    );
    assert_eq!(
        resolve(&wanted, &identities[..2], &schemes),
        Err(ErrorCode::InvalidAcl)
    );
}

#[test]
fn malformed_lists_are_refused() {
    for list in [
        vec![],
        vec![acl(1, "world", "someone")],
        vec![acl(1, "digest", "nobody")],
        vec![acl(1, "digest", "a:b:c")],
        vec![acl(1, "ip", "1.2.3")],
        vec![acl(1, "ip", "1.2.3.4/33")],
        vec![acl(1, "ip", "::1/129")],
        vec![acl(1, "super", "")],
        vec![acl(1, "sasl", "x")],
        vec![acl(1, "", "")],
    ] {
        assert_eq!(
            resolve(&list, &[], &Schemes::default()),
            Err(ErrorCode::InvalidAcl),
            "{list:?}"
        );
    }
}

#[test]
fn hashes_are_masked() {
    assert_eq!(masked(&acl(1, "digest", "u:abc=")), acl(1, "digest", "u:x"));
    assert_eq!(masked(&acl(1, "ip", "::1")), acl(1, "ip", "::1"));
}

#[test]
fn equal_lists_share_one_place_until_the_last_use() {
    let mut table = AclTable::new(crate::hashing::Hashing::new(1));
    let one = [acl(1, "ip", "::1")];
    let two = [acl(2, "ip", "::1")];
    assert_eq!(table.intern(&Acl::open()), OPEN);
    let a = table.intern(&one);
    assert_eq!(table.intern(&one), a);
    let b = table.intern(&two);
    assert_eq!((a, b), (0, 1));
    table.release(a);
    assert_eq!(table.get(a).map(|acl| &**acl), Some(&one[..]));
    table.release(a);
    assert_eq!(table.iter().map(|(id, _)| id).collect::<Vec<_>>(), [b]);
    assert_eq!(table.intern(&one), a);
}
