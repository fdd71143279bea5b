//! What fuzzing does with bytes from outside, and what must hold then.
//!
//! Start with [`TARGETS`]: each takes any bytes and panics if something does not hold that should,
//! not only where the server would. libFuzzer calls them from programs of the same names
//! (`cargo fuzz-all`); the tests of this crate call them with the bytes under `tests/fuzz/seeds`,
//! some tens for each target, which reach most of what is known to be reachable.
//!
//! [`connection()`] is a whole server under several clients; the others are one decoder each: of a
//! client's bytes ([`requests`]), a server's ([`responses()`]), other members' ([`packets`],
//! [`votes`], [`transactions()`], [`snapshots`]), files' ([`logs`], [`snapshot_files`]) and people's
//! ([`configurations`], [`settings`], [`quotas`], [`acls`], [`words`]).

mod connection;
mod decoders;
mod files;
mod responses;
mod texts;
mod transactions;

pub use connection::connection;
pub use decoders::{packets, requests, snapshots, votes};
pub use files::{logs, snapshot_files};
pub use responses::responses;
pub use texts::{acls, configurations, quotas, settings, words};
pub use transactions::transactions;

use wire::{Reader, Record};

/// What a target does with bytes.
pub type Target = fn(&[u8]);

/// All targets, the riskiest first.
pub const TARGETS: &[(&str, Target)] = &[
    ("connection", connection),
    ("requests", requests),
    ("transactions", transactions),
    ("packets", packets),
    ("votes", votes),
    ("snapshots", snapshots),
    ("logs", logs),
    ("snapshot_files", snapshot_files),
    ("responses", responses),
    ("configurations", configurations),
    ("settings", settings),
    ("quotas", quotas),
    ("acls", acls),
    ("words", words),
];

/// Bytes of the longest frame that is taken: Apache's `jute.maxbuffer`.
const FRAME: usize = 0xf_ffff;

/// Takes a record, and sees that it can be written and read again. `None` if it is none.
fn read_again<T: Record + PartialEq + std::fmt::Debug>(reader: &mut Reader<'_>) -> Option<()> {
    let value = reader.read::<T>().ok()?;
    let bytes = value.to_bytes();
    assert_eq!(T::from_bytes(&bytes).as_ref(), Ok(&value), "{bytes:?}");
    Some(())
}

#[cfg(test)]
mod tests;
