use super::*;

const LIMIT: usize = 1000;

fn pieces() -> Vec<Piece> {
    let znode = |path: &str, data: Option<&'static [u8]>| {
        Piece::Znode(ZnodeRecord {
            path: path.to_owned(),
            data: data.map(Bytes::from_static),
            acl: OPEN_ACL,
            stat: StatPersisted::default(),
        })
    };
    vec![
        Piece::Sessions(2),
        Piece::Session(SessionRecord {
            session: SessionId(7),
            timeout: 4000,
        }),
        Piece::Session(SessionRecord {
            session: SessionId(8),
            timeout: 5000,
        }),
        Piece::Acls(1),
        Piece::Acl(AclRecord {
            index: 1,
            acl: Acl::read_only(),
        }),
        znode("", Some(b"")),
        znode("/a", None),
        znode("/a/b", Some(&[7; 300])),
        Piece::End,
    ]
}

fn body(pieces: &[Piece]) -> Vec<u8> {
    let mut out = Vec::new();
    for piece in pieces {
        encode_piece(piece, &mut out);
    }
    out
}

/// What a decoder makes of `bytes`, given `step` at a time, and what it leaves of them.
fn decode(
    mut decoder: PieceDecoder,
    bytes: &[u8],
    step: usize,
) -> Result<(Vec<Piece>, Vec<u8>), DecodeError> {
    let mut found = Vec::new();
    let mut left = Vec::new();
    for chunk in bytes.chunks(step) {
        let mut input = Bytes::copy_from_slice(chunk);
        while let Some(piece) = decoder.poll(&mut input)? {
            found.push(piece);
        }
        assert!(input.is_empty() || decoder.is_done());
        left.extend_from_slice(&input);
    }
    assert_eq!(decoder.consumed() as usize, bytes.len() - left.len());
    Ok((found, left))
}

#[test]
fn body_of_a_file_is_read_in_any_steps_and_what_follows_is_left() {
    let mut bytes = body(&pieces());
    bytes.extend_from_slice(b"seal");
    for step in 1..bytes.len() + 1 {
        let result = decode(PieceDecoder::of_file(LIMIT), &bytes, step);
        assert_eq!(result, Ok((pieces(), b"seal".to_vec())), "step {step}");
    }
}

#[test]
fn body_of_a_stream_ends_with_its_signature() {
    let mut bytes = body(&pieces());
    encode_stream_end(&mut bytes);
    bytes.extend_from_slice(b"packet");
    for step in [1, 3, 50, bytes.len()] {
        let result = decode(PieceDecoder::of_stream(LIMIT), &bytes, step);
        assert_eq!(result, Ok((pieces(), b"packet".to_vec())), "step {step}");
    }
    let other = bytes.len() - b"packet".len() - 1;
    bytes[other] = b'E';
    assert!(decode(PieceDecoder::of_stream(LIMIT), &bytes, 1).is_err());
}

#[test]
fn no_sessions_and_no_acls_are_fine() {
    let pieces = vec![Piece::Sessions(0), Piece::Acls(0), Piece::End];
    let result = decode(PieceDecoder::of_file(LIMIT), &body(&pieces), 1);
    assert_eq!(result, Ok((pieces, Vec::new())));
}

#[test]
fn record_above_the_limit_is_refused_by_its_lengths_alone() {
    let mut bytes = body(&[Piece::Sessions(0), Piece::Acls(0)]);
    length_of(LIMIT).encode(&mut bytes);
    assert_eq!(
        decode(PieceDecoder::of_file(LIMIT), &bytes, 1),
        Ok((vec![Piece::Sessions(0), Piece::Acls(0)], Vec::new())),
        "the path's first byte is needed to tell it from the end"
    );
    bytes.push(b'/');
    assert!(decode(PieceDecoder::of_file(LIMIT), &bytes, 1).is_err());
    let counts = [0xff; 4];
    assert_eq!(
        decode(PieceDecoder::of_file(LIMIT), &counts, 1),
        Err(DecodeError::Length(-1))
    );
}

#[test]
fn znode_is_encoded_alike_with_and_without_a_record() {
    for piece in pieces() {
        if let Piece::Znode(znode) = &piece {
            let mut out = Vec::new();
            encode_znode(
                &znode.path,
                znode.data.as_deref(),
                znode.acl,
                &znode.stat,
                &mut out,
            );
            assert_eq!(out, body(std::slice::from_ref(&piece)));
        }
    }
}
