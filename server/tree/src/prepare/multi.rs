//! Several changes under one zxid, or none of them.

use wire::client::{CreateMode, ErrorCode, Request};
use wire::txn::{ErrorTxn, Txn, kind};

use super::create::mode_of;
use super::{Preparation, Prepared};

impl Preparation<'_> {
    /// If one part fails, all are errors: 0 before it, its own, and "inconsistency" for those
    /// after it, which are not tried. A part that makes no sense by itself fails the whole.
    pub(super) fn multi(&mut self, ops: &[Request]) -> Prepared {
        if !ops.iter().all(is_well_formed) {
            return Err(ErrorCode::MarshallingError);
        }
        let mut parts = Vec::with_capacity(ops.len());
        self.pending.begin();
        for op in ops {
            match self.one(op) {
                Ok(part) => parts.push(part),
                Err(error) => {
                    self.pending.roll_back();
                    let failed = parts.len();
                    let parts = (0..ops.len()).map(|i| match i.cmp(&failed) {
                        std::cmp::Ordering::Less => error_part(ErrorCode::Ok),
                        std::cmp::Ordering::Equal => error_part(error),
                        std::cmp::Ordering::Greater => error_part(ErrorCode::RuntimeInconsistency),
                    });
                    return Ok((kind::MULTI, Txn::Multi(parts.collect())));
                }
            }
        }
        self.pending.keep();
        Ok((kind::MULTI, Txn::Multi(parts)))
    }
}

/// Whether a part of a multi makes sense by itself. What does not is all that Apache sees of such
/// a multi.
#[must_use]
pub fn is_well_formed(op: &Request) -> bool {
    match op {
        Request::Create(r) | Request::Create2(r) | Request::CreateContainer(r) => {
            mode_of(r.flags, None).is_some()
        }
        Request::CreateTtl(r) => CreateMode::from_code(r.flags).is_some(),
        Request::Delete(_) | Request::SetData(_) | Request::Check(_) => true,
        _ => false,
    }
}

fn error_part(error: ErrorCode) -> (i32, Txn) {
    (kind::ERROR, Txn::Error(ErrorTxn { err: error.code() }))
}
