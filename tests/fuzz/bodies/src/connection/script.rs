//! What may happen.

use std::path::Path;
use std::sync::OnceLock;

use arbitrary::Arbitrary;
use bytes::Bytes;
use ferrokeeper::config::{Config, Overrides};
use wire::client::ConnectRequest;
use wire::{SessionId, Zxid};

use super::asks::Ask;

/// A server's settings, and what happens to it.
#[derive(Arbitrary, Debug)]
pub(super) struct Script {
    pub(super) setting: Setting,
    pub(super) steps: Vec<Step>,
}

/// What an operator chose.
#[derive(Arbitrary, Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Setting {
    Plain,
    Extended,
    Narrow,
    Trusting,
    Undigested,
    Local,
}

/// One thing that happens. Clients are named by any number.
#[derive(Arbitrary, Debug)]
pub(super) enum Step {
    /// A client comes.
    Connect(Knock),
    /// It asks; mostly by the next number.
    Ask { by: u8, xid: Option<i16>, ask: Ask },
    /// It asks in two pieces, and the server runs in between.
    Pieces { by: u8, at: u8, ask: Ask },
    /// It sends anything, perhaps as a frame.
    Raw {
        by: u8,
        framed: bool,
        bytes: Vec<u8>,
    },
    /// Somebody who is no client comes and says this.
    Stranger(Vec<u8>),
    /// A client goes without a word.
    HangUp(u8),
    /// It takes so much, and no more until it takes all.
    Hold(u8, u16),
    /// It takes all.
    Take(u8),
    /// Milliseconds pass.
    Pass(u16),
    /// A part of the server runs.
    Run(Who),
    /// A snapshot is taken.
    Snapshot,
}

#[derive(Arbitrary, Debug)]
pub(super) enum Who {
    Client(u8),
    Member,
    Log,
    All,
}

/// A first frame.
#[derive(Arbitrary, Debug)]
pub(super) struct Knock {
    pub(super) host: u8,
    session: Wanted,
    timeout: Timeout,
    seen: Seen,
    read_only: Option<bool>,
}

#[derive(Arbitrary, Debug)]
enum Wanted {
    New,
    /// One that somebody was given.
    Known(u8),
    WrongPassword(u8, u8),
    Guessed(i64),
}

#[derive(Arbitrary, Debug)]
enum Timeout {
    Usual,
    Long,
    Any(i32),
}

#[derive(Arbitrary, Debug)]
enum Seen {
    Nothing,
    Everything,
    Any(u64),
}

impl Knock {
    /// The frame's record, and the session that it wants.
    pub(super) fn request(
        &self,
        known: &[(SessionId, Bytes)],
        applied: Zxid,
    ) -> (ConnectRequest, SessionId) {
        let pick = |n: u8| known.get(usize::from(n) % known.len().max(1)).cloned();
        let nobody = (SessionId::NONE, Bytes::from_static(&[0; 16]));
        let (session_id, password) = match &self.session {
            Wanted::New => nobody,
            Wanted::Known(n) => pick(*n).unwrap_or(nobody),
            Wanted::WrongPassword(n, length) => {
                let (session, right) = pick(*n).unwrap_or(nobody);
                let length = usize::from(*length % 20);
                let wrong: Vec<u8> = right.iter().map(|b| !b).cycle().take(length).collect();
                (session, wrong.into())
            }
            Wanted::Guessed(id) => {
                let session = SessionId(*id);
                (session, Bytes::copy_from_slice(&session.password()))
            }
        };
        let request = ConnectRequest {
            protocol_version: 0,
            last_zxid_seen: match self.seen {
                Seen::Nothing => Zxid::ZERO,
                Seen::Everything => applied,
                Seen::Any(zxid) => Zxid(zxid),
            },
            timeout: match self.timeout {
                Timeout::Usual => 10_000,
                Timeout::Long => 40_000,
                Timeout::Any(timeout) => timeout,
            },
            session_id,
            password,
            read_only: self.read_only,
        };
        (request, session_id)
    }
}

/// Milliseconds of a tick in every script.
pub(super) const TICK: u64 = 2000;

const COMMON: &str = "dataDir=/nonexistent\nclientPort=2181\ntickTime=2000\n\
    4lw.commands.whitelist=*\nmaxClientCnxns=4\nznode.container.checkIntervalMs=1000\n\
    DigestAuthenticationProvider.superDigest=super:D/InIHSb7yEEbrWz8b9l71RjZJU=\n";

impl Setting {
    pub(super) fn config(self) -> Config {
        const COUNT: usize = Setting::Local as usize + 1;
        static READ: [OnceLock<Config>; COUNT] = [const { OnceLock::new() }; COUNT];
        READ[self as usize].get_or_init(|| self.read()).clone()
    }

    fn read(self) -> Config {
        let more = match self {
            Self::Plain => "",
            Self::Extended => {
                "extendedTypesEnabled=true\nenforceQuota=true\naudit.enable=true\n\
                 znode.container.maxNeverUsedIntervalMs=3000\n"
            }
            Self::Narrow => "jute.maxbuffer=1024\nglobalOutstandingLimit=2\n",
            Self::Trusting => "skipACL=yes\n",
            Self::Undigested => "digest.enabled=false\n",
            Self::Local => "localSessionsEnabled=true\nlocalSessionsUpgradingEnabled=true\n",
        };
        let text = format!("{COMMON}{more}");
        let config = Config::parse(Path::new("zoo.cfg"), &text, &Overrides::default());
        config.expect("a configuration")
    }

    /// Bytes of the longest frame.
    pub(super) const fn longest_frame(self) -> usize {
        match self {
            Self::Narrow => 1024,
            _ => 0xf_ffff,
        }
    }

    /// Milliseconds that a container may stay that never had a child, 0 for ever.
    pub(super) const fn never_used(self) -> i64 {
        match self {
            Self::Extended => 3000,
            _ => 0,
        }
    }
}

#[cfg(test)]
impl Knock {
    /// Of a client that wants a new session.
    pub(super) const fn usual() -> Self {
        Self {
            host: 0,
            session: Wanted::New,
            timeout: Timeout::Usual,
            seen: Seen::Nothing,
            read_only: Some(false),
        }
    }
}
