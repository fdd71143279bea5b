//! Several changes under one zxid, or none of them.

use wire::client::{ErrorCode, Request};
use wire::txn::{ErrorTxn, Txn, kind};

use super::{Preparation, Prepared};

impl Preparation<'_> {
    /// If one part fails, all are errors: 0 before it, its own, and "inconsistency" for those
    /// after it, which are not tried.
    pub(super) fn multi(&mut self, ops: &[Request]) -> Prepared {
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

fn error_part(error: ErrorCode) -> (i32, Txn) {
    (kind::ERROR, Txn::Error(ErrorTxn { err: error.code() }))
}
