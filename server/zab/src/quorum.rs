//! Which members suffice.

use std::collections::{BTreeMap, BTreeSet};

use wire::PeerId;
use wire::config::EnsembleConfig;

/// What a set of members must contain to decide: a majority, or a majority of groups by weight,
/// of one configuration or, while a change of it is under way, of two.
///
/// Every question about quorums is asked here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    first: Rule,
    second: Option<Rule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Rule {
    version: u64,
    /// Voters with their weights.
    voters: BTreeMap<PeerId, u64>,
    /// Groups that weigh something; empty for a plain majority.
    groups: Vec<BTreeSet<PeerId>>,
}

impl Quorum {
    /// A quorum of `config`, and of `next` as well, if a newer one is proposed.
    #[must_use]
    pub fn new(config: &EnsembleConfig, next: Option<&EnsembleConfig>) -> Self {
        Self {
            first: Rule::new(config),
            second: next.map(Rule::new),
        }
    }

    /// Whether those for which `has` is true suffice.
    #[must_use]
    pub fn reached(&self, has: impl Fn(PeerId) -> bool) -> bool {
        self.rules().all(|rule| rule.reached(&has))
    }

    /// Whether this member's word counts in any of the configurations.
    #[must_use]
    pub fn is_voter(&self, peer: PeerId) -> bool {
        self.rules().any(|rule| rule.voters.contains_key(&peer))
    }

    /// Whether this member may lead: it votes, and its vote weighs something.
    #[must_use]
    pub fn may_lead(&self, peer: PeerId) -> bool {
        self.rules()
            .any(|rule| rule.voters.get(&peer).is_some_and(|weight| *weight > 0))
    }

    /// All voters, in order.
    #[must_use]
    pub fn voters(&self) -> BTreeSet<PeerId> {
        self.rules()
            .flat_map(|rule| rule.voters.keys().copied())
            .collect()
    }

    /// The version of the newest configuration that it is made of.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.rules().map(|rule| rule.version).max().unwrap_or(0)
    }

    /// The smallest number of voters that can suffice.
    #[must_use]
    pub fn size(&self) -> usize {
        self.rules().map(Rule::size).max().unwrap_or(0)
    }

    fn rules(&self) -> impl Iterator<Item = &Rule> {
        std::iter::once(&self.first).chain(&self.second)
    }
}

impl Rule {
    fn new(config: &EnsembleConfig) -> Self {
        let voters: BTreeMap<PeerId, u64> = config
            .voters()
            .map(|id| (id, config.weights.get(&id).copied().unwrap_or(1)))
            .collect();
        let groups = config
            .groups
            .values()
            .map(|group| {
                group
                    .iter()
                    .copied()
                    .filter(|id| voters.get(id).is_some_and(|weight| *weight > 0))
                    .collect::<BTreeSet<_>>()
            })
            .filter(|group| !group.is_empty())
            .collect();
        Self {
            version: config.version,
            voters,
            groups,
        }
    }

    fn reached(&self, has: impl Fn(PeerId) -> bool) -> bool {
        if self.groups.is_empty() {
            let count = self.voters.keys().filter(|id| has(**id)).count();
            return count > self.voters.len() / 2;
        }
        let won = self
            .groups
            .iter()
            .filter(|group| {
                let (mut all, mut with) = (0u128, 0u128);
                for id in *group {
                    let weight = u128::from(self.voters.get(id).copied().unwrap_or(0));
                    all += weight;
                    with += if has(*id) { weight } else { 0 };
                }
                with > all / 2
            })
            .count();
        won > self.groups.len() / 2
    }

    fn size(&self) -> usize {
        if self.groups.is_empty() {
            return self.voters.len() / 2 + 1;
        }
        let mut sizes: Vec<usize> = self.groups.iter().map(|g| self.group_size(g)).collect();
        sizes.sort_unstable();
        sizes.iter().take(self.groups.len() / 2 + 1).sum()
    }

    /// The smallest number of a group's members that outweighs the rest.
    fn group_size(&self, group: &BTreeSet<PeerId>) -> usize {
        let weight = |id: &PeerId| u128::from(self.voters.get(id).copied().unwrap_or(0));
        let mut weights: Vec<u128> = group.iter().map(weight).collect();
        weights.sort_unstable_by(|a, b| b.cmp(a));
        let all: u128 = weights.iter().sum();
        let mut sum = 0;
        let mut count = 0;
        for weight in weights {
            sum += weight;
            count += 1;
            if sum > all / 2 {
                break;
            }
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tests::world::config;

    fn reached(quorum: &Quorum, members: &[i64]) -> bool {
        quorum.reached(|peer| members.contains(&peer.0))
    }

    #[test]
    fn a_majority_of_voters_suffices_and_observers_do_not_count() {
        let four = Quorum::new(&config(&[1, 2, 3, 4], &[5]), None);
        assert_eq!(four.size(), 3);
        assert!(reached(&four, &[1, 2, 3]));
        assert!(!reached(&four, &[1, 2]));
        assert!(!reached(&four, &[1, 2, 5, 6]));
        assert!(!four.is_voter(PeerId(5)) && !four.may_lead(PeerId(5)));
    }

    #[test]
    fn nobody_is_no_quorum() {
        let nobody = Quorum::new(&config(&[], &[1]), None);
        assert!(!nobody.reached(|_| true));
    }

    #[test]
    fn during_a_change_both_configurations_must_agree() {
        let mut next = config(&[3, 4, 5], &[]);
        next.version = 7;
        let both = Quorum::new(&config(&[1, 2, 3], &[]), Some(&next));
        assert!(reached(&both, &[1, 3, 4]));
        assert!(!reached(&both, &[1, 2, 3]));
        assert!(!reached(&both, &[3, 4, 5]));
        assert_eq!(both.voters().len(), 5);
        assert_eq!(both.version(), 7);
    }

    /// Two of three groups, and in each of them more than half of the weight; a group that weighs
    /// nothing is no group.
    #[test]
    fn groups_and_weights_decide_where_they_are_set() {
        let mut config = config(&[1, 2, 3, 4, 5, 6, 7, 8], &[]);
        let groups = [
            (1, vec![1, 2, 3]),
            (2, vec![4, 5]),
            (3, vec![6, 7]),
            (4, vec![8]),
        ];
        for (group, members) in groups {
            let members = members.into_iter().map(PeerId).collect();
            config.groups.insert(group, members);
        }
        config.weights.insert(PeerId(1), 3);
        config.weights.insert(PeerId(8), 0);
        let quorum = Quorum::new(&config, None);
        assert!(reached(&quorum, &[1, 4, 5]), "1 outweighs 2 and 3");
        assert!(!reached(&quorum, &[2, 3, 4, 5]));
        assert!(
            !reached(&quorum, &[1, 2, 3, 4, 6]),
            "half of a group is not enough"
        );
        assert!(quorum.is_voter(PeerId(8)));
        assert!(!quorum.may_lead(PeerId(8)), "weightless");
        assert_eq!(quorum.size(), 3);
    }
}
