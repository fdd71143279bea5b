//! Every jute record as the genuine classes of Apache ZooKeeper 3.9.5 write it.

use bytes::Bytes;

use super::hex;
use crate::client::*;
use crate::quorum::{LearnerInfo, Packet, SaslMessage};
use crate::snapshot::FileHeader;
use crate::txn::*;
use crate::{Acl, DecodeError, Id, Reader, Record, Stat, StatPersisted};

/// Written by the program beside it. The values in a record differ from each other.
const RECORDS: &str = include_str!("../../testdata/records.txt");

#[test]
fn bytes_of_every_record_are_read_to_their_end_and_written_again() {
    for line in RECORDS.lines() {
        let (head, bytes) = line.split_once(" = ").expect("name, fields = bytes");
        let (name, _fields) = head.split_once(' ').expect("a name and fields");
        let bytes = Bytes::from(hex(bytes));
        let again = read_as(name, &bytes).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert_eq!(again, bytes, "{name}");
    }
}

/// The record of this name, written again.
fn read_as(name: &str, bytes: &Bytes) -> Result<Bytes, DecodeError> {
    match name {
        "ACL" => again::<Acl>(bytes),
        "ClientInfo" => again::<ClientInfo>(bytes),
        "Id" => again::<Id>(bytes),
        "Stat" => again::<Stat>(bytes),
        "StatPersisted" => again::<StatPersisted>(bytes),
        "AddWatchRequest" => again::<AddWatchRequest>(bytes),
        "AuthPacket" => again::<AuthPacket>(bytes),
        "CheckVersionRequest" => again::<CheckVersionRequest>(bytes),
        "CheckWatchesRequest" | "RemoveWatchesRequest" => again::<WatchesRequest>(bytes),
        "ConnectRequest" => again::<ConnectRequest>(bytes),
        "ConnectResponse" => again::<ConnectResponse>(bytes),
        "Create2Response" => again::<Create2Response>(bytes),
        "CreateRequest" => again::<CreateRequest>(bytes),
        "CreateResponse" => again::<CreateResponse>(bytes),
        "CreateTTLRequest" => again::<CreateTtlRequest>(bytes),
        "DeleteRequest" => again::<DeleteRequest>(bytes),
        "ErrorResponse" => again::<ErrorResponse>(bytes),
        "ExistsRequest" | "GetChildren2Request" | "GetChildrenRequest" | "GetDataRequest" => {
            again::<PathRequest>(bytes)
        }
        "ExistsResponse" | "SetACLResponse" | "SetDataResponse" => again::<StatResponse>(bytes),
        "GetACLRequest"
        | "GetAllChildrenNumberRequest"
        | "GetEphemeralsRequest"
        | "SyncRequest" => again::<BarePath>(bytes),
        "GetACLResponse" => again::<GetAclResponse>(bytes),
        "GetAllChildrenNumberResponse" => again::<GetAllChildrenNumberResponse>(bytes),
        "GetChildren2Response" => again::<GetChildren2Response>(bytes),
        "GetChildrenResponse" => again::<GetChildrenResponse>(bytes),
        "GetDataResponse" => again::<GetDataResponse>(bytes),
        "GetEphemeralsResponse" => again::<GetEphemeralsResponse>(bytes),
        "GetSASLRequest" | "SetSASLResponse" => again::<SaslToken>(bytes),
        "MultiHeader" => again::<MultiHeader>(bytes),
        "ReconfigRequest" => again::<ReconfigRequest>(bytes),
        "ReplyHeader" => again::<ReplyHeader>(bytes),
        "RequestHeader" => again::<RequestHeader>(bytes),
        "SetACLRequest" => again::<SetAclRequest>(bytes),
        "SetDataRequest" => again::<SetDataRequest>(bytes),
        "SetWatches" => again::<SetWatches>(bytes),
        "SetWatches2" => again::<SetWatches2>(bytes),
        "SyncResponse" => again::<SyncResponse>(bytes),
        "WatcherEvent" => again::<WatcherEvent>(bytes),
        "WhoAmIResponse" => again::<WhoAmIResponse>(bytes),
        "FileHeader" => again::<FileHeader>(bytes),
        "LearnerInfo" => again::<LearnerInfo>(bytes),
        "QuorumAuthPacket" => again::<SaslMessage>(bytes),
        "QuorumPacket" => again::<Packet>(bytes),
        "CheckVersionTxn" => again::<CheckVersionTxn>(bytes),
        "CloseSessionTxn" => again::<CloseSessionTxn>(bytes),
        "CreateContainerTxn" => again::<CreateContainerTxn>(bytes),
        "CreateSessionTxn" => again::<CreateSessionTxn>(bytes),
        "CreateTTLTxn" => again::<CreateTtlTxn>(bytes),
        "CreateTxn" => again::<CreateTxn>(bytes),
        "DeleteTxn" => again::<DeleteTxn>(bytes),
        "ErrorTxn" => again::<ErrorTxn>(bytes),
        "SetACLTxn" => again::<SetAclTxn>(bytes),
        "SetDataTxn" => again::<SetDataTxn>(bytes),
        "Txn" => again::<SubTxn>(bytes),
        "TxnDigest" => again::<TxnDigest>(bytes),
        "TxnHeader" => again::<TxnHeader>(bytes),
        _ => panic!("there is no record for {name}"),
    }
}

fn again<T: Record>(bytes: &Bytes) -> Result<Bytes, DecodeError> {
    let mut reader = Reader::new(bytes);
    let record: T = reader.read()?;
    reader.finish()?;
    Ok(record.to_bytes())
}
