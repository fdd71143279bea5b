//! The tools beside the member: `cli`, `storm`, `txnlog` and `snapshot`.
//!
//! None of them needs a running member on this machine: [`cli`] and [`storm`] are clients of any
//! ZooKeeper, [`txnlog`] and [`snapshot`] read the files of ours and of Apache's members alike.

pub mod cli;
pub mod snapshot;
pub mod storm;
pub mod txnlog;

mod files;

use cli::acl_text;
