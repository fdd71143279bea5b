//! Several operations in one request: repeated headers and records, and a header that ends them.

use super::{
    Create2Response, CreateResponse, GetChildrenResponse, GetDataResponse, OpCode, Request,
    StatResponse,
};
use crate::jute::{DecodeError, Reader, Record, records};

records! {
    /// Between the parts of a multi and of its answer.
    #[derive(Copy)]
    MultiHeader {
        /// An [`OpCode`], -1 at the end and for an error.
        kind: i32,
        /// The end.
        done: bool,
        /// An [`ErrorCode`](super::ErrorCode); -1 in requests.
        err: i32,
    }
}

impl MultiHeader {
    /// After the last part.
    pub const END: Self = Self {
        kind: -1,
        done: true,
        err: -1,
    };
}

/// The parts of a multi or multiRead, decoded: all writes or all reads, none of them a multi.
///
/// Their number is bounded by their bytes: in memory they take at most 20 times as much, buffers
/// and strings not counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultiRequest {
    /// In order.
    pub ops: Vec<Request>,
}

/// 14 bytes are the least that a part takes, and a growing vector may be half empty.
const _: () = assert!(2 * size_of::<Request>() <= 20 * 14);

impl OpCode {
    /// Whether a multi may contain it.
    const fn is_multi_write(self) -> bool {
        matches!(
            self,
            Self::Create
                | Self::Create2
                | Self::CreateTtl
                | Self::CreateContainer
                | Self::Delete
                | Self::SetData
                | Self::Check
        )
    }

    /// Whether a multiRead may contain it.
    const fn is_multi_read(self) -> bool {
        matches!(self, Self::GetData | Self::GetChildren)
    }
}

impl Record for MultiRequest {
    fn encode(&self, out: &mut Vec<u8>) {
        for op in &self.ops {
            MultiHeader {
                kind: op.op().code(),
                done: false,
                err: -1,
            }
            .encode(out);
            op.encode(out);
        }
        MultiHeader::END.encode(out);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut ops = Vec::new();
        loop {
            let header: MultiHeader = reader.read()?;
            if header.done {
                return Ok(Self { ops });
            }
            let fits = |op: &OpCode| match ops.first().map(Request::op) {
                None => op.is_multi_write() || op.is_multi_read(),
                Some(first) if first.is_multi_read() => op.is_multi_read(),
                Some(_) => op.is_multi_write(),
            };
            let Some(op) = OpCode::from_code(header.kind).filter(fits) else {
                return Err(DecodeError::Value {
                    field: "multi type",
                    value: header.kind.into(),
                });
            };
            ops.push(Request::decode(op, reader)?);
        }
    }
}

/// One part of a multi's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MultiResult {
    /// What create answers.
    Create(CreateResponse),
    /// What create2 and its kin answer.
    Create2(Create2Response),
    /// What setData answers.
    SetData(StatResponse),
    /// The version held.
    Check,
    /// Deleted.
    Delete,
    /// What getData answers.
    GetData(GetDataResponse),
    /// What getChildren answers.
    GetChildren(GetChildrenResponse),
    /// An [`ErrorCode`](super::ErrorCode): why this part failed, or 0 where another one did.
    Error(i32),
}

/// The answer to a multi or multiRead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MultiResponse {
    /// One for each part, in order.
    pub results: Vec<MultiResult>,
}

impl Record for MultiResponse {
    fn encode(&self, out: &mut Vec<u8>) {
        let ok = |op: OpCode| MultiHeader {
            kind: op.code(),
            done: false,
            err: 0,
        };
        for result in &self.results {
            match result {
                MultiResult::Create(r) => {
                    ok(OpCode::Create).encode(out);
                    r.encode(out);
                }
                MultiResult::Create2(r) => {
                    ok(OpCode::Create2).encode(out);
                    r.encode(out);
                }
                MultiResult::SetData(r) => {
                    ok(OpCode::SetData).encode(out);
                    r.encode(out);
                }
                MultiResult::Check => ok(OpCode::Check).encode(out),
                MultiResult::Delete => ok(OpCode::Delete).encode(out),
                MultiResult::GetData(r) => {
                    ok(OpCode::GetData).encode(out);
                    r.encode(out);
                }
                MultiResult::GetChildren(r) => {
                    ok(OpCode::GetChildren).encode(out);
                    r.encode(out);
                }
                MultiResult::Error(err) => {
                    MultiHeader {
                        kind: -1,
                        done: false,
                        err: *err,
                    }
                    .encode(out);
                    err.encode(out);
                }
            }
        }
        MultiHeader::END.encode(out);
    }
    fn decode(reader: &mut Reader<'_>) -> Result<Self, DecodeError> {
        let mut results = Vec::new();
        loop {
            let header: MultiHeader = reader.read()?;
            if header.done {
                return Ok(Self { results });
            }
            results.push(match header.kind {
                1 => MultiResult::Create(reader.read()?),
                15 => MultiResult::Create2(reader.read()?),
                5 => MultiResult::SetData(reader.read()?),
                13 => MultiResult::Check,
                2 => MultiResult::Delete,
                4 => MultiResult::GetData(reader.read()?),
                8 => MultiResult::GetChildren(reader.read()?),
                -1 => MultiResult::Error(reader.read()?),
                kind => {
                    return Err(DecodeError::Value {
                        field: "multi result",
                        value: kind.into(),
                    });
                }
            });
        }
    }
}
