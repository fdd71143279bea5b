//! On every member `applied <= min(committed, synced)` and `synced <= logged`; what replay
//! applied is synced, and not known to be committed.

use wire::Zxid;

use super::{Verdict, violated};

/// One member's positions, as its disk and its tree show them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Bounds {
    /// In its log.
    pub(crate) logged: Zxid,
    /// Durable there.
    pub(crate) synced: Zxid,
}

impl Bounds {
    /// The member applies this one.
    pub(crate) fn applies(&self, zxid: Zxid) -> Verdict {
        if zxid > self.synced {
            let synced = self.synced;
            return violated(
                "bounds",
                format!("{zxid} is applied where only {synced} is durable"),
            );
        }
        self.check()
    }

    /// What the member says of itself agrees with what its disk and tree show.
    pub(crate) fn says(&self, status: &member::Status) -> Verdict {
        if status.synced > self.synced {
            return violated(
                "bounds",
                format!("{self:?}, but the member says {status:?}"),
            );
        }
        if status.synced > status.last_logged || status.applied > status.synced {
            return violated("bounds", format!("the member says {status:?}"));
        }
        self.check()
    }

    fn check(&self) -> Verdict {
        if self.synced > self.logged {
            return violated("bounds", format!("{self:?}"));
        }
        Ok(())
    }
}
