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

fn digest_of(credentials: &str) -> String {
    PasswordHash::Sha1.identity(credentials)
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
fn passwords_are_hashed_as_asked() {
    // `printf user:pw | openssl dgst -NAME -binary | base64`
    for (name, hash) in [
        ("SHA1", "2Om+GBbT2q/tS6pdvACZbbm7/1A="),
        ("md5", "Hzrd7ep2WqeDwSX83aFeaA=="),
        ("SHA-256", "Fh8MmK6jIxqd61iqgh3Q7UZ5AQo6NbHt+ZWIwPHmup4="),
        (
            "SHA-512",
            "bxuaEbeoHON6HbuCrnA/gB8aYah2KRHyD2q5whekPmB6+BuOzxIr/1zj+fA8dbkGNlWblYgcL1Riuu4O7ljjKg==",
        ),
        (
            "SHA-512/256",
            "xySJPEyqoejQo3alw/zY9Ck0i/3PV5tv6WGXOmy8pUE=",
        ),
        ("SHA3-256", "NMdKMPYZ59aMR48iO6CUeVKUoKmSlFhMwXZ0vmYt65c="),
    ] {
        let identity = name
            .parse()
            .map(|hash: PasswordHash| hash.identity("user:pw"));
        assert_eq!(identity, Ok(format!("user:{hash}")), "{name}");
    }
    assert_eq!("SHA-257".parse::<PasswordHash>(), Err(UnknownHash));
}

#[test]
fn clients_of_another_ensemble_are_told_apart() {
    let packet = |name: &str| AuthPacket {
        scheme: "ensemble".to_owned(),
        ..digest_packet(name)
    };
    let mut schemes = Schemes::default();
    let asked = |name, schemes: &Schemes| authenticate(&packet(name), PEER, schemes);
    assert_eq!(asked("blue", &schemes), Err(AuthFailed::Refused));
    schemes.ensemble = Some(BTreeSet::new());
    assert_eq!(asked("blue", &schemes), Ok(vec![]));
    schemes.ensemble = Some(["blue".to_owned(), "green".to_owned()].into());
    assert_eq!(asked("green", &schemes), Ok(vec![]));
    assert_eq!(asked("", &schemes), Ok(vec![]));
    assert_eq!(asked("red", &schemes), Err(AuthFailed::WrongEnsemble));
}

#[test]
fn who_is_nobody_of_a_required_scheme_is_not_admitted() {
    let (ip, user) = (Id::new("ip", "127.0.0.1"), Id::new("digest", "u:x"));
    let mut schemes = Schemes::default();
    assert!(schemes.admits(&[]));
    schemes.required = vec!["digest".to_owned(), "sasl".to_owned()];
    assert!(!schemes.admits(std::slice::from_ref(&ip)));
    assert!(schemes.admits(&[ip, user]));
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
    assert_eq!(
        authenticate(&packet, PEER, &schemes),
        Err(AuthFailed::Refused)
    );
    for scheme in ["world", "auth", "super", "sasl", "", "x"] {
        packet.scheme = scheme.to_owned();
        assert_eq!(
            authenticate(&packet, PEER, &schemes),
            Err(AuthFailed::Refused)
        );
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
