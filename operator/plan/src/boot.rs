//! How a server that waits is told to start: one table, a row for each way a volume can come.
//!
//! The safe answer to doubt is to wait. An empty volume starts as a voter only under a grant, and
//! a grant is written to the status before it is given. Nothing is ever deleted here.

use api::{EnsembleConfig, MemberId, status::BootstrapStatus};
use wire::control::BootReport;

/// The member that asks, and what it found on its volume.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Its id.
    pub id: MemberId,
    /// The spec, or the birth, asks for a member of this id.
    pub wanted: bool,
    /// What its server found.
    pub volume: &'a BootReport,
}

/// What is known of the ensemble that it wants to be part of.
#[derive(Clone, Copy, Debug)]
pub enum Ensemble<'a> {
    /// No birth was decided.
    Unborn,
    /// A birth was decided, no committed configuration was seen.
    Granted {
        /// The decision.
        birth: &'a BootstrapStatus,
        /// Each first member reports in this pass, from the volume that was granted, and none
        /// has followed a leader.
        untouched: bool,
    },
    /// A committed configuration was seen.
    Initialised {
        /// The ensemble.
        birth: &'a BootstrapStatus,
        /// The newest committed configuration that any member reports in this pass.
        newest: Option<&'a EnsembleConfig>,
    },
}

/// What to tell it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Boot {
    /// Start as a voter from an empty volume, with all first members.
    Grant,
    /// Start from what is on the volume, as a member of this configuration.
    Start {
        /// The newest known.
        config: String,
    },
    /// Start without a vote, synchronise, and vote only then if this configuration says so.
    Join {
        /// The newest known.
        config: String,
        /// It is a member already and has lost what it promised.
        wiped: bool,
    },
    /// Do not start.
    Park {
        /// For people.
        why: String,
    },
    /// Nothing yet.
    Wait(Wait),
}

/// Why a server is left waiting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The ensemble is not born.
    Unborn,
    /// It is no first member, and the birth is not over.
    NotInBirth,
    /// Some other first member does not report, or has followed a leader.
    Partners,
    /// The volume that was granted is not there; this is another.
    GrantedVolumeLost {
        /// The one that was granted.
        granted: String,
    },
    /// The volume is empty, and nobody who knows the ensemble can be asked.
    NobodyReachable,
    /// Neither the spec nor the ensemble has such a member.
    NotWanted,
    /// A park mark is on the volume.
    Parked {
        /// As the mark says.
        why: String,
    },
    /// The volume holds another ensemble's data.
    Foreign {
        /// Which one's.
        cluster_id: String,
    },
    /// The volume holds data that names no ensemble.
    Unclaimed,
}

/// The decision.
pub fn boot(candidate: Candidate<'_>, ensemble: Ensemble<'_>) -> Boot {
    if let Some(why) = &candidate.volume.parked {
        return Boot::Wait(Wait::Parked { why: why.clone() });
    }
    match ensemble {
        Ensemble::Unborn => Boot::Wait(Wait::Unborn),
        Ensemble::Granted { birth, untouched } => {
            not_ours(candidate.volume, birth).unwrap_or_else(|| first(candidate, birth, untouched))
        }
        Ensemble::Initialised { birth, newest } => {
            not_ours(candidate.volume, birth).unwrap_or_else(|| later(candidate, birth, newest))
        }
    }
}

/// Volumes that this ensemble must not touch.
fn not_ours(volume: &BootReport, birth: &BootstrapStatus) -> Option<Boot> {
    match &volume.cluster_id {
        Some(id) if *id == birth.cluster_id => None,
        Some(id) if birth.predecessors.contains(id) => Some(Boot::Park {
            why: format!("superseded: this ensemble went on as {}", birth.cluster_id),
        }),
        Some(id) => Some(Boot::Wait(Wait::Foreign {
            cluster_id: id.clone(),
        })),
        None if blank(volume) => None,
        None => Some(Boot::Wait(Wait::Unclaimed)),
    }
}

/// Nothing was ever promised from this volume.
fn blank(volume: &BootReport) -> bool {
    volume.empty && volume.accepted_epoch == 0 && volume.current_epoch == 0 && volume.last_zxid == 0
}

/// While the birth is decided and not seen to be done.
fn first(candidate: Candidate<'_>, birth: &BootstrapStatus, untouched: bool) -> Boot {
    let Some(born) = birth.members.iter().find(|born| born.id == candidate.id) else {
        return Boot::Wait(Wait::NotInBirth);
    };
    if born.volume_id != candidate.volume.volume_id {
        return Boot::Wait(Wait::GrantedVolumeLost {
            granted: born.volume_id.clone(),
        });
    }
    if !blank(candidate.volume) {
        // It promised something under this grant, so it is a known member.
        return Boot::Start {
            config: newest_of(None, candidate.volume, birth),
        };
    }
    // A volume that bears the cluster id has had its grant before. The server keeps the mark of
    // it until its first snapshot and epochs are synced, so being blank it promised nothing.
    let granted_before = candidate.volume.cluster_id.is_some();
    if granted_before || untouched {
        Boot::Grant
    } else {
        Boot::Wait(Wait::Partners)
    }
}

/// Once a committed configuration was seen. Never again is an empty volume a first one.
fn later(
    candidate: Candidate<'_>,
    birth: &BootstrapStatus,
    newest: Option<&EnsembleConfig>,
) -> Boot {
    let listed = newest.map(|config| config.members.contains_key(&candidate.id));
    if blank(candidate.volume) {
        return match (listed, newest) {
            (Some(false), _) if !candidate.wanted => Boot::Wait(Wait::NotWanted),
            (Some(listed), Some(newest)) => Boot::Join {
                config: newest.text(),
                wiped: listed,
            },
            _ => Boot::Wait(Wait::NobodyReachable),
        };
    }
    let config = newest_of(newest, candidate.volume, birth);
    match listed {
        // Removed while it was away. What it knows of the membership is older than that.
        Some(false) if !candidate.wanted => Boot::Park {
            why: "retired: the ensemble no longer has this member".to_owned(),
        },
        Some(false) => Boot::Join {
            config,
            wiped: false,
        },
        // A known member needs no permission: a whole ensemble restarts this way.
        Some(true) | None => Boot::Start { config },
    }
}

/// The newest configuration there is for it: committed, on its disk, or the first one.
fn newest_of(
    committed: Option<&EnsembleConfig>,
    volume: &BootReport,
    birth: &BootstrapStatus,
) -> String {
    let on_disk = volume
        .config
        .as_deref()
        .and_then(|text| EnsembleConfig::parse(text).ok())
        .filter(|config| !config.members.is_empty());
    on_disk
        .iter()
        .chain(committed)
        .max_by_key(|config| config.version)
        .map_or_else(|| first_config(birth), EnsembleConfig::text)
}

/// The list that all first members are born with, the same to the letter each time.
pub fn first_config(birth: &BootstrapStatus) -> String {
    let lines = birth.members.iter().map(|born| born.server.as_str());
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests;
