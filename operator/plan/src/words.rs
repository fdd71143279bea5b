//! Phrases that several messages need.

use api::{MemberId, sidecar::ServerState};

use crate::{Observed, observed::ProcessState};

/// `the volume of member 2 holds`, `the volumes of members 1, 3 hold`.
pub(crate) fn volumes(ids: &[MemberId], one: &str, many: &str) -> String {
    match ids {
        [id] => format!("the volume of member {id} {one}"),
        _ => format!("the volumes of {} {many}", members(ids)),
    }
}

/// `member 2`, `members 1, 3`.
pub(crate) fn members(ids: &[MemberId]) -> String {
    let list: Vec<_> = ids.iter().map(ToString::to_string).collect();
    let word = if ids.len() == 1 { "member" } else { "members" };
    format!("{word} {}", list.join(", "))
}

/// Why nothing was heard from this member in this pass.
pub(crate) fn unheard(observed: &Observed, id: MemberId) -> String {
    let made = |what: &str| match observed.refusals.first() {
        Some(refusal) => refusal.clone(),
        None => format!("{what} is being made"),
    };
    let Some(member) = observed.members.get(&id) else {
        return made("it");
    };
    if let Some(trouble) = &member.trouble {
        return trouble.clone();
    }
    match (&member.volume, &member.process) {
        (None, _) => made("its volume"),
        (Some(volume), _) if volume.terminating => "its volume is being deleted".to_owned(),
        (_, None) => made("its process"),
        (_, Some(process)) => match &process.state {
            ProcessState::NotServing { why } => why.clone(),
            ProcessState::Terminating => "its process is being stopped".to_owned(),
            ProcessState::Running => match observed.fresh(id).map(|report| &report.server) {
                None => "its sidecar has not reported".to_owned(),
                Some(ServerState::Down { exit, .. }) => {
                    let exit = exit.as_deref().unwrap_or("for an unknown reason");
                    format!("its server ended ({exit})")
                }
                Some(ServerState::Parked { why }) => format!("it is parked: {why}"),
                Some(_) => "its server has not reported what is on its volume".to_owned(),
            },
        },
    }
}
