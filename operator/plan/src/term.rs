//! Fencing terms: whoever gives orders holds a higher one than all before.
//!
//! A term is taken once per ensemble and leadership, when the first order is due, by writing it
//! to the status on the condition that the status is still the one that was read. Two operators
//! can therefore not take a term from the same status, and sidecars refuse the lower one.

use api::{Term, ZooKeeperClusterStatus};

use crate::Observed;

/// Whether this operator may give orders.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// Under this term, which the status already holds.
    Held(Term),
    /// Under this term, once it is written.
    Claim(Term),
    /// No longer: another operator has taken a higher term through the status.
    Superseded(Term),
}

/// `held` is the term that this leadership has taken for this ensemble, if it has.
pub fn authority(
    held: Option<Term>,
    status: &ZooKeeperClusterStatus,
    observed: &Observed,
) -> Authority {
    let reports = observed.members.values().filter_map(|m| m.report.as_ref());
    let seen = reports.map(|report| report.status.term).max();
    let highest = seen.unwrap_or_default().max(status.term);
    match held {
        Some(held) if status.term > held => Authority::Superseded(status.term),
        // A sidecar may know a term from before the status was lost; nobody took it from here,
        // or the status would say so.
        Some(held) if highest == held => Authority::Held(held),
        _ => Authority::Claim(Term(highest.0 + 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture;

    fn status(term: u64) -> ZooKeeperClusterStatus {
        ZooKeeperClusterStatus {
            term: Term(term),
            ..Default::default()
        }
    }

    fn sidecars_saw(terms: [u64; 3]) -> Observed {
        let mut observed = fixture::three_blank();
        for (member, term) in observed.members.values_mut().zip(terms) {
            if let Some(report) = &mut member.report {
                report.status.term = Term(term);
            }
        }
        observed
    }

    #[test]
    fn a_new_leadership_goes_above_the_status_and_every_sidecar() {
        let claimed = authority(None, &status(4), &sidecars_saw([1, 9, 2]));
        assert_eq!(claimed, Authority::Claim(Term(10)));
        let claimed = authority(None, &status(4), &sidecars_saw([0, 0, 0]));
        assert_eq!(claimed, Authority::Claim(Term(5)));
    }

    #[test]
    fn a_term_is_kept_for_the_whole_leadership() {
        let held = authority(Some(Term(5)), &status(5), &sidecars_saw([5, 0, 4]));
        assert_eq!(held, Authority::Held(Term(5)));
    }

    #[test]
    fn a_higher_term_in_the_status_ends_it() {
        let ended = authority(Some(Term(5)), &status(6), &sidecars_saw([5, 0, 4]));
        assert_eq!(ended, Authority::Superseded(Term(6)));
    }

    #[test]
    fn a_sidecar_that_was_away_when_the_term_was_taken_is_gone_above() {
        let claimed = authority(Some(Term(5)), &status(5), &sidecars_saw([5, 8, 4]));
        assert_eq!(claimed, Authority::Claim(Term(9)));
    }
}
